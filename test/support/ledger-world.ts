/**
 * Owns: what one test file charges in: a database, two topics, a group and a Redis prefix of its own; the ledger
 * processes it starts; waiting until everything published is charged; the three proofs; and removing it all.
 * Invariants: a missing server fails the file; a process that dies fails whatever waits for it; `close` ends every
 * process that is still running.
 */
import { expect } from 'chai';
import type { Admin, Kafka } from 'kafkajs';
import type pg from 'pg';
import { defaultTerms, type LedgerProcess, startLedgerProcess } from '../../src/cli/ledger-process.js';
import { createJournalTopic, createTopics } from '../../src/cli/topics-command.js';
import type { ChunkOutcome } from '../../src/consumers/charge-protocol.js';
import { streamLag } from '../../src/consumers/stream-lag.js';
import { bookCommand } from '../../src/ledger/commands/book-command.js';
import { parseAmount } from '../../src/ledger/money.js';
import { PostgresLedgerReader } from '../../src/ledger/postgres/postgres-ledger-reader.js';
import { PostgresLedgerStore } from '../../src/ledger/postgres/postgres-ledger-store.js';
import { QuotaScripts } from '../../src/lua/quota-scripts.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { proveProjections } from '../../src/reconciliation/projection-proof.js';
import { systemClock } from '../../src/runtime/clock.js';
import { type Config, type Environment, loadConfig } from '../../src/runtime/config.js';
import type { TollbookError } from '../../src/runtime/errors.js';
import { createLogger } from '../../src/runtime/logger.js';
import { waitForRedis } from '../../src/runtime/redis.js';
import type { ExpectedTenant } from '../../src/simulator/expectation.js';
import type { SimulationPlan } from '../../src/simulator/plan.js';
import { publishPlan, type PublishTarget } from '../../src/simulator/publish-plan.js';
import { deleteTopics, testBrokers, testKafka, uniqueTopic } from '../integration/kafka-topics.js';
import { openTestRedis, type TestRedis } from '../model/test-redis.js';
import { createTestDatabase, openApplicationPool, type TestDatabase } from './test-database.js';
import { waitUntil } from './wait-until.js';

/** How a world is made. */
export interface WorldOptions {
  /** Partitions of each topic; default 3. */
  readonly partitions?: number;
  /** Further environment variables, for the configuration and for child processes. */
  readonly settings?: Environment;
}

/** The tenants that are to have an opening credit: those of a simulation, or others. */
export interface Creditable {
  readonly expectation: { readonly tenants: Readonly<Record<string, Pick<ExpectedTenant, 'funded' | 'creditNeeded'>>> };
}

/** How a process of a world differs from the usual one. */
export interface ProcessOptions {
  readonly config?: Partial<Config>;
  readonly sweepIntervalMs?: number;
  readonly onChunk?: (outcome: ChunkOutcome) => void;
}

/** A line of the log of a world's processes. */
export interface LogLine {
  readonly msg: string;
  readonly err?: { readonly code?: string; readonly message?: string };
  readonly topic?: string;
  readonly partition?: number;
}

const PARTITIONS = 3;
const SWEEP_INTERVAL_MS = 60_000;
const REDIS_WAIT_MS = 10_000;

/** A ledger with everything around it, for one test file. */
export class LedgerWorld {
  readonly kafka: Kafka = testKafka();
  readonly admin: Admin = this.kafka.admin();
  readonly reader: PostgresLedgerReader;
  readonly scripts: QuotaScripts;
  readonly config: Readonly<Config>;
  /** What the processes of this world logged at level warn and above. */
  readonly log: LogLine[] = [];
  readonly #running = new Set<LedgerProcess>();
  readonly #failures: TollbookError[] = [];
  readonly #logger = createLogger({ level: 'warn' }, { write: (line) => this.log.push(JSON.parse(line) as LogLine) });

  private constructor(
    readonly environment: Environment,
    readonly database: TestDatabase,
    readonly pool: pg.Pool,
    readonly testRedis: TestRedis,
  ) {
    this.config = loadConfig(environment);
    this.reader = new PostgresLedgerReader(pool);
    this.scripts = new QuotaScripts(testRedis.redis, { prefix: testRedis.prefix });
  }

  /** Creates a world on the servers of the environment. */
  static async create(options: WorldOptions = {}): Promise<LedgerWorld> {
    const brokers = testBrokers().join(',');
    const database = await createTestDatabase();
    const testRedis = await openTestRedis();
    const environment: Environment = {
      KAFKA_BROKERS: brokers,
      DATABASE_URL: database.url,
      DATABASE_OWNER_URL: database.url,
      REDIS_URL: process.env['REDIS_URL'],
      TOLLBOOK_TOPIC_PENDING: uniqueTopic('usage.pending'),
      TOLLBOOK_TOPIC_COMPLETED: uniqueTopic('usage.completed'),
      TOLLBOOK_CONSUMER_GROUP: uniqueTopic('ledger'),
      TOLLBOOK_REDIS_PREFIX: testRedis.prefix,
      // Generous, so that a busy machine does not decide whether Redis takes part.
      TOLLBOOK_REDIS_DEADLINE_MS: '2000',
      ...options.settings,
    };
    const world = new LedgerWorld(environment, database, openApplicationPool(database), testRedis);
    await createTopics(world.kafka, world.topics, { partitions: options.partitions ?? PARTITIONS });
    if (world.config.commandsTopic !== '') await createJournalTopic(world.kafka, world.config.commandsTopic);
    await world.admin.connect();
    return world;
  }

  /** The two topics: pending, then completed. */
  get topics(): [string, string] {
    return [this.config.topicPending, this.config.topicCompleted];
  }

  /** Starts a process that consumes and projects. */
  async start(options: ProcessOptions = {}): Promise<LedgerProcess> {
    const { onChunk } = options;
    const ledger = await startLedgerProcess({
      config: Object.freeze({ ...this.config, ...options.config }),
      logger: this.#logger,
      consumes: true,
      projects: true,
      sweepIntervalMs: options.sweepIntervalMs ?? SWEEP_INTERVAL_MS,
      ...(onChunk === undefined ? {} : { onChunk }),
      onFatal: (error) => this.#failures.push(error),
    });
    this.#running.add(ledger);
    return ledger;
  }

  /** Stops a process, and fails if it reported that it could not go on. */
  async stop(ledger: LedgerProcess): Promise<void> {
    this.#running.delete(ledger);
    await ledger.stop();
    this.#assertAlive();
  }

  /** Gives every funded tenant of a simulation its opening credit. */
  async credit(plan: Creditable): Promise<void> {
    const defaults = { currency: this.config.defaultCurrency, terms: defaultTerms(this.config) };
    const ports = { store: new PostgresLedgerStore(this.pool), clock: systemClock, defaults };
    for (const [tenantId, { funded, creditNeeded }] of Object.entries(plan.expectation.tenants)) {
      if (!funded) continue;
      const amountNano = parseAmount(creditNeeded);
      const command = {
        kind: 'credit' as const,
        tenantId,
        key: 'opening-credit',
        amountNano,
        currency: 'USD',
        actor: 'test',
        reason: 'opening',
      };
      await bookCommand(ports, command);
    }
  }

  /** Publishes a simulation; `pace` limits the rate and hears of the progress. */
  async publish(plan: SimulationPlan, pace: Pick<PublishTarget, 'ratePerSecond' | 'onProgress'> = {}): Promise<void> {
    const [pending, completed] = this.topics;
    await publishPlan(plan, { brokers: testBrokers(), topics: { pending, completed }, ...pace });
  }

  /** Offsets published and not charged yet. */
  async lag(): Promise<bigint> {
    return streamLag(this.admin, this.reader, this.topics);
  }

  /** Waits until everything published is charged and projected. */
  async drain(): Promise<void> {
    await this.until('everything published is charged', async () => (await this.lag()) === 0n);
    let isIdle = false;
    const idle = Promise.all([...this.#running].map(({ projector }) => projector.idle()));
    await Promise.all([idle.then(() => (isIdle = true)), this.until('every projector is idle', () => isIdle)]);
  }

  /** Waits until a condition holds; fails at once when a process could not go on. */
  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    await waitUntil(what, () => {
      this.#assertAlive();
      return holds();
    });
  }

  /** What the three proofs find wrong, and the total that the ledger charged. */
  async prove(): Promise<{ readonly problems: readonly string[]; readonly ledgerTotal: string }> {
    await waitForRedis(this.testRedis.redis, REDIS_WAIT_MS);
    const chains = await proveChains(this.pool);
    const accounts = await proveAccounts(this.pool);
    const projections = await proveProjections(this.reader, this.scripts);
    const problems = [...chains.problems, ...accounts.problems, ...projections.problems];
    return { problems, ledgerTotal: accounts.ledgerTotal };
  }

  /** Fails with every problem that the three proofs find; returns the total that the ledger charged. */
  async assertProven(): Promise<string> {
    const { problems, ledgerTotal } = await this.prove();
    expect(problems).to.deep.equal([]);
    return ledgerTotal;
  }

  /** Runs a query and returns its rows. */
  async rows<R extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<R[]> {
    return (await this.pool.query<R>(sql, values)).rows;
  }

  /** How many rows a table has. */
  async count(table: 'ledger_entries' | 'dead_letters' | 'ledger_batches'): Promise<number> {
    const [row] = await this.rows<{ count: string }>(`SELECT count(*) FROM ${table}`);
    return Number(row?.count);
  }

  /** Ends every process and removes database, topics and keys. */
  async close(): Promise<void> {
    for (const ledger of this.#running) await ledger.stop();
    this.#running.clear();
    await this.admin.disconnect();
    await this.pool.end();
    await waitForRedis(this.testRedis.redis, REDIS_WAIT_MS);
    await this.testRedis.close();
    await this.database.drop();
    const { commandsTopic } = this.config;
    await deleteTopics(this.kafka, [...this.topics, ...(commandsTopic === '' ? [] : [commandsTopic])]);
  }

  #assertAlive(): void {
    const [failure] = this.#failures;
    if (failure !== undefined) throw failure;
  }
}
