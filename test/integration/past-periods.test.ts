/**
 * Requests of other days than today beside a quota, on a real PostgreSQL, with Redis deciding and without it: each is judged
 * by the day and the month of its own, and a clock that is fast ends nobody's quota.
 */
import { expect } from 'chai';
import { LEDGER_ALONE } from '../../src/consumers/quota-gate.js';
import type { AccountTerms } from '../../src/ledger/account.js';
import { accountDocument } from '../../src/cli/account-documents.js';
import { expectAtRest } from '../support/at-rest.js';
import { NO_LIMITS, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted } from '../support/wire-usage.js';

const WAYS = ['with Redis', 'with a hash behind its ledger', 'without Redis'] as const;
type Way = (typeof WAYS)[number];

describe('requests of past periods', () => {
  let world: ProtocolWorld;
  let noon: number;

  before(async () => {
    world = await ProtocolWorld.open();
    noon = world.clock.atMs;
  });
  beforeEach(() => {
    world.clock.atMs = noon;
  });
  after(() => world.close());

  async function tenantWith(terms: Partial<AccountTerms>): Promise<string> {
    const tenantId = world.tenant();
    await world.credit(tenantId, '1000', { ...NO_LIMITS, ...terms });
    await world.project([tenantId]);
    return tenantId;
  }

  /** Charges completions of one instant, in chunks of twenty; returns how many were charged. */
  async function charge(tenantId: string, at: string, { count, way }: { count: number; way: Way }): Promise<number> {
    const protocol = world.protocol(way === 'without Redis' ? { gate: LEDGER_ALONE } : {});
    const stream = world.stream('completed');
    const before = await world.statuses(tenantId);
    const events = Array.from({ length: count }, (_none, index) =>
      wireCompleted({ tenantId, traceId: `at-${at}-${before.length}-${index}`, fields: { occurred_at: at } }),
    );
    for (let from = 0; from < count; from += 20) {
      await protocol.charge(stream.chunk(events.slice(from, from + 20)));
      if (way === 'with Redis') await world.project([tenantId]);
    }
    const statuses = (await world.statuses(tenantId)).slice(before.length);
    expect(statuses).to.have.length(count);
    return statuses.filter((status) => status === 'COMMITTED').length;
  }

  for (const way of WAYS) {
    it(`beside a quota of 3 a day, 50 of yesterday and 50 of last month have three each, ${way}`, async () => {
      const tenantId = await tenantWith({ dailyQuota: 3 });
      expect(await charge(tenantId, '2026-03-15T08:00:00.000Z', { count: 2, way })).to.equal(2);
      expect(await charge(tenantId, '2026-03-14T12:00:00.000Z', { count: 50, way })).to.equal(3);
      expect(await charge(tenantId, '2026-02-10T12:00:00.000Z', { count: 50, way })).to.equal(3);
      expect(await charge(tenantId, '2026-03-15T09:00:00.000Z', { count: 5, way })).to.equal(1);
      expect(await world.account(tenantId)).to.include({ dailyDate: '2026-03-15', dailyUsed: 3, monthlyUsed: 6 });
      await expectAtRest(world, [tenantId]);
    });

    it(`beside a quota of 3 a month, 50 of last month have three of their own, ${way}`, async () => {
      const tenantId = await tenantWith({ monthlyQuota: 3 });
      expect(await charge(tenantId, '2026-03-15T08:00:00.000Z', { count: 5, way })).to.equal(3);
      expect(await charge(tenantId, '2026-02-28T23:59:59.999Z', { count: 50, way })).to.equal(3);
      expect(await charge(tenantId, '2026-03-01T00:00:00.000Z', { count: 5, way })).to.equal(0);
      expect(await world.account(tenantId)).to.include({ monthlyUsed: 3, pastCounts: `${'0,'.repeat(14)}3|3` });
      await expectAtRest(world, [tenantId]);
    });

    it(`a clock that is fast opens tomorrow, and today keeps its quota and its count, ${way}`, async () => {
      world.clock.atMs = Date.parse('2026-03-15T23:57:00.000Z');
      const tenantId = await tenantWith({ dailyQuota: 3 });
      expect(await charge(tenantId, '2026-03-15T23:56:00.000Z', { count: 2, way })).to.equal(2);
      expect(await charge(tenantId, '2026-03-16T00:00:30.000Z', { count: 1, way })).to.equal(1);
      expect(await charge(tenantId, '2026-03-15T23:57:00.000Z', { count: 9, way })).to.equal(1);
      const account = await world.account(tenantId);
      expect(account).to.include({ dailyDate: '2026-03-16', dailyUsed: 1, pastCounts: '3|' });
      const daily = account && accountDocument(account, '2026-03-15');
      expect(daily).to.deep.include({ daily: { quota: 3, used: 3, window: '2026-03-15' } });
      world.clock.atMs += 10 * 60_000;
      expect(await charge(tenantId, '2026-03-16T00:01:00.000Z', { count: 9, way })).to.equal(2);
      expect(await charge(tenantId, '2026-03-15T23:59:00.000Z', { count: 9, way })).to.equal(0);
      await expectAtRest(world, [tenantId]);
    });

    it(`out of order at the end of a month each day and month keeps its own count, ${way}`, async () => {
      world.clock.atMs = Date.parse('2026-04-01T00:02:00.000Z');
      const tenantId = await tenantWith({ dailyQuota: 2, monthlyQuota: 3 });
      const [march30, march31, april] = [
        '2026-03-30T12:00:00.000Z',
        '2026-03-31T23:59:59.999Z',
        '2026-04-01T00:00:00.000Z',
      ];
      for (const [at, charged] of [
        [april, 1],
        [march31, 1],
        [april, 1],
        [april, 0],
        [march30, 1],
        [march31, 1],
        [march31, 0],
        [march30, 0],
      ] as const) {
        expect(await charge(tenantId, at, { count: 1, way }), at).to.equal(charged);
      }
      expect(await world.account(tenantId)).to.include({ dailyUsed: 2, monthlyUsed: 2, pastCounts: '2,1|3' });
      await expectAtRest(world, [tenantId]);
    });
  }
});
