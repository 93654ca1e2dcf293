/** The projection on real servers: the quota hash as exactly the ledger at its version, whatever happened to Redis. */
import { expect } from 'chai';
import type { AccountProgress, LedgerAdvance } from '../../src/ledger/ledger-reader.js';
import { PostgresLedgerReader } from '../../src/ledger/postgres/postgres-ledger-reader.js';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { type ProjectReply, QuotaScripts, type TenantProjection } from '../../src/lua/quota-scripts.js';
import { CommittedFacts } from '../../src/projections/committed-facts.js';
import { projectTenants } from '../../src/projections/projection.js';
import { Projector } from '../../src/projections/projector.js';
import { expectAtRest } from '../support/at-rest.js';
import { NO_LIMITS, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const CHUNK_SIZE = 1_800;
const CHUNKS = 3;

/** The real scripts, behind a projection that is overtaken between its reads and its write. */
class OvertakenScripts extends QuotaScripts {
  beforeProject = (): Promise<void> => Promise.resolve();

  override async project(projections: readonly TenantProjection[]): Promise<readonly ProjectReply[]> {
    await this.beforeProject();
    return super.project(projections);
  }
}

/** The real reader, counting how often it is asked. */
class CountingReader extends PostgresLedgerReader {
  reads = 0;

  override readProgress(...asked: Parameters<PostgresLedgerReader['readProgress']>): Promise<AccountProgress[]> {
    this.reads += 1;
    return super.readProgress(...asked);
  }
}

describe('the projection', () => {
  let world: ProtocolWorld;
  let projector: Projector;

  before(async () => {
    world = await ProtocolWorld.open();
    const { reader, scripts, logger } = world;
    projector = new Projector({
      reader,
      scripts,
      logger,
      onFatal: (error) => void world.logLines.push(`fatal ${error.message}`),
    });
  });
  beforeEach(() => void world.logLines.splice(0));
  after(async () => {
    await projector.stop();
    await world.close();
  });

  function streamed(tenantId: string, traceIds: readonly string[]): WireEvent[] {
    return traceIds.map((traceId) => wireCompleted({ tenantId, traceId, fields: { stream: true } }));
  }

  async function charge(tenantId: string, ...traceIds: string[]): Promise<void> {
    await world.protocol().charge(world.stream('completed').chunk(streamed(tenantId, traceIds)));
  }

  it('writes exactly the fields of the hash, each as the account has it', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10.5', { ...NO_LIMITS, creditLimitNano: 3n as never, dailyQuota: 9 });
    await world.protocol().charge(world.stream('pending').chunk([wirePending({ tenantId, traceId: 'a', units: 2 })]));
    await charge(tenantId, 'b');
    expect(await world.project([tenantId])).to.deep.equal({ projected: 1, current: 0, again: [], ahead: [] });
    expect(await world.hash(tenantId)).to.deep.equal({
      ...{ balance: '9500000000', held: '2000000000', credit_limit: '3', version: '4' },
      ...{ daily_quota: '9', daily_used: '2', daily_date: '2026-03-15' },
      ...{ monthly_quota: 'unlimited', monthly_used: '2', monthly_month: '2026-03', past_counts: '|' },
    });
    expect(await world.project([tenantId])).to.deep.equal({ projected: 0, current: 1, again: [], ahead: [] });
    await expectAtRest(world, [tenantId]);
  });

  it('drops from flight what the ledger contains, and nothing else', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    await world.project([tenantId]);
    await charge(tenantId, 'a');
    const held = { tenantId, traceId: 'held', amountNano: 5n, checkBalance: true, checkQuota: true, day: '2026-03-15' };
    await world.scripts.hold(held, world.clock.nowMs());
    expect((await world.inFlight(tenantId)).map(({ traceId }) => traceId)).to.have.members(['a', 'held']);
    await world.project([tenantId]);
    expect(
      (await world.inFlight(tenantId)).map(({ traceId, availableNano }) => [traceId, availableNano]),
    ).to.deep.equal([['held', -5n]]);
  });

  it('hydrates a missing hash and drops what was in flight and has landed', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    await world.project([tenantId]);
    await charge(tenantId, 'a', 'b');
    await world.server.redis.del(quotaKeys(world.server.prefix, tenantId).quota);
    expect(await world.inFlight(tenantId)).to.have.length(2);
    await expectAtRest(world, [tenantId]);
  });

  it('hydrates a hash that is missing while a hold is in flight, and keeps the hold', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    await world.project([tenantId]);
    const held = { tenantId, traceId: 'held', amountNano: 5n, checkBalance: true, checkQuota: true, day: '2026-03-15' };
    await world.scripts.hold(held, world.clock.nowMs());
    await world.server.redis.del(quotaKeys(world.server.prefix, tenantId).quota);
    await charge(tenantId, 'a');
    expect((await world.project([tenantId])).projected).to.equal(1);
    expect(await world.hash(tenantId)).to.include({ balance: '9000000000', version: '3' });
    expect((await world.inFlight(tenantId)).map(({ traceId }) => traceId)).to.deep.equal(['held']);
  });

  it('rebuilds every hash with one sweep after Redis has lost everything', async () => {
    const tenantIds = Array.from({ length: 30 }, () => world.tenant());
    for (const tenantId of tenantIds) await charge(tenantId, 'a', 'b');
    await world.server.redis.flushall();
    expect(await projector.sweep()).to.be.at.least(tenantIds.length);
    await projector.idle();
    for (const tenantId of tenantIds)
      expect(await world.hash(tenantId)).to.include({ balance: '-2000000000', version: '3' });
    expect(await projector.sweep()).to.equal(0);
    await expectAtRest(world, tenantIds);
  });

  it(`catches up with more entries than one run reads, of which some were put in flight`, async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '1');
    await world.project([tenantId]);
    const stream = world.stream('completed');
    for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
      const traceIds = Array.from({ length: CHUNK_SIZE }, (_none, index) => `trace-${chunk}-${index}`);
      await world.protocol().charge(stream.chunk(streamed(tenantId, traceIds)));
    }
    expect(await world.inFlight(tenantId)).to.have.length(CHUNKS * CHUNK_SIZE);
    expect((await world.project([tenantId])).projected).to.equal(1);
    expect(await world.hash(tenantId)).to.include({
      version: String(2 + CHUNKS * CHUNK_SIZE),
      balance: `-${CHUNKS * CHUNK_SIZE - 1}000000000`,
    });
    await expectAtRest(world, [tenantId]);
  });

  it('alarms at a hash ahead of its ledger and hydrates it anew', async () => {
    const tenantId = world.tenant();
    await charge(tenantId, 'a');
    await world.project([tenantId]);
    const { quota } = quotaKeys(world.server.prefix, tenantId);
    await world.server.redis.hset(quota, { version: '900', balance: '77' });
    expect((await world.project([tenantId])).ahead).to.deep.equal([tenantId]);
    expect(
      world.logLines.filter((line) => line.includes('ahead of its ledger')).map((line) => JSON.parse(line) as object),
    ).to.have.length(1);
    expect(world.logLines.join('')).to.include(`"tenantId":"${tenantId}","version":900,"seq":2`);
    await expectAtRest(world, [tenantId]);
  });

  it('decides by the ledger where a hash is ahead of it, and the projection mends the hash', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '3');
    await world.project([tenantId]);
    await world.server.redis.hset(quotaKeys(world.server.prefix, tenantId).quota, {
      version: '900',
      balance: '77000000000',
    });
    const events = ['a', 'b'].map((traceId) => wireCompleted({ tenantId, traceId, units: 2 }));
    await world.protocol().charge(world.stream('completed').chunk(events));
    expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED', 'FAILED']);
    await expectAtRest(world, [tenantId]);
  });

  it('comes to the same from what was just committed as from reading it back, and then reads nothing', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '5');
    await world.project([tenantId]);
    const committed = await advancesOfTwoCharges(tenantId);
    const reader = new CountingReader(world.pool);
    const ports = { reader, scripts: world.scripts, logger: world.logger };
    expect(await projectTenants(ports, [tenantId], { committed })).to.include({ projected: 1 });
    expect(reader.reads).to.equal(0);
    expect(await world.hash(tenantId)).to.include({ version: '4', balance: '3000000000' });
    await expectAtRest(world, [tenantId]);
  });

  it('reads the ledger where what was committed does not begin at the version of the hash', async () => {
    const tenantId = world.tenant();
    await charge(tenantId, 'unprojected');
    const committed = await advancesOfTwoCharges(tenantId);
    await charge(tenantId, 'later');
    const reader = new CountingReader(world.pool);
    const ports = { reader, scripts: world.scripts, logger: world.logger };
    await world.server.redis.hset(quotaKeys(world.server.prefix, tenantId).quota, { version: '1' });
    expect(await projectTenants(ports, [tenantId], { committed })).to.include({ projected: 1 });
    expect(reader.reads).to.equal(1);
    expect(await world.hash(tenantId)).to.include({ version: '5' });
    await expectAtRest(world, [tenantId]);
  });

  async function advancesOfTwoCharges(tenantId: string): Promise<Map<string, LedgerAdvance>> {
    const facts = new CommittedFacts();
    const wakeProjector = (advances: readonly LedgerAdvance[]): void => advances.forEach((each) => facts.add(each));
    const stream = world.stream('completed');
    for (const traceId of ['first', 'second']) {
      await world.protocol({ wakeProjector }).charge(stream.chunk(streamed(tenantId, [traceId])));
    }
    return new Map(facts.take([tenantId]));
  }

  it('leaves a hash alone that another projection has moved since the ledger was read, and says to try again', async () => {
    const tenantId = world.tenant();
    await charge(tenantId, 'a');
    const overtaken = new OvertakenScripts(world.server.redis, { prefix: world.server.prefix });
    overtaken.beforeProject = async (): Promise<void> => {
      await charge(tenantId, 'b');
      expect(await world.project([tenantId])).to.include({ projected: 1 });
    };
    const ports = { reader: world.reader, scripts: overtaken, logger: world.logger };
    expect(await projectTenants(ports, [tenantId])).to.deep.include({ projected: 0, again: [tenantId] });
    expect(await world.hash(tenantId)).to.include({ version: '3', balance: '-2000000000' });
    await expectAtRest(world, [tenantId]);
  });

  it('never erases a concurrent deduction: what the ledger has decided is in the hash or in flight at any moment', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '1000');
    await world.project([tenantId]);
    const protocol = world.protocol();
    const writers = ['one', 'two', 'three'].map(async (name) => {
      const stream = world.stream('completed');
      for (let index = 0; index < 40; index += 1) {
        await protocol.charge(stream.chunk([wireCompleted({ tenantId, traceId: `${name}-${index}` })]));
      }
    });
    const writing = { goesOn: true };
    const meanwhile = async (work: () => Promise<unknown>): Promise<void> => {
      while (writing.goesOn) await work();
    };
    await Promise.all([
      Promise.all(writers).finally(() => (writing.goesOn = false)),
      meanwhile(() => world.project([tenantId])),
      meanwhile(() => expectNothingMissing(tenantId)),
    ]);
    expect(await world.statuses(tenantId)).to.have.length(120);
    await expectAtRest(world, [tenantId]);
  });

  /** Reads the ledger first: what it has charged by then, one snapshot of hash and flight afterwards must know. */
  async function expectNothingMissing(tenantId: string): Promise<void> {
    const charged = (await world.account(tenantId))!.balanceNano;
    const keys = quotaKeys(world.server.prefix, tenantId);
    const snapshot = await world.server.redis
      .multi()
      .hget(keys.quota, 'balance')
      .hget(keys.inflight, '~available')
      .exec();
    const [balance, inFlight] = (snapshot ?? []).map(([, reply]) => BigInt((reply as string | null) ?? '0'));
    expect(
      balance! + inFlight! <= charged,
      `hash ${balance} + in flight ${inFlight} knows the ledger's ${charged}`,
    ).to.equal(true);
  }
});
