/** The sweep of stale in-flight items on real servers: what it drops, what it counts, and what it leaves alone. */
import { expect } from 'chai';
import { type InflightSweep, sweepInflight } from '../../src/projections/inflight-sweeper.js';
import { Projector } from '../../src/projections/projector.js';
import { expectAtRest } from '../support/at-rest.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

const TTL_MS = 60_000;

describe('the in-flight sweeper', () => {
  let world: ProtocolWorld;
  let projector: Projector;

  before(async () => {
    world = await ProtocolWorld.open();
    const { reader, scripts, logger } = world;
    projector = new Projector({ reader, scripts, logger, onFatal: (error) => void world.logLines.push(error.message) });
  });
  afterEach(() => world.server.clear());
  after(async () => {
    await projector.stop();
    await world.close();
  });

  function sweep(): Promise<InflightSweep> {
    return sweepInflight({
      scripts: world.scripts,
      reader: world.reader,
      projector,
      clock: world.clock,
      ttlMs: TTL_MS,
    });
  }

  async function creditedTenant(): Promise<string> {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    await world.project([tenantId]);
    return tenantId;
  }

  async function hold(tenantId: string, traceId: string): Promise<void> {
    const amount = { amountNano: 1_000_000_000n, checkBalance: true, checkQuota: true, day: '2026-03-15' };
    expect((await world.scripts.hold({ tenantId, traceId, ...amount }, world.clock.nowMs())).kind).to.equal('granted');
  }

  async function tracesInFlight(tenantId: string): Promise<string[]> {
    return (await world.inFlight(tenantId)).map(({ traceId, phase }) => `${traceId}:${phase}`).sort();
  }

  it('drops a hold older than its time that never reached the ledger, counts it as leaked, and keeps a young one', async () => {
    const tenantId = await creditedTenant();
    await hold(tenantId, 'leaked');
    world.clock.atMs += TTL_MS;
    await hold(tenantId, 'young');
    expect(await sweep()).to.deep.equal({ tenants: 0, landed: 0, leaked: 0 });
    world.clock.atMs += 1;
    expect(await sweep()).to.deep.equal({ tenants: 1, landed: 0, leaked: 1 });
    expect(await tracesInFlight(tenantId)).to.deep.equal(['young:p']);
    expect(await sweep()).to.deep.equal({ tenants: 0, landed: 0, leaked: 0 });
  });

  it('drops an item that came back after its entry was projected, and counts it as landed', async () => {
    const tenantId = await creditedTenant();
    const event = wireCompleted({ tenantId, traceId: 'a' });
    await world.protocol().charge(world.stream('completed').chunk([event]));
    await world.project([tenantId]);
    await hold(tenantId, 'a');
    world.clock.atMs += TTL_MS + 1;
    expect(await sweep()).to.deep.equal({ tenants: 1, landed: 1, leaked: 0 });
    await expectAtRest(world, [tenantId]);
  });

  it('brings the hash up to date with what it drops, so that no charge is missing in between', async () => {
    const tenantId = await creditedTenant();
    await world
      .protocol()
      .charge(world.stream('completed').chunk([wireCompleted({ tenantId, traceId: 'a', units: 4 })]));
    world.clock.atMs += TTL_MS + 1;
    expect(await sweep()).to.deep.equal({ tenants: 1, landed: 1, leaked: 0 });
    expect(await world.hash(tenantId)).to.include({ version: '3', balance: '6000000000' });
    await expectAtRest(world, [tenantId]);
  });

  it('drops the hold of a trace whose completion is still under way only when the ledger has the hold', async () => {
    const tenantId = await creditedTenant();
    await hold(tenantId, 'only-held');
    await world
      .protocol()
      .charge(world.stream('pending').chunk([wirePending({ tenantId, traceId: 'pending', units: 2 })]));
    world.clock.atMs += TTL_MS + 1;
    expect(await sweep()).to.deep.equal({ tenants: 1, landed: 1, leaked: 1 });
    expect(await world.hash(tenantId)).to.include({ held: '2000000000' });
    await expectAtRest(world, [tenantId]);
  });

  it('finds nothing in flight of an event whose charge turned out to be beyond 2^63', async () => {
    const tenantId = world.tenant();
    const costing = (traceId: string, cost: string): ReturnType<typeof wireCompleted> =>
      wireCompleted({
        tenantId,
        traceId,
        units: 1000,
        fields: { pricing: { input_per_1k: cost, currency: 'USD' }, stream: true },
      });
    const stream = world.stream('completed');
    await world.protocol().charge(stream.chunk([costing('largest', '9223372036.854775807')]));
    await world.project([tenantId]);
    await world.protocol().charge(stream.chunk([costing('too-much', '5')]));
    expect(await tracesInFlight(tenantId)).to.deep.equal([]);
    await expectAtRest(world, [tenantId]);
  });

  it('sweeps many tenants at once', async () => {
    const tenantIds = await Promise.all(Array.from({ length: 25 }, creditedTenant));
    for (const tenantId of tenantIds) await hold(tenantId, 'leaked');
    world.clock.atMs += TTL_MS + 1;
    expect(await sweep()).to.deep.equal({ tenants: 25, landed: 0, leaked: 25 });
    await expectAtRest(world, tenantIds);
  });
});
