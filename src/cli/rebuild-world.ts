/**
 * Owns: what the commands that compare Redis and the ledger run on: connections, settings, progress, and the signal that
 * stops them.
 * Invariants: what is opened is closed; Redis must answer, since these commands are about it; a signal ends the work after
 * the page under way, and the error then says how to go on.
 */
import type pg from 'pg';
import type { LedgerHistory } from '../ledger/ledger-history.js';
import type { LedgerReader } from '../ledger/ledger-reader.js';
import { pageFoldRows } from '../ledger/postgres/fold-rows.js';
import { PostgresLedgerHistory } from '../ledger/postgres/postgres-ledger-history.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { QuotaScripts } from '../lua/quota-scripts.js';
import type { WalkControl } from '../projections/tenant-walk.js';
import { type Clock, systemClock } from '../runtime/clock.js';
import { type Config, loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createLogger, type Logger } from '../runtime/logger.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { waitForRedis } from '../runtime/redis.js';
import { listenForStop } from '../runtime/shutdown.js';
import { openRedis } from './ledger-process.js';
import { unknownAccount } from './ledger-reading.js';
import { type ProgressOptions, startProgress } from './progress.js';

/** What such a command works with. */
export interface RebuildWorld {
  readonly config: Readonly<Config>;
  readonly pool: pg.Pool;
  readonly reader: LedgerReader;
  readonly history: LedgerHistory;
  readonly scripts: QuotaScripts;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Runs long work with a progress display, stopped by the first signal. */
  walk<T>(work: LongWork, run: (control: Required<WalkControl>) => Promise<T>): Promise<T>;
  /** The error of a command that a signal stopped; `where` completes the sentence. */
  stopped(where: string): TollbookError;
}

/** How long work is shown. */
export interface LongWork extends ProgressOptions {
  /** How to go on after a tenant, as the end of a sentence: told when the work fails half-way. */
  readonly goOn?: (last: string) => string;
}

const CONNECTIONS = 2;
const REDIS_WAIT_MS = 5_000;

/** Runs a command with its connections. Throws CONFIG_INVALID, POSTGRES_*, REDIS_UNAVAILABLE, and what it throws. */
export async function withRebuildWorld(name: string, run: (world: RebuildWorld) => Promise<void>): Promise<void> {
  const config = loadConfig();
  const logger = createLogger({ level: 'error', name: 'tollbook' });
  const { databaseUrl: url, databaseRole: role } = config;
  const pool = createPostgresPool({ url, role, applicationName: `tollbook-${name}`, connectionsMax: CONNECTIONS });
  const redis = openRedis(config, logger);
  try {
    await waitForRedis(redis, REDIS_WAIT_MS);
    const scripts = new QuotaScripts(redis, { prefix: config.redisPrefix, callSpan: config.redisCallSpan });
    const [reader, history] = [new PostgresLedgerReader(pool), new PostgresLedgerHistory(pool)];
    await run({ config, pool, reader, history, scripts, logger, clock: systemClock, walk, stopped });
  } finally {
    redis.disconnect();
    await pool.end();
  }
}

async function walk<T>(
  { goOn, ...options }: LongWork,
  run: (control: Required<WalkControl>) => Promise<T>,
): Promise<T> {
  const stop = listenForStop();
  const controller = new AbortController();
  void stop.received.then(() => controller.abort());
  const progress = startProgress(options);
  let done = '';
  const onProgress = (count: number, last: string): void => {
    progress.set(count);
    done = last;
  };
  try {
    return await run({ signal: controller.signal, onProgress }).finally(() => progress.stop());
  } catch (error) {
    if (goOn !== undefined && done !== '') process.stderr.write(`failed ${goOn(done)}\n`);
    throw error;
  } finally {
    stop.release();
  }
}

function stopped(where: string): TollbookError {
  return new TollbookError('RUN_STOPPED', `stopped ${where}`);
}

/** Throws ACCOUNT_UNKNOWN for the first of the tenants that has neither an account nor an entry. */
export async function assertTenants({ reader, pool }: RebuildWorld, tenantIds: readonly string[]): Promise<void> {
  const accounts = await reader.readAccounts(tenantIds);
  for (const tenantId of tenantIds) {
    if (accounts.has(tenantId)) continue;
    const entries = await pageFoldRows(pool, { after: { tenantId, seq: 0 }, upTo: tenantId }, 1);
    if (entries.length === 0) throw unknownAccount(tenantId);
  }
}
