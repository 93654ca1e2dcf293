/** The gate to Redis under a slow network: what arrives late must not undo what the ledger has decided meanwhile. */
import { expect } from 'chai';
import type { QuotaGate, QuotaQuestion } from '../../src/consumers/quota-gate.js';
import type { Account } from '../../src/ledger/account.js';
import { QuotaScripts } from '../../src/lua/quota-scripts.js';
import { expectAtRest } from '../support/at-rest.js';
import { type HeldRedis, openHeldRedis } from '../support/held-redis.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted } from '../support/wire-usage.js';

const DEADLINE_MS = 30;

describe('the quota gate', () => {
  let world: ProtocolWorld;
  let slow: HeldRedis;

  before(async () => {
    world = await ProtocolWorld.open();
    slow = await openHeldRedis();
  });
  after(async () => {
    await slow.close();
    await world.close();
  });

  async function creditedTenant(units: string): Promise<string> {
    const tenantId = world.tenant();
    await world.credit(tenantId, units);
    await world.project([tenantId]);
    return tenantId;
  }

  /** Charges a completion while nothing sent to Redis arrives. */
  async function chargeWhileHeld(tenantId: string): Promise<void> {
    const scripts = new QuotaScripts(slow.redis, { prefix: world.server.prefix });
    await scripts.deduct([{ tenantId, ledgerSeq: 2, items: [] }], 0); // loads the scripts before anything is held
    slow.hold();
    const protocol = world.protocol({ gate: world.gate(scripts, DEADLINE_MS) });
    batchOf(
      await protocol.charge(world.stream('completed').chunk([wireCompleted({ tenantId, traceId: 'a', units: 4 })])),
    );
    expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED']);
  }

  it('charges by the ledger alone when Redis does not answer within the deadline', async () => {
    const tenantId = await creditedTenant('10');
    await chargeWhileHeld(tenantId);
    await slow.release();
    expect((await world.inFlight(tenantId)).map(({ traceId }) => traceId)).to.deep.equal(['a']);
    await expectAtRest(world, [tenantId]);
  });

  it('never sets a hash back when its question arrives after the answer was projected', async () => {
    const tenantId = await creditedTenant('10');
    await chargeWhileHeld(tenantId);
    await world.project([tenantId]);
    const projected = await world.hash(tenantId);
    expect(projected).to.include({ version: '3', balance: '6000000000' });
    await slow.release();
    expect(await world.hash(tenantId)).to.deep.equal(projected);
    expect(await world.inFlight(tenantId)).to.deep.equal([]);
  });

  it('never sets a hash back for a writer that was paused and knows only an old account', async () => {
    const tenantId = await creditedTenant('10');
    const stale: ReadonlyMap<string, Account> = await world.reader.readAccounts([tenantId]);
    const stream = world.stream('completed');
    await world.protocol().charge(stream.chunk([wireCompleted({ tenantId, traceId: 'a', units: 4 })]));
    await world.project([tenantId]);
    const projected = await world.hash(tenantId);
    let paused: QuotaQuestion | undefined;
    const recording: QuotaGate = {
      reserve: (question) => {
        paused = question;
        return Promise.resolve(undefined);
      },
    };
    await world
      .protocol({ gate: recording })
      .charge(stream.chunk([wireCompleted({ tenantId, traceId: 'b', units: 1 })]));
    if (paused === undefined) expect.fail('the gate was not asked');
    expect(await world.gate().reserve({ ...paused, accounts: stale })).to.equal(undefined);
    expect(await world.hash(tenantId)).to.deep.equal(projected);
    await expectAtRest(world, [tenantId]);
  });

  it('leaves Redis alone for a moment after a failure, and asks it again afterwards', async () => {
    const tenantId = await creditedTenant('10');
    const scripts = new QuotaScripts(slow.redis, { prefix: world.server.prefix });
    const gate = world.gate(scripts);
    const stream = world.stream('completed');
    const charge = async (traceId: string): Promise<string[]> => {
      await world.protocol({ gate }).charge(stream.chunk([wireCompleted({ tenantId, traceId })]));
      return (await world.inFlight(tenantId)).map((item) => item.traceId);
    };
    slow.redis.disconnect();
    expect(await charge('away')).to.deep.equal([]);
    await slow.redis.connect();
    expect(await charge('paused')).to.deep.equal([]);
    world.clock.atMs += 500;
    expect(await charge('asked')).to.deep.equal(['asked']);
    await expectAtRest(world, [tenantId]);
  });

  it('asks Redis again at once when the clock has stepped back since the failure', async () => {
    const tenantId = await creditedTenant('10');
    const scripts = new QuotaScripts(slow.redis, { prefix: world.server.prefix });
    const protocol = world.protocol({ gate: world.gate(scripts) });
    const stream = world.stream('completed');
    slow.redis.disconnect();
    await protocol.charge(stream.chunk([wireCompleted({ tenantId, traceId: 'away' })]));
    await slow.redis.connect();
    world.clock.atMs -= 60_000;
    await protocol.charge(stream.chunk([wireCompleted({ tenantId, traceId: 'asked' })]));
    expect((await world.inFlight(tenantId)).map(({ traceId }) => traceId)).to.deep.equal(['asked']);
    world.clock.atMs += 60_000;
    await expectAtRest(world, [tenantId]);
  });
});
