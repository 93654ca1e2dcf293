/** Owns: what Redis can do to the ledger while it charges: nothing. Each test names its row of docs/failure-windows.md. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { waitForRedis } from '../../src/runtime/redis.js';
import { FaultWorld, type ProcessSettings } from '../support/fault-world.js';
import { dataFolderOf, killServer, reviveServer, signalServer, useFaultStack } from '../support/fault-stack.js';
import { waitUntil } from '../support/wait-until.js';

const REDIS_WAIT_MS = 10_000;
/** Keeps a backlog going long enough to be disturbed in the middle. */
const SLOWLY = 'charge.decoded=delay:25';

describe('charging while Redis', function () {
  this.timeout(180_000);
  let world: FaultWorld;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create();
  });

  after(async () => {
    await reviveServer('redis');
    await world.close();
  });

  /** Lets a process charge a backlog, does something to Redis in the middle, and checks what comes of it. */
  async function disturb(name: string, act: () => Promise<void>, settings: ProcessSettings = {}): Promise<string> {
    await world.publish(120);
    const child = world.start({ faults: SLOWLY, ...settings });
    await world.batches(5);
    await act();
    await world.recover(name, performance.now(), [child]);
    return child.log();
  }

  it('away, refusing or slower than its deadline: it is killed and comes back empty', async () => {
    const log = await disturb('Redis killed and started empty', async () => {
      await killServer('redis');
      await world.batches(5);
      await reviveServer('redis');
    });
    expect(log).to.include('Redis does not answer: PostgreSQL decides');
  });

  it("away, refusing or slower than its deadline: it is stopped (SIGSTOP), and a zombie's Redis call arrives late when it goes on", async () => {
    const log = await disturb(
      'Redis stopped beyond its deadline',
      async () => {
        signalServer('redis', 'SIGSTOP');
        await world.batches(8);
        signalServer('redis', 'SIGCONT');
      },
      { settings: { TOLLBOOK_REDIS_DEADLINE_MS: '100' } },
    );
    expect(log).to.include('Redis did not answer within 100 ms');
  });

  it('away, refusing or slower than its deadline: its memory is full', async () => {
    const { redis } = world.ledger.testRedis;
    const log = await disturb('Redis at maxmemory', async () => {
      await redis.config('SET', 'maxmemory', '1');
      await world.batches(8);
      await redis.config('SET', 'maxmemory', '0');
    });
    expect(log).to.include('OOM');
  });

  it('emptied (FLUSHALL, restart): three times while it is charged', async () => {
    await disturb('FLUSHALL', async () => {
      for (let time = 1; time <= 3; time += 1) {
        await world.ledger.testRedis.redis.flushall();
        await world.batches(2);
      }
    });
  });

  it('scripts flushed: three times while it is charged', async () => {
    const log = await disturb('SCRIPT FLUSH', async () => {
      for (let time = 1; time <= 3; time += 1) {
        await world.ledger.testRedis.redis.script('FLUSH');
        await world.batches(2);
      }
    });
    expect(log).to.not.include('NOSCRIPT');
  });

  it('a stale copy (failover to a replica): it is killed and comes back with an older snapshot', async () => {
    const { redis } = world.ledger.testRedis;
    const snapshot = path.join(dataFolderOf('redis'), 'dump.rdb');
    try {
      await disturb('Redis restored from an older snapshot', async () => {
        await redis.save();
        const before = await world.ledger.scripts.versions(world.tenantIds());
        await world.batches(8);
        await killServer('redis');
        await reviveServer('redis');
        await waitForRedis(redis, REDIS_WAIT_MS);
        expect(before.some((version) => version !== null)).to.equal(true);
      });
    } finally {
      rmSync(snapshot, { force: true });
    }
  });

  it('a gateway dies between hold and publish: what it held is swept after its time and counted as leaked', async () => {
    await world.publish(40);
    const child = world.start();
    await waitUntil('everything is charged', async () => (await world.ledger.lag()) === 0n, REDIS_WAIT_MS * 3);
    const funded = Object.entries(world.plans.at(-1)!.expectation.tenants).find(([, tenant]) => tenant.funded);
    const tenantId = funded?.[0] ?? '';
    await waitUntil('its hash is there', async () => (await world.ledger.scripts.versions([tenantId]))[0] !== null);
    const reply = await world.ledger.scripts.hold(
      { tenantId, traceId: 'never-published', amountNano: 1n, checkBalance: false, checkQuota: false, day: today() },
      Date.now(),
    );
    expect(reply.kind).to.equal('granted');
    await world.recover('gateway died between hold and publish', performance.now(), [child]);
    expect(child.log()).to.match(/"leaked":1\b/);
  });

  function today(): string {
    return new Date().toISOString().slice(0, 10);
  }
});
