/**
 * Owns: `tollbook demo`: the whole way of a real trace through the ledger, and the proof that every nano-unit is right.
 * Does not own: the parts it plays (stack, simulator, consumer, proofs); what the figures look like (demo-report.ts).
 * Invariants: the expected total comes from the simulator, which knows nothing of the consumer; exit code 0 only when
 * every proof holds.
 */
import { writeFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type pg from 'pg';
import { streamLag } from '../consumers/stream-lag.js';
import { bookCommand } from '../ledger/commands/book-command.js';
import { parseAmount } from '../ledger/money.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { PostgresLedgerStore } from '../ledger/postgres/postgres-ledger-store.js';
import { QuotaScripts } from '../lua/quota-scripts.js';
import { proveAccounts } from '../reconciliation/account-proof.js';
import { proveChains } from '../reconciliation/chain-proof.js';
import { proveProjections } from '../reconciliation/projection-proof.js';
import { systemClock } from '../runtime/clock.js';
import type { Config } from '../runtime/config.js';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import { createKafka } from '../runtime/kafka.js';
import { createLogger } from '../runtime/logger.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { waitForRedis } from '../runtime/redis.js';
import type { SimulationPlan } from '../simulator/plan.js';
import { publishPlan } from '../simulator/publish-plan.js';
import { planSimulation, writeExpectation } from '../simulator/simulate.js';
import {
  type DemoProofs,
  type DemoSummary,
  demoTables,
  readDemoCounts,
  readDemoTenants,
  summarise,
} from './demo-report.js';
import { connectAdmin, defaultTerms, openRedis, startLedgerProcess } from './ledger-process.js';
import { wholeNumber } from './option-values.js';
import { startProgress } from './progress.js';
import { enterRunWorld } from './run-world.js';
import { printText } from './output.js';

interface DemoFlags {
  readonly requests: number;
  readonly tenants: number;
  readonly seed: number;
  readonly out: string;
  readonly json?: boolean;
}

const PARTITIONS = 4;
const DRAIN_POLL_MS = 50;
const DRAIN_TIMEOUT_MS = 10 * 60_000;
const REDIS_WAIT_MS = 10_000;
const EXPECTATION_FILE = '.tollbook/demo-expectation.json';

/** Adds `demo` to the program. */
export function registerDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('replay a real LLM trace through the whole ledger, and prove the result')
    .option('--requests <n>', 'requests to replay', wholeNumber(1, 2_000_000), 20_000)
    .option('--tenants <n>', 'tenants to spread them over', wholeNumber(1, 100_000), 40)
    .option('--seed <n>', 'seed of the simulated gateway', wholeNumber(0, Number.MAX_SAFE_INTEGER), 1)
    .option('--out <file>', 'where the summary goes', '.tollbook/demo-summary.json')
    .option('--json', 'print the summary as one JSON object instead of tables')
    .action(async (flags: DemoFlags) => {
      const report = (line: string): void => void process.stderr.write(`${line}\n`);
      const world = await enterRunWorld({ name: 'demo', partitions: PARTITIONS, keepsJournal: true, report });
      try {
        const summary = await playDemo(world.config, flags);
        if (!summary.ok) process.exitCode = 1;
      } finally {
        await world.leave();
      }
    });
}

async function playDemo(config: Readonly<Config>, flags: DemoFlags): Promise<DemoSummary> {
  const pool = createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: 'tollbook-demo',
    connectionsMax: 4,
  });
  try {
    const plan = await planSimulation({
      requests: flags.requests,
      tenants: flags.tenants,
      seed: flags.seed,
      duplicates: 0.05,
      reorder: 'full',
      poison: 0.005,
    });
    await writeExpectation(plan.expectation, EXPECTATION_FILE);
    await giveCredit(pool, config, { plan, silent: flags.json === true });
    const { elapsedMs } = await publishAndCharge(pool, config, { plan, silent: flags.json === true });
    const proofs = await prove(pool, config);
    const counts = await readDemoCounts(pool, config);
    const tenants = await readDemoTenants(pool);
    const summary = summarise({ expectation: plan.expectation, counts, tenants, proofs, elapsedMs });
    await mkdir(dirname(flags.out), { recursive: true });
    await writeFile(flags.out, `${JSON.stringify(summary, null, 2)}\n`);
    printText(flags.json === true ? `${JSON.stringify(summary)}\n` : demoTables(summary, tenants, flags.out));
    return summary;
  } finally {
    await pool.end();
  }
}

interface Play {
  readonly plan: SimulationPlan;
  readonly silent: boolean;
}

/** Gives every funded tenant its opening credit, through the ledger's own command. */
async function giveCredit(pool: pg.Pool, config: Readonly<Config>, { plan, silent }: Play): Promise<void> {
  const defaults = { currency: config.defaultCurrency, terms: defaultTerms(config) };
  const ports = { store: new PostgresLedgerStore(pool), clock: systemClock, defaults };
  const funded = Object.entries(plan.expectation.tenants).filter(([, tenant]) => tenant.funded);
  const progress = startProgress({ label: 'crediting', total: funded.length, unit: 'tenants', silent });
  for (const [index, [tenantId, { creditNeeded }]] of funded.entries()) {
    await bookCommand(ports, {
      kind: 'credit',
      tenantId,
      key: 'demo-opening-credit',
      amountNano: parseAmount(creditNeeded),
      currency: config.defaultCurrency,
      actor: 'demo',
      reason: 'opening credit',
    });
    progress.set(index + 1);
  }
  progress.stop();
}

/** Publishes the plan while a consumer charges it, and waits until all is charged and projected. */
async function publishAndCharge(
  pool: pg.Pool,
  config: Readonly<Config>,
  { plan, silent }: Play,
): Promise<{ elapsedMs: number }> {
  const { total } = plan.expectation.published;
  const progress = startProgress({ label: 'charging', total, unit: 'messages', silent });
  let charged = 0;
  let failure: TollbookError | undefined;
  const topics = [config.topicPending, config.topicCompleted];
  const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-demo' });
  const { admin } = await connectAdmin(kafka, topics);
  const ledger = await startLedgerProcess({
    config,
    logger: createLogger({ level: 'error', name: 'demo' }),
    consumes: true,
    projects: true,
    sweepIntervalMs: 60_000,
    onChunk: (outcome) => {
      if (outcome.kind !== 'charged') return;
      const { openings: _openings, ...messages } = outcome.batch.counts;
      charged += Object.values(messages).reduce((sum, count) => sum + count, 0);
      progress.set(charged);
    },
    onFatal: (error) => void (failure = error),
  });
  const startedMs = systemClock.nowMs();
  try {
    await publishPlan(plan, {
      brokers: config.kafkaBrokers.split(','),
      topics: { pending: config.topicPending, completed: config.topicCompleted },
    });
    const reader = new PostgresLedgerReader(pool);
    while ((await streamLag(admin, reader, topics)) > 0n) {
      if (failure !== undefined) throw failure;
      if (systemClock.nowMs() - startedMs > DRAIN_TIMEOUT_MS) {
        throw new TollbookError('CONSUMER_CRASHED', `only ${charged} of ${total} messages were charged in ten minutes`);
      }
      await delay(DRAIN_POLL_MS);
    }
    await ledger.projector.idle();
    return { elapsedMs: systemClock.nowMs() - startedMs };
  } finally {
    progress.stop();
    await ledger.stop();
    await admin.disconnect();
  }
}

async function prove(pool: pg.Pool, config: Readonly<Config>): Promise<DemoProofs> {
  const redis = openRedis(config, createLogger({ level: 'error', name: 'demo' }));
  try {
    await waitForRedis(redis, REDIS_WAIT_MS);
    const scripts = new QuotaScripts(redis, { prefix: config.redisPrefix });
    return {
      chains: await proveChains(pool),
      accounts: await proveAccounts(pool),
      projections: await proveProjections(new PostgresLedgerReader(pool), scripts),
    };
  } catch (error) {
    if (isTollbookError(error)) throw error;
    throw new TollbookError('INVARIANT_BROKEN', 'the proofs could not be made', { cause: error });
  } finally {
    redis.disconnect();
  }
}
