/**
 * Owns: what reconciling and repairing run on, made from the settings: a reader of the topics and a pool.
 * Invariants: what is opened is closed, whatever happens in between.
 */
import type { Kafka } from 'kafkajs';
import type pg from 'pg';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import type { RangeRequest } from '../reconciliation/reconcile/frozen-ranges.js';
import type { ReconcilePorts } from '../reconciliation/reconcile/reconcile.js';
import { TopicReader } from '../reconciliation/topic/topic-reader.js';
import { systemClock } from '../runtime/clock.js';
import { type Config, loadConfig } from '../runtime/config.js';
import { createKafka } from '../runtime/kafka.js';
import { createLogger } from '../runtime/logger.js';
import { assertSchemaCurrent } from '../runtime/migrations.js';
import { createPostgresPool } from '../runtime/postgres.js';

/** The connections and settings of a run. */
export interface ReconcileWorld {
  readonly config: Readonly<Config>;
  readonly pool: pg.Pool;
  readonly ports: ReconcilePorts;
  readonly request: RangeRequest;
  readonly coversAllTopics: boolean;
}

/** Entries, and what was set aside, are read at once. */
const CONNECTIONS = 5;
const TOPICS = 2;

/** A client for reading topics; what it has to say goes to stderr. */
export function readerKafka(config: Readonly<Config>): Kafka {
  const logger = createLogger({ level: 'warn', name: 'tollbook', pretty: true });
  return createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-reconcile', logger });
}

/** Runs work on the connections of a reconciliation. Throws CONFIG_INVALID, SCHEMA_OUT_OF_DATE, TOPIC_MISSING, … */
export async function withReconcileWorld<F, T>(
  flags: F,
  requestOf: (flags: F, config: Readonly<Config>) => RangeRequest,
  work: (world: ReconcileWorld) => Promise<T>,
): Promise<T> {
  const config = loadConfig();
  const request = requestOf(flags, config);
  const { databaseUrl: url, databaseRole: role } = config;
  const pool = createPostgresPool({ url, role, applicationName: 'tollbook-reconcile', connectionsMax: CONNECTIONS });
  try {
    await assertSchemaCurrent(pool);
    const topics = request.topics.map(({ topic }) => topic);
    const cursors = await new PostgresLedgerReader(pool).readCursors();
    const reader = await TopicReader.open(readerKafka(config), topics, cursors);
    try {
      const ports = { pool, reader, settings: settingsOf(config), clock: systemClock };
      return await work({ config, pool, ports, request, coversAllTopics: topics.length === TOPICS });
    } finally {
      await reader.close();
    }
  } finally {
    await pool.end();
  }
}

function settingsOf(config: Readonly<Config>): ReconcilePorts['settings'] {
  return {
    estimates: {
      outputTokensDefault: config.estimateOutputTokensDefault,
      outputTokensMax: config.estimateOutputTokensMax ?? null,
    },
    defaultCurrency: config.defaultCurrency,
    eventBytesMax: config.eventBytesMax,
  };
}
