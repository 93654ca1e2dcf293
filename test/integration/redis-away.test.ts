/**
 * Owns: that charging neither stops nor errs while Redis is away or has lost everything, and that Redis is rebuilt from
 * the ledger afterwards.
 */
import { expect } from 'chai';
import { proveProjections } from '../../src/reconciliation/projection-proof.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import type { SimulationPlan } from '../../src/simulator/plan.js';
import { planSimulation } from '../../src/simulator/simulate.js';
import { startServer, stackStatus, stopServer } from '../../src/stack/local-stack.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { assertTenantsAsPlanned, sumOf } from '../support/planned-tenants.js';

const SPOILED = { duplicates: 0.2, reorder: 'full', poison: 0.01 } as const;
/** Slow enough that a run outlasts the absence of Redis. */
const RATE_PER_SECOND = 500;
const SWEEP_INTERVAL_MS = 1_000;

describe('charging without Redis', function () {
  this.timeout(90_000);
  let world: LedgerWorld;
  const charged: SimulationPlan[] = [];

  /** The folder of the stack under test, whose Redis these tests stop. */
  function stackDir(): string {
    const dir = process.env['TOLLBOOK_STACK_DIR'];
    if (dir === undefined) expect.fail('TOLLBOOK_STACK_DIR is not set: these tests stop and start Redis');
    return dir;
  }

  /** Charges a simulation and does something to Redis once a third of it is published. */
  async function chargeWhile(seed: number, disturb: () => Promise<void>): Promise<void> {
    const plan = await planSimulation({ seed, requests: 1_500, tenants: 20, tenantPrefix: `away${seed}-`, ...SPOILED });
    await world.credit(plan);
    charged.push(plan);
    const ledger = await world.start({ sweepIntervalMs: SWEEP_INTERVAL_MS });
    let published = 0;
    const onProgress = (progress: { published: number }): void => void (published = progress.published);
    const publishing = world.publish(plan, { ratePerSecond: RATE_PER_SECOND, onProgress });
    await world.until('a third is published', () => published > plan.expectation.published.total / 3);
    await disturb();
    expect(published, 'published when Redis was back').to.be.below(plan.expectation.published.total);
    await publishing;
    await world.drain();
    await untilHashesEqual();
    await world.stop(ledger);
  }

  async function untilHashesEqual(): Promise<void> {
    await world.until('the hashes equal the accounts', async () => {
      try {
        return (await proveProjections(world.reader, world.scripts)).problems.length === 0;
      } catch (error) {
        if (isTollbookError(error, 'REDIS_UNAVAILABLE')) return false; // the test's own connection is not back yet
        throw error;
      }
    });
  }

  async function assertAllCharged(): Promise<void> {
    for (const { expectation } of charged) await assertTenantsAsPlanned(world, expectation);
    expect(await world.assertProven()).to.equal(sumOf(charged.map(({ expectation }) => expectation.totals.charged)));
  }

  /** Waits until the ledger has so many entries more than now. */
  async function untilEntriesGrow(by: number): Promise<void> {
    const before = await world.count('ledger_entries');
    await world.until(
      `${by} more entries are booked`,
      async () => (await world.count('ledger_entries')) >= before + by,
    );
  }

  before(async () => {
    world = await LedgerWorld.create({ settings: { TOLLBOOK_CHUNK_MESSAGES_MAX: '100' } });
  });

  after(async () => {
    await startServer('redis', { dir: stackDir() });
    await world.close();
  });

  it('goes on while Redis is stopped, rebuilds every hash when it returns empty, and ends exact', async () => {
    await chargeWhile(1, async () => {
      expect(await stopServer('redis', { dir: stackDir() })).to.equal(true);
      await untilEntriesGrow(300);
      expect(stackStatus({ dir: stackDir() }).servers.redis.running).to.equal(false);
      await startServer('redis', { dir: stackDir() });
    });
    await assertAllCharged();
  });

  it('goes on while Redis is killed and away until the stream has ended, and ends exact', async () => {
    const plan = await planSimulation({ seed: 2, requests: 500, tenants: 20, tenantPrefix: 'away2-', ...SPOILED });
    await world.credit(plan);
    charged.push(plan);
    const ledger = await world.start();
    await stopServer('redis', { dir: stackDir(), signal: 'SIGKILL' });
    await world.publish(plan);
    await world.until('everything is charged', async () => (await world.lag()) === 0n);
    await startServer('redis', { dir: stackDir() });
    await world.drain();
    await untilHashesEqual();
    await world.stop(ledger);
    await assertAllCharged();
  });

  it('rebuilds every hash and ends exact when FLUSHALL empties Redis in mid-run', async () => {
    await chargeWhile(3, async () => {
      for (let time = 1; time <= 3; time += 1) {
        await world.testRedis.redis.flushall();
        await untilEntriesGrow(50);
      }
    });
    await assertAllCharged();
  });

  it('rebuilds every hash after FLUSHALL though no further event comes', async () => {
    const ledger = await world.start({ sweepIntervalMs: SWEEP_INTERVAL_MS });
    const before = ledger.projector.stats().projected;
    await world.testRedis.redis.flushall();
    const tenants = (await world.reader.pageAccounts('', 1_000)).length;
    await world.until('every tenant is projected', () => ledger.projector.stats().projected >= before + tenants);
    await world.stop(ledger);
    expect(tenants).to.be.above(50);
    await assertAllCharged();
  });
});
