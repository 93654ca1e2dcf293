/**
 * The order of a trace's two events while a request quota is used up, on real servers: with Redis deciding and without it,
 * what was served is charged, what was not charged counts nowhere, and the same totals come out of either order.
 */
import { expect } from 'chai';
import { LEDGER_ALONE } from '../../src/consumers/quota-gate.js';
import type { AccountTerms } from '../../src/ledger/account.js';
import { expectAtRest } from '../support/at-rest.js';
import { type EntryText, NO_LIMITS, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

const STREAM = { stream: true };
const ORDERS = [
  ['pending', 'completed'],
  ['completed', 'pending'],
] as const;
type Order = (typeof ORDERS)[number];

describe('the order of the two topics under a quota that is used up', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  /** A tenant of 100 units that has used up a quota of two requests. */
  async function usedUp(terms: Partial<AccountTerms>): Promise<string> {
    const tenantId = world.tenant();
    await world.credit(tenantId, '100', { ...NO_LIMITS, ...terms });
    await world.project([tenantId]);
    const first = ['one', 'two'].map((traceId) => wireCompleted({ tenantId, traceId }));
    await world.protocol().charge(world.stream('completed').chunk(first));
    await world.project([tenantId]);
    return tenantId;
  }

  /** Charges the two events of a trace in the order given; returns its entries. */
  async function deliver(
    tenantId: string,
    order: Order,
    { fields, redis }: { fields: Readonly<Record<string, unknown>>; redis: boolean },
  ): Promise<EntryText[]> {
    const choices = { tenantId, traceId: 'late-one', units: 3, fields };
    const protocol = world.protocol(redis ? {} : { gate: LEDGER_ALONE });
    for (const kind of order) {
      const event = kind === 'pending' ? wirePending(choices) : wireCompleted(choices);
      await protocol.charge(world.stream(kind).chunk([event]));
      await world.project([tenantId]);
    }
    return (await world.entries(tenantId)).filter(({ trace_id }) => trace_id === 'late-one');
  }

  for (const [quota, code] of [
    ['dailyQuota', 'DAILY_QUOTA_EXCEEDED'],
    ['monthlyQuota', 'MONTHLY_QUOTA_EXCEEDED'],
  ] as const) {
    for (const redis of [true, false]) {
      it(`charges a served stream beyond ${quota} in either order, ${redis ? 'with' : 'without'} Redis, and says which quota it exceeds`, async () => {
        for (const order of ORDERS) {
          const tenantId = await usedUp({ [quota]: 2 });
          const entries = await deliver(tenantId, order, { fields: STREAM, redis });
          const isRefusedFirst = order[0] === 'pending';
          expect(entries.map(({ status }) => status)).to.deep.equal(
            isRefusedFirst ? ['REFUSED', 'COMMITTED'] : ['COMMITTED'],
          );
          expect(entries.at(-1)).to.deep.include({
            ...{ amount: '3.000000000', requests: 1, description: isRefusedFirst ? 'late' : null },
            detail: { exceeded: code, limit: '2', used: '2' },
          });
          expect(await world.account(tenantId)).to.include({ balanceNano: 95_000_000_000n, dailyUsed: 3 });
          await expectAtRest(world, [tenantId]);
        }
      });

      it(`refuses a request that may not go below zero beyond ${quota} in either order, ${redis ? 'with' : 'without'} Redis`, async () => {
        for (const order of ORDERS) {
          const tenantId = await usedUp({ [quota]: 2 });
          const last = (await deliver(tenantId, order, { fields: {}, redis })).at(-1);
          expect(last).to.include({ status: 'FAILED', description: code, requests: 0 });
          expect(await world.account(tenantId)).to.include({ balanceNano: 98_000_000_000n, dailyUsed: 2 });
          await expectAtRest(world, [tenantId]);
        }
      });
    }
  }

  it('counts no request of a charge that failed for balance, in either order, whatever its hold had counted', async () => {
    for (const order of ORDERS) {
      const tenantId = await usedUp({});
      const pending = wirePending({ tenantId, traceId: 'dear', units: 90 });
      const completed = wireCompleted({ tenantId, traceId: 'dear', units: 99 });
      for (const kind of order) {
        await world.protocol().charge(world.stream(kind).chunk([kind === 'pending' ? pending : completed]));
      }
      const last = (await world.entries(tenantId)).at(-1);
      const isHeldFirst = order[0] === 'pending';
      expect(last).to.include({ status: 'FAILED', requests: isHeldFirst ? -1 : 0 });
      expect(last).to.include({ counted_on: isHeldFirst ? '2026-03-15' : null });
      expect(await world.account(tenantId)).to.include({ heldNano: 0n, dailyUsed: 2, monthlyUsed: 2 });
      await expectAtRest(world, [tenantId]);
    }
  });
});
