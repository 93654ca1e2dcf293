/** Redis has no veto: whatever its keys say, a charge is refused only where the account, less what is in flight, refuses it. */
import { expect } from 'chai';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { QuotaScripts } from '../../src/lua/quota-scripts.js';
import { projectTenants } from '../../src/projections/projection.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { expectAtRest } from '../support/at-rest.js';
import { startOwnRedis } from '../support/own-redis.js';
import { NO_LIMITS, ProtocolWorld, type TestStream } from '../support/protocol-world.js';
import { NOON, wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const DAY = NOON.slice(0, 10);

describe('a refusal by Redis that the ledger does not bear out', () => {
  let world: ProtocolWorld;
  let completions: TestStream;
  let holds: TestStream;

  before(async () => {
    world = await ProtocolWorld.open();
    completions = world.stream('completed');
    holds = world.stream('pending');
  });
  after(() => world.close());

  async function creditedTenant(units: string, terms = NO_LIMITS): Promise<string> {
    const tenantId = world.tenant();
    await world.credit(tenantId, units, terms);
    await world.project([tenantId]);
    return tenantId;
  }

  async function complete(...events: readonly WireEvent[]): Promise<void> {
    await world.protocol().charge(completions.chunk(events));
  }

  async function pend(...events: readonly WireEvent[]): Promise<void> {
    await world.protocol().charge(holds.chunk(events));
  }

  /** A gateway's hold that the ledger has not heard of. */
  async function holdAtGateway(tenantId: string, traceId: string, amountNano: bigint): Promise<void> {
    const request = { tenantId, traceId, amountNano, checkBalance: true, checkQuota: true, day: DAY };
    expect(await world.scripts.hold(request, world.clock.nowMs())).to.deep.equal({ kind: 'granted' });
  }

  async function ruin(tenantId: string, fields: Readonly<Record<string, string>>): Promise<void> {
    await world.server.redis.hset(quotaKeys(world.server.prefix, tenantId).quota, fields);
  }

  async function lastStatus(tenantId: string): Promise<string | undefined> {
    return (await world.statuses(tenantId)).at(-1);
  }

  it('does not count when the hash has missed a credit because Redis could not be written to', async () => {
    const own = await startOwnRedis();
    try {
      const scripts = new QuotaScripts(own.redis, { prefix: world.server.prefix });
      const ports = { reader: world.reader, scripts, logger: world.logger };
      const protocol = world.protocol({ gate: world.gate(scripts) });
      const tenantId = world.tenant();
      await world.credit(tenantId, '1');
      await projectTenants(ports, [tenantId]);
      await protocol.charge(completions.chunk([wireCompleted({ tenantId, traceId: 'all-of-it' })]));
      await projectTenants(ports, [tenantId]);
      await own.redis.config('SET', 'min-replicas-to-write', '1');
      await world.credit(tenantId, '5');
      const refused: unknown = await projectTenants(ports, [tenantId]).catch((error: unknown) => error);
      expect(isTollbookError(refused)).to.equal(true);
      await own.redis.config('SET', 'min-replicas-to-write', '0');
      await protocol.charge(completions.chunk([wireCompleted({ tenantId, traceId: 'paid' })]));
      expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED', 'COMMITTED']);
      await projectTenants(ports, [tenantId]);
      expect(await scripts.readInflight([tenantId])).to.deep.equal([[]]);
    } finally {
      await own.close();
    }
  });

  it('does not count when the hash has missed that a quota was raised', async () => {
    const tenantId = await creditedTenant('10', { ...NO_LIMITS, dailyQuota: 1 });
    await complete(wireCompleted({ tenantId, traceId: 'first' }));
    await world.project([tenantId]);
    const who = { key: 'raise', actor: 'ops', reason: 'more requests' };
    await world.command({ kind: 'limits', tenantId, ...who, terms: { dailyQuota: 5 } });
    await complete(wireCompleted({ tenantId, traceId: 'second' }));
    expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED', 'COMMITTED']);
    await expectAtRest(world, [tenantId]);
  });

  it('does not count when an old copy of the hash was put back', async () => {
    const tenantId = await creditedTenant('1');
    const old = await world.hash(tenantId);
    await world.credit(tenantId, '9');
    await world.project([tenantId]);
    await ruin(tenantId, old);
    await complete(wireCompleted({ tenantId, traceId: 'paid', units: 8 }));
    expect(await lastStatus(tenantId)).to.equal('COMMITTED');
    await expectAtRest(world, [tenantId]);
  });

  const RUINED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'a lower balance': { balance: '0' },
    'a higher held amount': { held: '999000000000' },
    'a lower credit limit': { credit_limit: '-999000000000' },
    'a lower daily quota': { daily_quota: '0' },
    'more requests used': { monthly_used: '900' },
  };
  for (const [name, fields] of Object.entries(RUINED)) {
    it(`does not count when the hash at the account's version was given ${name} by hand`, async () => {
      const tenantId = await creditedTenant('10', { ...NO_LIMITS, dailyQuota: 9, monthlyQuota: 9 });
      await ruin(tenantId, fields);
      await complete(wireCompleted({ tenantId, traceId: 'paid' }));
      expect(await lastStatus(tenantId)).to.equal('COMMITTED');
      expect((await world.inFlight(tenantId)).map(({ traceId }) => traceId)).to.deep.equal(['paid']);
      await expectAtRest(world, [tenantId]);
    });
  }

  it('does not count when the sum of what is in flight was changed by hand, and sets it right', async () => {
    const tenantId = await creditedTenant('10');
    await holdAtGateway(tenantId, 'running', 2_000_000_000n);
    const { inflight } = quotaKeys(world.server.prefix, tenantId);
    await world.server.redis.hset(inflight, { '~available': '-10000000000' });
    await complete(wireCompleted({ tenantId, traceId: 'paid', units: 8 }));
    expect(await lastStatus(tenantId)).to.equal('COMMITTED');
    expect(await world.server.redis.hget(inflight, '~available')).to.equal('-10000000000');
    expect((await world.inFlight(tenantId)).map(({ traceId }) => traceId)).to.have.members(['running', 'paid']);
  });

  it('does not count for an item that the ledger already contains', async () => {
    const tenantId = await creditedTenant('10');
    await complete(wireCompleted({ tenantId, traceId: 'landed', units: 4 }));
    await world.project([tenantId]);
    const delta = {
      availableNano: -4_000_000_000n,
      requests: 1,
      day: DAY,
      checkBalance: false,
      checkQuota: false,
    } as const;
    const late = [{ traceId: 'landed', phase: 'c', delta }] as const;
    await world.scripts.deduct([{ tenantId, ledgerSeq: 3, items: late }], world.clock.nowMs());
    await complete(wireCompleted({ tenantId, traceId: 'paid', units: 6 }));
    expect(await lastStatus(tenantId)).to.equal('COMMITTED');
    expect((await world.inFlight(tenantId)).map(({ traceId }) => traceId)).to.have.members(['landed', 'paid']);
  });

  it('does not count for the hold of the very request that is charged', async () => {
    const tenantId = await creditedTenant('10');
    await holdAtGateway(tenantId, 'own', 9_000_000_000n);
    await complete(wireCompleted({ tenantId, traceId: 'own', units: 8 }));
    expect(await lastStatus(tenantId)).to.equal('COMMITTED');
    await expectAtRest(world, [tenantId]);
  });

  it('counts when the account less the holds of gateways refuses too, and records what was in flight', async () => {
    const tenantId = await creditedTenant('10', { ...NO_LIMITS, dailyQuota: 3 });
    await holdAtGateway(tenantId, 'running', 7_000_000_000n);
    await complete(
      wireCompleted({ tenantId, traceId: 'too-much', units: 4 }),
      wireCompleted({ tenantId, traceId: 'fits', units: 3 }),
    );
    const entries = await world.entries(tenantId);
    expect(entries.slice(2)).to.have.lengthOf(2);
    expect(entries[2]).to.deep.include({
      status: 'FAILED',
      description: 'INSUFFICIENT_BALANCE',
      detail: { available: '3.000000000', in_flight: '-7.000000000', required: '4.000000000' },
    });
    expect(entries[3]).to.include({ status: 'COMMITTED' });
  });

  it('counts for a request quota that gateways have used up, and records how many requests were in flight', async () => {
    const tenantId = await creditedTenant('10', { ...NO_LIMITS, dailyQuota: 2 });
    await holdAtGateway(tenantId, 'one', 1n);
    await holdAtGateway(tenantId, 'two', 1n);
    await complete(wireCompleted({ tenantId, traceId: 'third' }));
    expect((await world.entries(tenantId)).at(-1)).to.deep.include({
      description: 'DAILY_QUOTA_EXCEEDED',
      detail: { in_flight: '2', limit: '2', used: '2' },
    });
  });

  it('does not count for the hold of a settlement that was refused in the same chunk', async () => {
    const tenantId = await creditedTenant('10');
    await pend(wirePending({ tenantId, traceId: 'dear', units: 6 }));
    await world.project([tenantId]);
    await complete(
      wireCompleted({ tenantId, traceId: 'dear', units: 15 }),
      wireCompleted({ tenantId, traceId: 'after', units: 8 }),
    );
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'FAILED', 'COMMITTED']);
    await expectAtRest(world, [tenantId]);
  });

  it('does not count for a hold that has expired in the ledger and is not projected yet', async () => {
    const tenantId = await creditedTenant('10');
    await pend(wirePending({ tenantId, traceId: 'forgotten', units: 9 }));
    await world.project([tenantId]);
    await world.expireHolds();
    await complete(wireCompleted({ tenantId, traceId: 'paid', units: 8 }));
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'EXPIRED', 'COMMITTED']);
    await expectAtRest(world, [tenantId]);
  });

  it('leaves nothing in flight of a charge that ends as a dead letter', async () => {
    const tenantId = await creditedTenant('1');
    const streamed = { stream: true };
    await complete(wireCompleted({ tenantId, traceId: 'huge', units: 9_000_000_000, fields: streamed }));
    await world.project([tenantId]);
    await complete(
      wireCompleted({ tenantId, traceId: 'beyond', units: 500_000_000, fields: streamed }),
      wireCompleted({ tenantId, traceId: 'small', units: 1, fields: streamed }),
    );
    expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED', 'COMMITTED']);
    expect((await world.inFlight(tenantId)).map(({ traceId }) => traceId)).to.deep.equal(['small']);
    await expectAtRest(world, [tenantId]);
  });
});
