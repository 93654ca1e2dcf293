/** Owns: collect, void and limits beside real usage: races, and what a trace can still become afterwards. */
import { expect } from 'chai';
import { parseAmount } from '../../src/ledger/money.js';
import { expectAtRest } from '../support/at-rest.js';
import { failureOf, rowCounts, TenantOfWorld } from '../support/command-samples.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { NOON } from '../support/wire-usage.js';

const units = parseAmount;
const AFTER_NOON = Date.parse(NOON) + 1000;

describe('commands about traces', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  beforeEach(() => {
    world.clock.atMs = AFTER_NOON;
  });
  after(() => world.close());

  async function funded(amount = '10'): Promise<TenantOfWorld> {
    const tenant = new TenantOfWorld(world);
    await tenant.book({ kind: 'credit', amountNano: units(amount) });
    return tenant;
  }

  describe('a collect', () => {
    const COLLECT = { kind: 'collect', traceId: 'a', allowNegative: false } as const;

    it('is refused until the balance covers the charge, then charges it and counts its request once', async () => {
      const tenant = await funded('1');
      await tenant.completed('a', 4);
      expect(await world.statuses(tenant.tenantId)).to.deep.equal(['FAILED']);
      const before = await rowCounts(world);
      const error = await failureOf(tenant.book(COLLECT));
      expect(error.code).to.equal('INSUFFICIENT_BALANCE');
      expect(error.message).to.include('needs 4.000000000 USD, available: 1.000000000');
      expect(await rowCounts(world)).to.deep.equal(before);
      await tenant.book({ kind: 'credit', amountNano: units('3') });
      const { entry } = await tenant.book(COLLECT);
      expect(entry).to.include({ status: 'COMMITTED', traceId: 'a', referenceSeq: 3, requests: 1 });
      expect(await world.account(tenant.tenantId)).to.include({ balanceNano: 0n, dailyUsed: 1, monthlyUsed: 1 });
      await expectAtRest(world, [tenant.tenantId]);
    });

    it('of a trace with a hold counts the request that the failure gave back', async () => {
      const tenant = await funded('2');
      await tenant.pending('a', 1);
      await tenant.completed('a', 4);
      expect(await world.statuses(tenant.tenantId)).to.deep.equal(['PENDING', 'FAILED']);
      expect(await world.account(tenant.tenantId)).to.include({ heldNano: 0n, dailyUsed: 0, monthlyUsed: 0 });
      const { entry } = await tenant.book({ ...COLLECT, allowNegative: true });
      expect(entry).to.include({ requests: 1, countedOn: '2026-03-15', balanceAfterNano: units('-2') });
      expect(await world.account(tenant.tenantId)).to.include({ heldNano: 0n, dailyUsed: 1, monthlyUsed: 1 });
      await expectAtRest(world, [tenant.tenantId]);
    });

    it('leaves the trace charged: its completion delivered again is a duplicate, other content a conflict', async () => {
      const tenant = await funded('1');
      await tenant.completed('a', 4);
      await tenant.book({ ...COLLECT, allowNegative: true });
      const before = (await world.entries(tenant.tenantId)).length;
      await tenant.completed('a', 4);
      await tenant.completed('a', 5);
      expect(await world.entries(tenant.tenantId)).to.have.length(before);
      const letters = await world.rows<object>('SELECT reason FROM dead_letters WHERE tenant_id = $1', [
        tenant.tenantId,
      ]);
      expect(letters).to.deep.equal([{ reason: 'CONFLICTING_DUPLICATE' }]);
      expect((await failureOf(tenant.book(COLLECT))).code).to.equal('COLLECT_NOT_ALLOWED');
      await expectAtRest(world, [tenant.tenantId]);
    });

    it('can be refunded, in full with its request', async () => {
      const tenant = await funded('1');
      await tenant.completed('a', 4);
      const collected = await tenant.book({ ...COLLECT, allowNegative: true });
      const { entry } = await tenant.book({ kind: 'refund', of: { traceId: 'a' } });
      expect(entry).to.include({ referenceSeq: collected.entry.seq, requests: -1, balanceAfterNano: units('1') });
      expect(await world.account(tenant.tenantId)).to.include({ dailyUsed: 0, monthlyUsed: 0 });
      await expectAtRest(world, [tenant.tenantId]);
    });

    it('by eight callers at once with keys of their own charges once', async () => {
      const tenant = await funded('3');
      await tenant.completed('a', 4);
      await tenant.book({ kind: 'credit', amountNano: units('100') });
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => tenant.book(COLLECT)));
      expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
      expect((await world.account(tenant.tenantId))?.balanceNano).to.equal(units('99'));
    });
  });

  describe('a void', () => {
    const VOID = { kind: 'void', traceId: 'a' } as const;

    it('frees what was held, so that another request can have it', async () => {
      const tenant = await funded('4');
      await tenant.pending('a', 4);
      await tenant.completed('b', 3);
      await tenant.book(VOID);
      await world.project([tenant.tenantId]);
      await tenant.completed('c', 3);
      expect(await world.statuses(tenant.tenantId)).to.deep.equal(['PENDING', 'FAILED', 'VOIDED', 'COMMITTED']);
      expect(await world.rows('SELECT FROM open_holds WHERE tenant_id = $1', [tenant.tenantId])).to.deep.equal([]);
      expect(await world.account(tenant.tenantId)).to.include({ heldNano: 0n, dailyUsed: 1 });
      await expectAtRest(world, [tenant.tenantId]);
    });

    it('lets a completion that still comes charge as late, and a pending event that comes again have no effect', async () => {
      const tenant = await funded();
      await tenant.pending('a', 4);
      await tenant.book(VOID);
      await tenant.pending('a', 4);
      await tenant.completed('a', 3);
      const [, , pending, voided, charged, ...more] = await world.entries(tenant.tenantId);
      expect(more).to.deep.equal([]);
      expect([pending?.status, voided?.status]).to.deep.equal(['PENDING', 'VOIDED']);
      expect(charged).to.include({ status: 'COMMITTED', description: 'late', requests: 1 });
      expect(await world.account(tenant.tenantId)).to.include({ balanceNano: units('7'), heldNano: 0n, dailyUsed: 1 });
      await expectAtRest(world, [tenant.tenantId]);
    });

    it('of a hold that has been charged is refused', async () => {
      const tenant = await funded();
      await tenant.pending('a', 4);
      await tenant.completed('a', 3);
      const error = await failureOf(tenant.book(VOID));
      expect(error.code).to.equal('HOLD_NOT_OPEN');
      expect(error.message).to.include('is COMMITTED (entry 4)');
    });

    it('racing the completion of its trace never does both: either it is refused, or the charge is late', async () => {
      for (let round = 0; round < 10; round += 1) {
        const tenant = await funded();
        await tenant.pending('a', 4);
        await Promise.allSettled([tenant.book(VOID), tenant.completed('a', 3)]);
        const statuses = (await world.statuses(tenant.tenantId)).join();
        expect(['PENDING,COMMITTED', 'PENDING,VOIDED,COMMITTED']).to.include(statuses);
        expect(await world.account(tenant.tenantId)).to.include({ balanceNano: units('7'), dailyUsed: 1 });
        await expectAtRest(world, [tenant.tenantId]);
      }
    });
  });

  describe('a change of limits', () => {
    it('shows in the projection, and decides the next request', async () => {
      const tenant = await funded('1');
      await tenant.book({ kind: 'limits', terms: { creditLimitNano: units('2'), dailyQuota: 1 } });
      await expectAtRest(world, [tenant.tenantId]);
      expect(await world.hash(tenant.tenantId)).to.include({ credit_limit: '2000000000', daily_quota: '1' });
      await tenant.completed('a', 3);
      await tenant.completed('b', 0);
      const last = (await world.entries(tenant.tenantId)).at(-1);
      expect(await world.statuses(tenant.tenantId)).to.deep.equal(['COMMITTED', 'FAILED']);
      expect(last).to.deep.include({ description: 'DAILY_QUOTA_EXCEEDED', detail: { limit: '1', used: '1' } });
      await tenant.book({ kind: 'limits', terms: { dailyQuota: null } });
      await expectAtRest(world, [tenant.tenantId]);
      expect((await world.hash(tenant.tenantId))['daily_quota']).to.equal('unlimited');
    });
  });
});
