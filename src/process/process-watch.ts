/**
 * Owns: watching a running process from its start to its end: asking its servers, telling readiness, and writing both to the
 * database every few seconds.
 * Does not own: what readiness is (readiness.ts), serving it (runtime/metrics-endpoint.ts).
 * Invariants:
 * - Every connection is its own: a pool whose connections all wait for a lock does not make PostgreSQL look away.
 * - PostgreSQL is asked by writing the report: one that only reads does not count as well.
 * - Watching never fails and never holds up the process.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { systemClock } from '../runtime/clock.js';
import type { Config } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createKafka } from '../runtime/kafka.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { createRedis, redisError } from '../runtime/redis.js';
import { ServerWatch } from '../runtime/server-watch.js';
import { type ProcessIdentity, removeReport, writeReport } from './process-reports.js';
import { type ReadinessDocument, readinessOf, type ReadinessParts } from './readiness.js';

/** What is watched. */
export interface ProcessWatchOptions {
  readonly config: Readonly<Config>;
  readonly kind: ProcessIdentity['kind'];
  readonly version: string;
}

/** How often a process writes its report, in milliseconds. */
export const REPORT_INTERVAL_MS = 5_000;
/** Whoever asks for readiness gets an answer that is at most this old, in milliseconds. */
const FRESH_MS = 500;
/** Longest wait of a stop for a server that does not answer, for each of its two steps. */
const STOP_MAX_MS = 1_000;

/** Watches one process. */
export class ProcessWatch {
  /** What readiness is read from: the process adds its parts as it starts them. */
  readonly parts: ReadinessParts = { phase: 'starting' };
  readonly #servers = new ServerWatch(systemClock);
  readonly #identity: ProcessIdentity;
  readonly #pool: pg.Pool;
  readonly #closers: (() => Promise<unknown>)[] = [];
  readonly #timer: NodeJS.Timeout;
  #checkedAtMs = 0;

  constructor({ config, kind, version }: ProcessWatchOptions) {
    const now = { startedAtMs: systemClock.nowMs(), host: hostname(), pid: process.pid };
    this.#identity = { instance: randomUUID(), kind, version, ...now };
    this.#pool = createPostgresPool({
      url: config.databaseUrl,
      role: config.databaseRole,
      applicationName: 'tollbook-watch',
      connectionsMax: 1,
    });
    this.#servers.add('postgres', () => writeReport(this.#pool, this.#identity, this.#document()));
    this.#watchKafka(config, kind);
    this.#watchRedis(config);
    this.#timer = setInterval(() => void this.#check(), REPORT_INTERVAL_MS);
    void this.#check();
  }

  /** What the process tells now, its servers having been asked. Never rejects. */
  async readiness(): Promise<ReadinessDocument> {
    if (performance.now() - this.#checkedAtMs > FRESH_MS) await this.#check();
    return this.#document();
  }

  /** Stops watching and removes the report, unless a server holds that up. Never rejects. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const removed = removeReport(this.#pool, this.#identity.instance).catch(() => undefined);
    await Promise.race([removed, delay(STOP_MAX_MS, undefined, { ref: false })]);
    const closed = Promise.allSettled([this.#pool.end(), ...this.#closers.map((close) => close())]);
    await Promise.race([closed, delay(STOP_MAX_MS, undefined, { ref: false })]);
  }

  /** A process that only projects needs no Kafka. */
  #watchKafka({ kafkaBrokers }: Readonly<Config>, kind: ProcessIdentity['kind']): void {
    if (kind === 'project') return;
    const admin = createKafka({ brokers: kafkaBrokers.split(','), clientId: 'tollbook-watch', retries: 0 }).admin();
    this.#servers.add('kafka', async () => {
      try {
        await admin.connect();
        await admin.describeCluster();
      } catch (error) {
        throw new TollbookError('KAFKA_UNAVAILABLE', messageOf(error), { cause: error });
      }
    });
    this.#closers.push(() => admin.disconnect());
  }

  #watchRedis({ redisUrl }: Readonly<Config>): void {
    const redis = createRedis(redisUrl, { onError: () => undefined, connectionName: 'tollbook-watch' });
    this.#servers.add('redis', () =>
      redis.ping().catch((error: unknown) => {
        throw redisError(error);
      }),
    );
    this.#closers.push(() => {
      redis.disconnect();
      return Promise.resolve();
    });
  }

  async #check(): Promise<void> {
    await this.#servers.check();
    this.#checkedAtMs = performance.now();
  }

  #document(): ReadinessDocument {
    return readinessOf(this.parts, this.#servers.states(), systemClock.nowMs());
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
