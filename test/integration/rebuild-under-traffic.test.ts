/**
 * Owns: the promise of a rebuild as an operator needs it at night: Redis loses everything while gateways go on sending, and
 * `tollbook rebuild --all` brings it back beside a running consumer, with nothing refused that could be paid.
 */
import { expect } from 'chai';
import { planSimulation } from '../../src/simulator/simulate.js';
import type { SimulationPlan } from '../../src/simulator/plan.js';
import { killConsumers, startConsume } from '../support/consume-child.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { assertTenantsAsPlanned } from '../support/planned-tenants.js';
import { repeatDuring } from '../support/rebuild-samples.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completions, send } from '../support/usage-messages.js';

const QUIET_TENANTS = 2_000;
/** So that the traffic lasts for several losses and rebuilds. */
const RATE_PER_SECOND = 500;

/** A loss of everything in Redis and the rebuild after it. */
interface Recovery {
  readonly rebuilt: number;
  /** Messages charged between the loss and the end of the rebuild. */
  readonly charged: number;
}

describe('a rebuild of everything Redis has lost', function () {
  this.timeout(180_000);
  let world: LedgerWorld;
  let plan: SimulationPlan;

  before(async () => {
    world = await LedgerWorld.create({ settings: { TOLLBOOK_AUDIT_INTERVAL_MS: '0' } });
    plan = await planSimulation({ seed: 7, requests: 6_000, tenants: 60, duplicates: 0.05, reorder: 'local' });
    await world.credit(plan);
    await send(world.kafka, world.config.topicCompleted, quietTraffic());
  });
  after(async () => {
    killConsumers();
    await world.close();
  });

  /** Tenants that nobody projects again: only the rebuild brings them back. */
  function quietTraffic(): ReturnType<typeof completions> {
    return Array.from({ length: QUIET_TENANTS }, (_, index) =>
      completions(`quiet-${index}`, 1, { partition: index % 3 }),
    ).flat();
  }

  function tollbook(...args: readonly string[]): ReturnType<typeof runTollbook> {
    return runTollbook(args, world.environment as Record<string, string>);
  }

  async function chargedMessages(): Promise<number> {
    const [row] = await world.rows<{ messages: string }>(
      'SELECT coalesce(sum(charged + duplicates + superseded), 0) AS messages FROM ledger_batches',
    );
    return Number(row?.messages);
  }

  async function loseAndRebuild(): Promise<Recovery> {
    await world.testRedis.redis.flushall();
    const before = await chargedMessages();
    const { exitCode, stdout, stderr } = await tollbook('rebuild', '--all', '--json');
    expect(exitCode, stderr).to.equal(0);
    const { tenants } = JSON.parse(stdout) as { tenants: number };
    return { rebuilt: tenants, charged: (await chargedMessages()) - before };
  }

  it('refuses nothing that can be paid, leaves no drift, and holds no traffic up', async () => {
    const consumer = startConsume(world.environment);
    await world.until('the quiet tenants are charged', async () => (await world.lag()) === 0n);
    const recoveries: Recovery[] = [];
    const publishing = world.publish(plan, { ratePerSecond: RATE_PER_SECOND });
    await world.until('the traffic flows', async () => (await chargedMessages()) > QUIET_TENANTS);
    await repeatDuring(publishing, async () => void recoveries.push(await loseAndRebuild()));
    await world.until('everything published is charged', async () => (await world.lag()) === 0n);
    for (const { rebuilt } of recoveries) expect(rebuilt).to.be.least(QUIET_TENANTS);
    // The traffic may have ended during the last one.
    for (const { charged } of recoveries.slice(0, Math.max(1, recoveries.length - 1))) {
      expect(charged, 'messages charged during a rebuild').to.be.greaterThan(0);
    }
    await assertTenantsAsPlanned(world, plan.expectation);
    await world.until('the last charges are projected', async () => (await world.prove()).problems.length === 0);
    const audit = await tollbook('audit', '--leak-after', '0');
    expect(audit.stdout).to.match(/^\d+ tenants looked at: no difference\n$/);
    consumer.kill('SIGTERM');
    expect(await consumer.ended, consumer.log()).to.equal(0);
  });
});
