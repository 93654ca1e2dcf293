/**
 * Owns: connections to PostgreSQL for the hot path, and the one translation of its errors into ours.
 * Does not own: any statement.
 * Invariants: runtime connections act as the application role, never as the owner of the tables; a stuck peer cannot
 * hold locks for ever (idle, lock and statement time-outs); every error that leaves is a TollbookError.
 */
import pg from 'pg';
import { type ErrorCode, TollbookError } from './errors.js';
import { ownValue } from './name-map.js';

/** How the connections of a pool behave. */
export interface PostgresOptions {
  readonly url: string;
  /** Role to act as; empty keeps the login role. */
  readonly role: string;
  readonly applicationName: string;
  readonly connectionsMax: number;
  /** Called when an idle connection breaks; the pool replaces it by itself. */
  readonly onIdleError?: (error: TollbookError) => void;
}

const CONNECT_TIMEOUT_MS = 10_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000;
const LOCK_TIMEOUT_MS = 20_000;
const STATEMENT_TIMEOUT_MS = 60_000;

/**
 * Plans are forced onto indexes: every hot statement looks up keys in tables that grow without bound, and a plan made
 * while a table was small (a hash join over a sequential scan) would be kept and get slower with every entry.
 */
const SESSION = [
  `idle_in_transaction_session_timeout=${IDLE_IN_TRANSACTION_TIMEOUT_MS}`,
  `lock_timeout=${LOCK_TIMEOUT_MS}`,
  `statement_timeout=${STATEMENT_TIMEOUT_MS}`,
  'enable_seqscan=off',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
  // Pages by (tenant, seq) would else come from another index and be sorted, all entries of a tenant for every page.
  'enable_incremental_sort=off',
  'jit=off',
  'timezone=UTC',
];

/** Makes a pool of connections. Nothing is connected before the first use. */
export function createPostgresPool(options: PostgresOptions): pg.Pool {
  const session = options.role === '' ? SESSION : [...SESSION, `role=${options.role}`];
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: options.applicationName,
    max: options.connectionsMax,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    options: session.map((setting) => `-c ${setting}`).join(' '),
  });
  pool.on('error', (error) => options.onIdleError?.(translatePostgresError(error)));
  return pool;
}

/** SQLSTATE (whole or class) → our code. Looked up whole first, then by its two-character class. */
const BY_SQLSTATE: Readonly<Record<string, ErrorCode>> = {
  '08': 'POSTGRES_UNAVAILABLE',
  '57': 'POSTGRES_UNAVAILABLE',
  '53': 'POSTGRES_UNAVAILABLE',
  '25P03': 'POSTGRES_UNAVAILABLE',
  '57014': 'POSTGRES_CONFLICT',
  '40': 'POSTGRES_CONFLICT',
  '55P03': 'POSTGRES_CONFLICT',
  '23505': 'POSTGRES_CONFLICT',
  '42P01': 'SCHEMA_OUT_OF_DATE',
  '42703': 'SCHEMA_OUT_OF_DATE',
};

const BROKEN_CONNECTION = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENOENT',
]);

/** Translates whatever pg threw; ours pass through. An error without SQLSTATE comes from the connection. */
export function translatePostgresError(error: unknown): TollbookError {
  if (error instanceof TollbookError) return error;
  const { code, message } =
    error instanceof Error ? (error as Error & { code?: string }) : { code: undefined, message: String(error) };
  const isSqlState = code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !BROKEN_CONNECTION.has(code);
  const ours = isSqlState
    ? (ownValue(BY_SQLSTATE, code) ?? ownValue(BY_SQLSTATE, code.slice(0, 2)) ?? 'POSTGRES_FAILED')
    : 'POSTGRES_UNAVAILABLE';
  return new TollbookError(ours, `PostgreSQL: ${message}`, { cause: error, context: { sqlState: code ?? 'none' } });
}
