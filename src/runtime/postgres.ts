/**
 * Owns: connections to PostgreSQL for the hot path, and the one translation of its errors into ours.
 * Does not own: any statement.
 * Invariants: runtime connections act as the application role, never as the owner of the tables; a stuck peer cannot
 * hold locks for ever (idle, lock and statement time-outs); every error that leaves is a TollbookError.
 */
import pg from 'pg';
import { TollbookError } from './errors.js';
import { codeOfSqlState, keepsConnection } from './sqlstates.js';

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
/** A host that has gone without a word is noticed so many milliseconds after the last byte, and ten probes. */
const KEEP_ALIVE_AFTER_MS = 10_000;
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
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
    options: session.map((setting) => `-c ${setting}`).join(' '),
    Client: TranslatingClient,
  });
  pool.on('error', (error) => options.onIdleError?.(translatePostgresError(error)));
  return pool;
}

/** A connection whose statements fail with ours: whatever else is thrown by work on it is a mistake of the work. */
class TranslatingClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const query = this.query.bind(this) as (...statement: unknown[]) => unknown;
    const translated = (...statement: unknown[]): unknown => {
      const result = query(...statement);
      return result instanceof Promise ? result.catch(rethrowTranslated) : result;
    };
    this.query = translated as pg.Client['query'];
  }
}

/** Takes a connection out of a pool; who takes it gives it back. Throws POSTGRES_UNAVAILABLE, POSTGRES_FAILED. */
export function connectTo(pool: pg.Pool): Promise<pg.PoolClient> {
  return pool.connect().catch(rethrowTranslated);
}

/**
 * Runs work on one connection of a pool, and gives it back; one that cannot be trusted after the error that ended the work
 * is closed instead. Throws POSTGRES_UNAVAILABLE, POSTGRES_FAILED, and what the work throws.
 */
export async function withConnection<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await connectTo(pool);
  let isSound = true;
  const onError = (): void => void (isSound = false);
  client.on('error', onError);
  try {
    return await work(client);
  } catch (error) {
    isSound &&= error instanceof TollbookError && keepsConnection(error.code);
    throw error;
  } finally {
    client.off('error', onError);
    client.release(!isSound);
  }
}

/** How SQLSTATEs begin: the codes of the operating system begin with E. */
const SQLSTATE = /^[0-9FHPX][0-9A-Z]{4}$/;

/** Translates whatever pg threw; ours pass through. An error without SQLSTATE comes from the connection. */
export function translatePostgresError(error: unknown): TollbookError {
  if (error instanceof TollbookError) return error;
  const { code, message } =
    error instanceof Error ? (error as Error & { code?: string }) : { code: undefined, message: String(error) };
  const ours = code !== undefined && SQLSTATE.test(code) ? codeOfSqlState(code) : 'POSTGRES_UNAVAILABLE';
  return new TollbookError(ours, `PostgreSQL: ${message}`, { cause: error, context: { sqlState: code ?? 'none' } });
}

function rethrowTranslated(error: unknown): never {
  throw translatePostgresError(error);
}
