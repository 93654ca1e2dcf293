/**
 * Owns: putting a process together from its settings: connections, ledger, quota scripts, consumer and projection; and
 * taking it apart in the right order.
 * Does not own: what any part does.
 * Invariants: what is opened is closed, also when a later part fails to start; on stop the consumer ends first, so that
 * the projector sees the last chunk.
 */
import type { Admin, Kafka } from 'kafkajs';
import type pg from 'pg';
import type { Redis } from 'ioredis';
import { COMMANDED_TOPICS } from '../command-journal/history-watch.js';
import { ChargeProtocol, type ChunkOutcome } from '../consumers/charge-protocol.js';
import { HoldExpiry } from '../consumers/hold-expiry.js';
import { PoisonHunt } from '../consumers/poison-hunt.js';
import { StreamPositions } from '../consumers/stream-positions.js';
import { ChunkJoiner } from '../consumers/chunk-joiner.js';
import { readBacklog } from '../consumers/stream-backlog.js';
import { UsageConsumer } from '../consumers/usage-consumer.js';
import type { StreamSource } from '../ledger/batch.js';
import { PostgresDueHolds } from '../ledger/postgres/due-holds.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { PostgresLedgerStore } from '../ledger/postgres/postgres-ledger-store.js';
import { assertPriceBook } from '../ledger/postgres/price-books.js';
import { QuotaScripts } from '../lua/quota-scripts.js';
import { sweepInflight } from '../projections/inflight-sweeper.js';
import { ProjectionWorker } from '../projections/projection-worker.js';
import { type ProjectedVersion, Projector } from '../projections/projector.js';
import { ProcessWatch } from '../process/process-watch.js';
import { type Clock, systemClock } from '../runtime/clock.js';
import type { Config } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createKafka } from '../runtime/kafka.js';
import type { Logger } from '../runtime/logger.js';
import { LogTails } from '../runtime/log-tails.js';
import { Metrics } from '../runtime/metrics.js';
import { assertSchemaCurrent } from '../runtime/migrations.js';
import type { CheckedClock } from '../runtime/checked-clock.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { clockBeside } from '../runtime/postgres-time.js';
import { createRedis } from '../runtime/redis.js';
import { checkJournalTopic, checkUsageTopics, type RiskySetting } from '../runtime/topic-settings.js';
import { auditTurns } from './audit-turns.js';
import { anchorTopics, startAnchorPublisher } from './anchor-parts.js';
import { journalTopics, startJournal } from './journal-parts.js';
import { chargingParts } from './charging-parts.js';
import { KafkaLogReader } from './log-identity.js';
import { measured, serveMetrics, sharedBacklog, watchPartitions } from './ledger-metrics.js';
import { packageVersion } from './package-version.js';
import { onceItAnswers, type ServerWait } from './server-wait.js';

export { defaultTerms } from './charging-parts.js';

/** How a ledger process is run. */
export interface LedgerProcessOptions {
  readonly config: Readonly<Config>;
  readonly logger: Logger;
  /** Charge events from Kafka. */
  readonly consumes: boolean;
  /** Keep the quota hashes equal to the ledger. */
  readonly projects: boolean;
  readonly sweepIntervalMs: number;
  readonly onFetch?: () => void;
  readonly onChunk?: (outcome: ChunkOutcome) => void;
  readonly onProjected?: (versions: readonly ProjectedVersion[]) => void;
  /** Called once when the process cannot go on. */
  readonly onFatal: (error: TollbookError) => void;
  /** Given: servers that are away at the start are waited for until it is aborted; else the start fails. */
  readonly stopping?: AbortSignal;
}

/** A running process. */
export interface LedgerProcess {
  readonly projector: Projector;
  /** Stops cleanly: finishes and commits the running chunks, leaves the group, projects them, closes connections. */
  stop(): Promise<void>;
}

/** For reading, projecting and sweeping, and for the journal of commands, which waits for Kafka with one. */
const IDLE_CONNECTIONS = 3;
/** The sweep for expired holds may wait for a lock: it must not take the connection of a partition. */
const EXPIRY_CONNECTIONS = 1;

/** Starts a consumer, a projector, or both. Throws SCHEMA_OUT_OF_DATE, PRICE_BOOK_UNKNOWN, TOPIC_MISSING, RUN_STOPPED, … */
export async function startLedgerProcess(options: LedgerProcessOptions): Promise<LedgerProcess> {
  const closers: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    return { ...(await assemble(options, closers)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function assemble(
  options: LedgerProcessOptions,
  closers: (() => Promise<unknown>)[],
): Promise<{ projector: Projector }> {
  const { config, logger } = options;
  const metrics = new Metrics();
  const watch = new ProcessWatch({ config, kind: options.consumes ? 'consume' : 'project', version: packageVersion() });
  closers.push(() => watch.stop());
  closers.push(await serveMetrics({ metrics, watch }, { config, logger }));
  const pool = openPool(options);
  closers.push(() => pool.end());
  const clock = clockBeside(pool, config.clockSkewMaxMs);
  await onceItAnswers(() => assertDatabaseReady(options, { pool, clock }), waitOf(options));
  closers.push(clock.watch());
  const redis = openRedis(config, logger);
  closers.push(() => {
    redis.disconnect();
    return Promise.resolve();
  });
  const onMended = (tenantIds: readonly string[]): void => {
    metrics.addMended(tenantIds.length);
    logger.error({ tenantIds }, 'keys in Redis held what no script of Tollbook writes: mended');
  };
  const scripts = new QuotaScripts(redis, { prefix: config.redisPrefix, callSpan: config.redisCallSpan, onMended });
  closers.push(startJournal(config, { pool, logger, metrics, watch }));
  const reader = new PostgresLedgerReader(pool);
  const projector = new Projector({
    reader,
    scripts,
    logger,
    onFatal: options.onFatal,
    ...(options.onProjected === undefined ? {} : { onProjected: options.onProjected }),
  });
  if (options.projects) {
    metrics.watchProjections(() => projector.stats());
    watch.parts.projections = () => projector.stats();
    const worker = projectionWorker(options, { pool, projector, reader, redis, scripts, metrics });
    closers.push(() => worker.stop());
    await onceItAnswers(() => worker.start(), waitOf(options));
  }
  if (options.consumes) closers.push(startHoldExpiry(options, { pool, projector, clock }));
  if (options.consumes)
    await startConsumer(options, closers, { pool, scripts, reader, projector, metrics, watch, clock });
  watch.parts.phase = 'running';
  closers.push(() => Promise.resolve(void (watch.parts.phase = 'stopping')));
  return { projector };
}

function waitOf({ logger, stopping }: LedgerProcessOptions): ServerWait {
  return { logger, stopping };
}

async function assertDatabaseReady(
  { config, consumes }: LedgerProcessOptions,
  { pool, clock }: { readonly pool: pg.Pool; readonly clock: CheckedClock },
): Promise<void> {
  await assertSchemaCurrent(pool);
  if (consumes) await clock.check();
  if (consumes && config.priceBook !== '') await assertPriceBook(pool, config.priceBook, 'TOLLBOOK_PRICE_BOOK');
}

function openPool({ config, logger, consumes }: LedgerProcessOptions): pg.Pool {
  return createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: consumes ? 'tollbook-consume' : 'tollbook-project',
    connectionsMax: (consumes ? config.partitionsConcurrent + EXPIRY_CONNECTIONS : 0) + IDLE_CONNECTIONS,
    onIdleError: (error) => logger.warn({ err: error }, 'PostgreSQL connection lost'),
  });
}

/** Connects to Redis; that it is away is told once, since the gate and the projector tell of the effect, when there is one. */
export function openRedis(config: Readonly<Config>, logger: Logger): Redis {
  let isAway = false;
  const onError = (error: TollbookError): void => {
    logger[isAway ? 'debug' : 'warn']({ err: error }, 'Redis is away: connecting until it answers');
    isAway = true;
  };
  const redis = createRedis(config.redisUrl, { onError });
  redis.on('ready', () => {
    if (isAway) logger.info('Redis is connected');
    isAway = false;
  });
  return redis;
}

interface ProjectionParts {
  readonly pool: pg.Pool;
  readonly projector: Projector;
  readonly reader: PostgresLedgerReader;
  readonly redis: Redis;
  readonly scripts: QuotaScripts;
  readonly metrics: Metrics;
}

function projectionWorker(options: LedgerProcessOptions, parts: ProjectionParts): ProjectionWorker {
  const { projector, reader, redis, scripts, metrics } = parts;
  const { consumes, config, logger, sweepIntervalMs } = options;
  return new ProjectionWorker({
    projector,
    reader,
    redis,
    logger,
    follows: (source: StreamSource) => !consumes || COMMANDED_TOPICS.has(source.topic),
    sweepInflight: async () => {
      const ttlMs = config.inflightTtlMs;
      const swept = await sweepInflight({ scripts, reader, projector, clock: systemClock, ttlMs });
      metrics.addLeakedHolds(swept.leaked);
      return swept;
    },
    sweepIntervalMs,
    audit: auditTurns(options, parts),
    auditIntervalMs: config.auditIntervalMs,
  });
}

/** Starts the sweep for holds past their time; returns how to stop it. */
function startHoldExpiry(
  { config, logger, projects, onFatal }: LedgerProcessOptions,
  { pool, projector, clock }: { readonly pool: pg.Pool; readonly projector: Projector; readonly clock: Clock },
): () => Promise<void> {
  const expiry = new HoldExpiry({
    store: new PostgresLedgerStore(pool),
    dueHolds: new PostgresDueHolds(pool),
    clock,
    logger,
    intervalMs: config.expiryIntervalMs,
    wakeProjector: (tenantIds) => {
      if (projects) projector.mark(tenantIds);
    },
    onFatal,
  });
  expiry.start();
  return () => expiry.stop();
}

async function startConsumer(
  options: LedgerProcessOptions,
  closers: (() => Promise<unknown>)[],
  parts: Omit<ProjectionParts, 'redis'> & { readonly watch: ProcessWatch; readonly clock: Clock },
): Promise<void> {
  const { config, logger } = options;
  const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-consume', logger });
  const usageTopics = [config.topicPending, config.topicCompleted];
  const topics = [...usageTopics, ...journalTopics(config), ...anchorTopics(config)];
  const { admin, clusterId } = await onceItAnswers(() => connectAdmin(kafka, topics), waitOf(options));
  closers.push(() => admin.disconnect());
  await checkTopics(admin, options);
  closers.push(startAnchorPublisher(config, { pool: parts.pool, kafka, logger }));
  const tails = await onceItAnswers(() => LogTails.open(kafka, usageTopics), waitOf(options));
  closers.push(() => tails.close());
  const log = await onceItAnswers(() => KafkaLogReader.open(kafka, usageTopics), waitOf(options));
  closers.push(() => log.close());
  const protocol = new ChargeProtocol({
    ...chargingParts(config, { scripts: parts.scripts, logger, clock: parts.clock }),
    store: new PostgresLedgerStore(parts.pool),
    clusterId,
    wakeProjector: (advances) => {
      if (options.projects) parts.projector.markAdvanced(advances);
    },
  });
  const joiner = new ChunkJoiner({
    chargeTogether: (chunks) => protocol.chargeTogether(chunks),
    transactionsMax: config.partitionsConcurrent,
    messagesMax: config.chunkMessagesMax,
  });
  const consumer = new UsageConsumer({
    kafka,
    groupId: config.consumerGroup,
    sessionTimeoutMs: config.sessionTimeoutMs,
    topics: new Map([
      [config.topicPending, 'pending'],
      [config.topicCompleted, 'completed'],
    ]),
    protocol: new PoisonHunt({
      charging: measured(joiner, { metrics: parts.metrics, onChunk: options.onChunk }),
      logger,
      onFailed: (topic) => parts.metrics.addProcessingFailure(topic),
    }),
    positions: new StreamPositions({ admin, cursors: parts.reader, clusterId, log }),
    cursors: parts.reader,
    chunkMessagesMax: config.chunkMessagesMax,
    partitionsConcurrent: config.partitionsConcurrent,
    retryPauseMaxMs: config.retryPauseMaxMs,
    alarmAfterMs: config.alarmAfterMs,
    clock: systemClock,
    logger,
    ...(options.onFetch === undefined ? {} : { onFetch: options.onFetch }),
    onFatal: options.onFatal,
  });
  closers.push(() => consumer.stop());
  Object.assign(parts.watch.parts, { consumer, groupId: config.consumerGroup });
  watchPartitions(parts.metrics, {
    backlog: sharedBacklog(() => readBacklog(tails, parts.reader)),
    stopped: () => consumer.stopped(),
    clock: systemClock,
  });
  const start = (): Promise<void> =>
    consumer.start().catch((error: unknown) => {
      throw kafkaProblem(error);
    });
  await onceItAnswers(start, waitOf(options));
}

/** Refuses topics that lose events or commands, and warns of those that may. */
async function checkTopics(admin: Admin, options: LedgerProcessOptions): Promise<void> {
  const { config, logger } = options;
  const check = async (): Promise<RiskySetting[]> => {
    try {
      const usage = await checkUsageTopics(admin, [config.topicPending, config.topicCompleted]);
      const journals = await Promise.all(journalTopics(config).map((topic) => checkJournalTopic(admin, topic)));
      return [...usage, ...journals.flat()];
    } catch (error) {
      throw kafkaProblem(error);
    }
  };
  for (const risk of await onceItAnswers(check, waitOf(options))) {
    logger.warn(risk, 'a topic may lose acknowledged events or commands with this setting');
  }
}

/** Connects an admin client and makes sure that the topics exist. Throws KAFKA_UNAVAILABLE, TOPIC_MISSING. */
export async function connectAdmin(
  kafka: Kafka,
  topics: readonly string[],
): Promise<{ admin: Admin; clusterId: string }> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const existing = new Set(await admin.listTopics());
    const missing = topics.filter((topic) => !existing.has(topic));
    if (missing.length > 0) {
      throw new TollbookError(
        'TOPIC_MISSING',
        `topic ${missing.join(', ')} does not exist; create it with: tollbook topics create`,
      );
    }
    const { clusterId } = await admin.describeCluster();
    return { admin, clusterId };
  } catch (error) {
    await admin.disconnect();
    throw kafkaProblem(error);
  }
}

/** Whatever kafkajs threw while connecting, as ours. */
function kafkaProblem(error: unknown): TollbookError {
  if (error instanceof TollbookError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new TollbookError('KAFKA_UNAVAILABLE', `Kafka does not answer: ${why}`, { cause: error });
}
