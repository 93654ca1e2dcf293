/**
 * Owns: how everything stands, from outside of every process: servers, partitions, processes, and what waits for an operator.
 * Does not own: how it looks (cli/status-text.ts), nor what a process tells of itself (process/readiness.ts).
 * Invariants: reads only; a server that is away costs three seconds at most, and hides nothing that the others tell.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import type pg from 'pg';
import { type PartitionBacklog, readBacklog } from '../consumers/stream-backlog.js';
import { sourceName } from '../ledger/batch.js';
import { rowsThrough } from '../ledger/postgres/anchor-rows.js';
import { readJournalLag } from '../ledger/postgres/journal-rows.js';
import { readWaiting, type Waiting } from '../ledger/postgres/waiting-work.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { type LatestCheck, readLatestChecks, readReports, type StoredReport } from '../process/process-reports.js';
import type { BlockedDocument, LostHistoryDocument, ReadinessDocument } from '../process/readiness.js';
import type { Config } from '../runtime/config.js';
import { type ErrorCode, isTollbookError, TollbookError } from '../runtime/errors.js';
import { createKafka } from '../runtime/kafka.js';
import { LogTails } from '../runtime/log-tails.js';
import { ownValue } from '../runtime/name-map.js';
import { createPostgresPool, translatePostgresError } from '../runtime/postgres.js';
import { createRedis, redisError, waitForRedis } from '../runtime/redis.js';
import type { ServerName } from '../runtime/server-watch.js';

/** How a server answers. */
export interface ServerStatus {
  readonly name: ServerName;
  readonly ok: boolean;
  readonly version: string | null;
  readonly latency_ms: number | null;
  readonly cause: { readonly code: string; readonly message: string } | null;
}

/** How a partition stands. */
export interface PartitionStatus {
  readonly topic: string;
  readonly partition: number;
  readonly position: string | null;
  readonly end: string;
  readonly lag: number;
  readonly lag_seconds: number;
  readonly held_back: boolean;
  /** The process that was given it, as host:pid; null: none tells so. */
  readonly process: string | null;
  readonly blocked: BlockedDocument | null;
}

/** A process, and when it was last heard of. */
export interface ProcessStatus {
  readonly process: string;
  readonly kind: string;
  readonly version: string;
  readonly started_at: string;
  readonly heard_seconds_ago: number;
  readonly status: string;
  readonly projections_waiting: number;
}

/** How far the journal of commands is. */
export interface JournalStatus {
  readonly topic: string;
  readonly commands_waiting: number;
  readonly oldest_seconds: number;
}

/** How everything stands. */
export interface StatusDocument {
  readonly status: 'healthy' | 'degraded' | 'server_away';
  readonly servers: readonly ServerStatus[];
  readonly partitions: readonly PartitionStatus[] | null;
  readonly processes: readonly ProcessStatus[] | null;
  /** What PostgreSQL had and no longer has, as the processes tell. */
  readonly lost_history: readonly LostHistoryDocument[] | null;
  /** The journal of commands; null where none is kept, or while PostgreSQL is away. */
  readonly journal: JournalStatus | null;
  readonly waiting: Waiting | null;
  readonly checks: readonly LatestCheck[] | null;
}

/** How long a server may take to answer, in milliseconds. */
const DEADLINE_MS = 2_500;
/** A process that was not heard of for so long hangs, was killed, or cannot write. */
const SILENT_AFTER_S = 20;

const UNANSWERED: Readonly<Record<ServerName, ErrorCode>> = {
  kafka: 'KAFKA_UNAVAILABLE',
  postgres: 'POSTGRES_UNAVAILABLE',
  redis: 'REDIS_UNAVAILABLE',
};

interface Stored {
  readonly isReadOnly: boolean;
  readonly reports: readonly StoredReport[];
  readonly waiting: Waiting;
  readonly journal: JournalStatus | null;
  readonly checks: readonly LatestCheck[];
}

/** Reads how everything stands. Never rejects for a server that is away. */
export async function readStatus(config: Readonly<Config>): Promise<StatusDocument> {
  const { databaseUrl: url, databaseRole: role } = config;
  const pool = createPostgresPool({ url, role, applicationName: 'tollbook-status', connectionsMax: 2 });
  const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-status', retries: 0 });
  const [postgres, redis, log] = await Promise.all([
    asked('postgres', () => readStored(pool, config.commandsTopic)),
    asked('redis', () => readRedis(config.redisUrl)),
    asked('kafka', () => readLog(kafka, pool, [config.topicPending, config.topicCompleted])),
  ]);
  void pool.end();
  const stored = postgres.found?.stored;
  const servers = [log.server, stored?.isReadOnly === true ? readOnly(postgres.server) : postgres.server, redis.server];
  const isAway = [log, postgres, redis].some(({ found }) => found === undefined);
  const reports = stored?.reports ?? [];
  const partitions = log.found?.backlog?.map((each) => partitionStatus(each, reports)) ?? null;
  const processes = stored === undefined ? null : reports.map(processStatus);
  const isWell = servers.every(({ ok }) => ok) && isCharging(partitions, processes);
  return {
    status: isAway ? 'server_away' : isWell ? 'healthy' : 'degraded',
    servers,
    partitions,
    processes,
    lost_history: stored === undefined ? null : lostHistoryOf(reports),
    journal: stored?.journal ?? null,
    waiting: stored?.waiting ?? null,
    checks: stored?.checks ?? null,
  };
}

/** Every partition is read by somebody and none is stopped, and every process is ready. */
function isCharging(partitions: StatusDocument['partitions'], processes: StatusDocument['processes']): boolean {
  return (
    partitions?.every(({ blocked, process }) => blocked === null && process !== null) === true &&
    processes?.every(({ status }) => status === 'ready') === true
  );
}

/** A database that answers and cannot be written, as after a failover: nothing is charged until it can. */
function readOnly(server: ServerStatus): ServerStatus {
  const message = 'PostgreSQL answers, and is read-only: nothing can be charged';
  return { ...server, ok: false, cause: { code: 'POSTGRES_UNAVAILABLE', message } };
}

interface Asked<T> {
  readonly server: ServerStatus;
  readonly found: T | undefined;
}

/** Asks a server, and tells how that went. Never rejects. */
async function asked<T extends { readonly version: string | null }>(
  name: ServerName,
  ask: () => Promise<T>,
): Promise<Asked<T>> {
  const startedMs = performance.now();
  try {
    const late = delay(DEADLINE_MS, undefined, { ref: false }).then((): never => {
      throw new TollbookError(UNANSWERED[name], `no answer within ${DEADLINE_MS} ms`);
    });
    const found = await Promise.race([ask(), late]);
    const latency = Math.round((performance.now() - startedMs) * 10) / 10;
    return { server: { name, ok: true, version: found.version, latency_ms: latency, cause: null }, found };
  } catch (error) {
    const code = isTollbookError(error) ? error.code : 'NO_ANSWER';
    const message = error instanceof Error ? error.message : String(error);
    return { server: { name, ok: false, version: null, latency_ms: null, cause: { code, message } }, found: undefined };
  }
}

async function readStored(pool: pg.Pool, commandsTopic: string): Promise<{ version: string; stored: Stored }> {
  const { rows } = await pool
    .query<{ version: string; isReadOnly: boolean }>(
      `SELECT current_setting('server_version') AS version, current_setting('transaction_read_only') = 'on' AS "isReadOnly"`,
    )
    .catch((error: unknown) => {
      throw translatePostgresError(error);
    });
  const [server] = rows;
  const stored = {
    isReadOnly: server?.isReadOnly === true,
    reports: await readReports(pool),
    waiting: await readWaiting(pool),
    journal: commandsTopic === '' ? null : await readJournal(pool, commandsTopic),
    checks: await readLatestChecks(pool),
  };
  return { version: server?.version ?? 'unknown', stored };
}

async function readJournal(pool: pg.Pool, topic: string): Promise<JournalStatus> {
  const { commands, oldestS } = await readJournalLag(rowsThrough(pool), topic);
  return { topic, commands_waiting: commands, oldest_seconds: Math.round(oldestS * 10) / 10 };
}

/** Each loss once, as the process tells that knows the most of it. */
function lostHistoryOf(reports: readonly StoredReport[]): LostHistoryDocument[] {
  const told = reports
    .filter(({ ageS }) => ageS < SILENT_AFTER_S)
    // A process of an older version does not tell.
    .flatMap(({ report }) => (report as Partial<ReadinessDocument>).lost_history ?? []);
  const widest = new Map<string, LostHistoryDocument>();
  for (const lost of told) {
    const known = widest.get(sourceName(lost));
    if (known === undefined || lost.to_batch - lost.from_batch > known.to_batch - known.from_batch) {
      widest.set(sourceName(lost), lost);
    }
  }
  return [...widest.values()];
}

async function readRedis(url: string): Promise<{ version: string | null }> {
  const redis = createRedis(url, { onError: () => undefined, connectionName: 'tollbook-status' });
  try {
    await waitForRedis(redis, DEADLINE_MS);
    const info = await redis.info('server');
    return { version: /^(?:redis|valkey)_version:(\S+)/m.exec(info)?.[1] ?? null };
  } catch (error) {
    throw redisError(error);
  } finally {
    redis.disconnect();
  }
}

/** Kafka tells no version. Its log is read against the cursors; without them Kafka may be well all the same. */
async function readLog(
  kafka: Kafka,
  pool: pg.Pool,
  topics: readonly string[],
): Promise<{ version: null; backlog: readonly PartitionBacklog[] | undefined }> {
  const tails = await LogTails.open(kafka, topics);
  try {
    const backlog = await readBacklog(tails, new PostgresLedgerReader(pool)).catch((error: unknown) => {
      if (isTollbookError(error, 'KAFKA_UNAVAILABLE')) throw error;
      return undefined;
    });
    return { version: null, backlog };
  } finally {
    await tails.close();
  }
}

function partitionStatus(backlog: PartitionBacklog, reports: readonly StoredReport[]): PartitionStatus {
  const { source, position, logEnd, messages, oldestMs, isHeldBack } = backlog;
  const name = sourceName(source);
  const owner = reports.find((each) => {
    const { group } = each.report as ReadinessDocument;
    return (
      each.ageS < SILENT_AFTER_S &&
      group !== null &&
      ownValue(group.partitions, source.topic)?.includes(source.partition) === true
    );
  });
  const blocked = reports
    .flatMap(({ report }) => (report as ReadinessDocument).blocked)
    .find((each) => sourceName(each) === name);
  return {
    ...source,
    position: position?.toString() ?? null,
    end: logEnd.toString(),
    lag: Number(messages),
    lag_seconds: oldestMs === undefined ? 0 : Math.max(0, Math.round(Date.now() - oldestMs) / 1000),
    held_back: isHeldBack,
    process: owner === undefined ? null : `${owner.host}:${owner.pid}`,
    blocked: blocked ?? null,
  };
}

function processStatus({ host, pid, kind, version, startedAt, ageS, report }: StoredReport): ProcessStatus {
  const { status, projections } = report as ReadinessDocument;
  return {
    process: `${host}:${pid}`,
    kind,
    version,
    started_at: startedAt,
    heard_seconds_ago: Math.round(ageS * 10) / 10,
    status: ageS < SILENT_AFTER_S ? status : 'silent',
    projections_waiting: projections?.waiting ?? 0,
  };
}
