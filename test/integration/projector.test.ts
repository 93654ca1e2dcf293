/** When tenants are projected: coalesced, kept over an outage, noticed from other processes, ended in good time. */
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import type { LedgerStore } from '../../src/ledger/ledger-store.js';
import { QuotaScripts } from '../../src/lua/quota-scripts.js';
import { BatchTail } from '../../src/projections/batch-tail.js';
import { Projector } from '../../src/projections/projector.js';
import { createRedis, waitForRedis } from '../../src/runtime/redis.js';
import { expectAtRest } from '../support/at-rest.js';
import { batchOf, ProtocolWorld, type TestStream } from '../support/protocol-world.js';
import { waitUntil } from '../support/wait-until.js';
import { wireCompleted } from '../support/wire-usage.js';

describe('the projector', () => {
  let world: ProtocolWorld;
  let redis: Redis;
  let projector: Projector;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  beforeEach(async () => {
    redis = createRedis(process.env['REDIS_URL'] ?? '', { onError: () => undefined });
    await waitForRedis(redis, 5_000);
    const scripts = new QuotaScripts(redis, { prefix: world.server.prefix });
    const onFatal = (error: Error): void => void world.logLines.push(`fatal ${error.message}`);
    projector = new Projector({ reader: world.reader, scripts, logger: world.logger, onFatal });
  });
  afterEach(async () => {
    await projector.stop();
    redis.disconnect();
    expect(world.logLines.filter((line) => line.startsWith('fatal'))).to.deep.equal([]);
  });
  after(() => world.close());

  async function charge(
    stream: TestStream,
    tenantId: string,
    traceId: string,
    store: LedgerStore = world.store,
  ): Promise<void> {
    const event = wireCompleted({ tenantId, traceId, fields: { stream: true } });
    batchOf(await world.protocol({ store }).charge(stream.chunk([event])));
  }

  it('projects a hot tenant in far fewer runs than it was marked', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed');
    for (let index = 0; index < 50; index += 1) {
      await charge(stream, tenantId, `trace-${index}`);
      for (let marks = 0; marks < 20; marks += 1) projector.mark([tenantId]);
    }
    await projector.idle();
    expect(projector.stats().projected).to.be.within(1, 60);
    expect(projector.stats()).to.include({ waiting: 0, failures: 0, ahead: 0 });
    expect(await world.hash(tenantId)).to.include({ version: '51', balance: '-50000000000' });
  });

  it('keeps its marks while Redis is away and projects them when it is back', async () => {
    const tenantIds = [world.tenant(), world.tenant()];
    for (const tenantId of tenantIds) await charge(world.stream('completed'), tenantId, 'a');
    redis.disconnect();
    projector.mark(tenantIds);
    await waitUntil('two runs have failed', () => projector.stats().failures >= 2);
    expect(projector.stats()).to.include({ projected: 0, waiting: 2 });
    for (const tenantId of tenantIds) expect(await world.hash(tenantId)).to.include({ version: '0', balance: '0' });
    await redis.connect();
    await projector.idle();
    expect(projector.stats()).to.include({ projected: 2, waiting: 0 });
    for (const tenantId of tenantIds) expect(await world.hash(tenantId)).to.include({ version: '2' });
    await expectAtRest(world, tenantIds);
  });

  it('keeps no more marks than its bound while Redis is away, and a sweep finds the tenants behind them', async () => {
    const tenantIds = [world.tenant(), world.tenant()];
    for (const tenantId of tenantIds) await charge(world.stream('completed'), tenantId, 'a');
    redis.disconnect();
    await waitUntil('it is disconnected', () => redis.status === 'end');
    projector.mark(tenantIds);
    for (let first = 0; first < 250_000; first += 1_000) {
      projector.mark(Array.from({ length: 1_000 }, (_, index) => `nobody-${first + index}`));
      expect(projector.stats().waiting).to.be.at.most(100_000);
    }
    await redis.connect();
    await waitUntil('both are projected', async () => {
      const versions = await Promise.all(tenantIds.map((tenantId) => world.hash(tenantId)));
      return versions.every(({ version }) => version === '2');
    });
    await projector.idle();
    await expectAtRest(world, tenantIds);
  });

  it('stops also when Redis goes away before the last marks are projected', async () => {
    const tenantId = world.tenant();
    await charge(world.stream('completed'), tenantId, 'a');
    redis.disconnect();
    projector.mark([tenantId]);
    await projector.stop();
    expect(projector.stats()).to.include({ projected: 0, waiting: 1 });
  });

  it('notices through the batch chains what another process has sealed, each batch once', async () => {
    const tail = new BatchTail(world.reader, () => true);
    await tail.start();
    const [tenantA, tenantB] = [world.tenant(), world.tenant()];
    const streams = [world.stream('completed'), world.stream('completed')];
    await charge(streams[0]!, tenantA, 'a');
    await charge(streams[1]!, tenantB, 'a');
    await world.credit(tenantB, '5');
    expect((await noticed(tail)).sort()).to.deep.equal([tenantA, tenantB, tenantB].sort());
    expect(await noticed(tail)).to.deep.equal([]);
    for (let index = 0; index < 45; index += 1) await charge(streams[0]!, tenantA, `more-${index}`);
    expect(new Set(await noticed(tail))).to.deep.equal(new Set([tenantA]));
  });

  it('notices only the sources it follows, and nothing that was sealed before it started', async () => {
    const [followed, ignored] = [world.stream('completed'), world.stream('completed')];
    const [tenantA, tenantB] = [world.tenant(), world.tenant()];
    const tail = new BatchTail(world.reader, ({ partition }) => partition === followed.source.partition);
    await charge(followed, tenantA, 'before');
    await tail.start();
    await charge(ignored, tenantB, 'a');
    expect(await noticed(tail)).to.deep.equal([]);
    await charge(followed, tenantA, 'after');
    expect(await noticed(tail)).to.deep.equal([tenantA]);
  });

  it('loses no batch when ids commit out of order', async () => {
    const [early, late] = [world.tenant(), world.tenant()];
    const tail = new BatchTail(world.reader, () => true);
    await tail.start();
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    let drawn = (): void => undefined;
    const hasDrawn = new Promise<void>((resolve) => (drawn = resolve));
    const heldOpen: LedgerStore = {
      transact: (work) =>
        world.store.transact(async (transaction) => {
          const result = await work(transaction);
          drawn();
          await finished;
          return result;
        }),
    };
    const slow = charge(world.stream('completed'), early, 'a', heldOpen);
    await hasDrawn;
    await charge(world.stream('completed'), late, 'a');
    expect(await noticed(tail)).to.deep.equal([late]);
    finish();
    await slow;
    expect(await noticed(tail)).to.deep.equal([early]);
  });

  async function noticed(tail: BatchTail): Promise<string[]> {
    const tenantIds: string[] = [];
    await tail.advance((found) => void tenantIds.push(...found));
    return tenantIds;
  }
});
