/** Holds that expire while completions settle them, on a real PostgreSQL: one end each, whoever comes first. */
import { expect } from 'chai';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { expectAtRest } from '../support/at-rest.js';
import { HOLD_TTL_MS, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const ROUNDS = 20;
const TENANTS = 6;
/** Per tenant: completed, completed beyond the hold, cancelled, and never heard of again. */
const TRACES = ['served', 'dear', 'cancelled', 'abandoned'] as const;
const CREDIT = 100;
const SPENT = 2 + 9;

/** The entries that a trace may leave. */
const ENDS: Readonly<Record<(typeof TRACES)[number], readonly string[]>> = {
  served: ['PENDING COMMITTED', 'PENDING EXPIRED COMMITTED'],
  dear: ['PENDING COMMITTED', 'PENDING EXPIRED COMMITTED'],
  cancelled: ['PENDING VOIDED', 'PENDING EXPIRED'],
  abandoned: ['PENDING EXPIRED'],
};

describe('expiry racing a settlement', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  function settlement(tenantId: string, traceId: (typeof TRACES)[number]): WireEvent[] {
    if (traceId === 'abandoned') return [];
    if (traceId === 'cancelled') return [wireCompleted({ tenantId, traceId, units: 0, fields: { outcome: traceId } })];
    return [wireCompleted({ tenantId, traceId, units: traceId === 'served' ? 2 : 9 })];
  }

  async function openHolds(): Promise<string[]> {
    const tenantIds = Array.from({ length: TENANTS }, () => world.tenant());
    for (const tenantId of tenantIds) await world.credit(tenantId, `${CREDIT}`);
    const events = tenantIds.flatMap((tenantId) =>
      TRACES.map((traceId) => wirePending({ tenantId, traceId, units: 5 })),
    );
    await world.protocol().charge(world.stream('pending').chunk(events));
    await world.project(tenantIds);
    return tenantIds;
  }

  /** Settles the traces of all tenants, one kind after the other, each kind as a chunk of its own. */
  async function settle(tenantIds: readonly string[], traceIds: readonly (typeof TRACES)[number][]): Promise<void> {
    const stream = world.stream('completed');
    for (const traceId of traceIds) {
      const events = tenantIds.flatMap((tenantId) => settlement(tenantId, traceId));
      if (events.length > 0) await world.protocol().charge(stream.chunk(events));
    }
  }

  async function expectEnds(tenantId: string): Promise<void> {
    const entries = (await world.entries(tenantId)).filter(({ type }) => type === 'DEDUCT');
    for (const traceId of TRACES) {
      const steps = entries.filter(({ trace_id }) => trace_id === traceId);
      const statuses = steps.map(({ status }) => status).join(' ');
      expect(ENDS[traceId], `${traceId} of ${tenantId}`).to.include(statuses);
      const isLate = statuses === 'PENDING EXPIRED COMMITTED';
      expect(steps.at(-1)?.description === 'late', `${traceId} of ${tenantId}: ${statuses}`).to.equal(isLate);
      const counted = steps.reduce((sum, { requests }) => sum + requests, 0);
      expect(counted, `the requests of ${traceId}`).to.equal(statuses.endsWith('COMMITTED') ? 1 : 0);
    }
    const balanceNano = BigInt(CREDIT - SPENT) * 1_000_000_000n;
    expect(await world.account(tenantId)).to.include({ balanceNano, heldNano: 0n, dailyUsed: 2, monthlyUsed: 2 });
  }

  it('ends every trace once in each of 20 rounds, with two sweepers and two writers at the same time', async () => {
    const all: string[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const tenantIds = await openHolds();
      all.push(...tenantIds);
      world.clock.atMs += HOLD_TTL_MS.estimate;
      const sweeps = [world.expiry(), world.expiry()].map((expiry) => expiry.sweep());
      const settlements = [
        settle(tenantIds, ['served', 'cancelled']),
        settle([...tenantIds].reverse(), ['dear', 'abandoned']),
      ];
      await Promise.all([...sweeps, ...settlements, world.project(tenantIds)]);
      await world.expiry().sweep();
      for (const tenantId of tenantIds) await expectEnds(tenantId);
      await expectAtRest(world, tenantIds);
    }
    expect(await world.rows('SELECT FROM open_holds')).to.deep.equal([]);
    expect((await proveChains(world.pool)).problems).to.deep.equal([]);
    expect((await proveAccounts(world.pool)).problems).to.deep.equal([]);
  });

  it('expires each hold once when many sweepers look at the same ones', async () => {
    const tenantIds = await openHolds();
    world.clock.atMs += HOLD_TTL_MS.estimate;
    const sweeps = await Promise.all(Array.from({ length: 4 }, () => world.expiry().sweep()));
    expect(sweeps.reduce((sum, { expired }) => sum + expired, 0)).to.equal(TENANTS * TRACES.length);
    for (const tenantId of tenantIds) {
      expect(await world.statuses(tenantId)).to.deep.equal([
        ...TRACES.map(() => 'PENDING'),
        ...TRACES.map(() => 'EXPIRED'),
      ]);
    }
    await expectAtRest(world, tenantIds);
  });

  it('lets one of a void by an operator and an expiry end the hold, never both', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const tenantId = world.tenant();
      await world.credit(tenantId, '10');
      await world.protocol().charge(world.stream('pending').chunk([wirePending({ tenantId, traceId: 'a' })]));
      world.clock.atMs += HOLD_TTL_MS.estimate;
      const command = { kind: 'void', tenantId, key: 'void-a', actor: 'ops', reason: 'stuck', traceId: 'a' } as const;
      const voiding = world.command(command).catch((error: unknown) => {
        if (!isTollbookError(error, 'HOLD_NOT_OPEN')) throw error;
      });
      await Promise.all([voiding, world.expiry().sweep()]);
      expect(await world.statuses(tenantId)).to.be.deep.oneOf([
        ['PENDING', 'VOIDED'],
        ['PENDING', 'EXPIRED'],
      ]);
      expect(await world.account(tenantId)).to.include({ heldNano: 0n, dailyUsed: 0 });
      await expectAtRest(world, [tenantId]);
    }
  });
});
