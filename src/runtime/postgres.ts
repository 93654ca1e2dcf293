/**
 * Owns: connections to PostgreSQL as a process uses them, and the one translation of its errors into ours.
 * Does not own: any statement, nor what a role and its settings are checked with at first (postgres-session.ts).
 * Invariants: nothing is set for longer than one database transaction, so that a pooler which shares sessions may stand in
 * between (docs/decisions/0024); every statement acts as the application role, never as the owner of the tables; a stuck
 * peer cannot hold locks for ever (idle, lock and statement time-outs); every error that leaves is a TollbookError.
 */
import pg from 'pg';
import { invariant, isTollbookError, TollbookError } from './errors.js';
import { type AskedSession, checkSession } from './postgres-session.js';
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
const SETTINGS = [
  `idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_TIMEOUT_MS}`,
  `lock_timeout = ${LOCK_TIMEOUT_MS}`,
  `statement_timeout = ${STATEMENT_TIMEOUT_MS}`,
  'enable_seqscan = off',
  'enable_hashjoin = off',
  'enable_mergejoin = off',
  // Pages by (tenant, seq) would else come from another index and be sorted, all entries of a tenant for every page.
  'enable_incremental_sort = off',
  'jit = off',
  `timezone = 'UTC'`,
];

/** A pool whose every statement runs in a database transaction that begins with the settings. */
class SettledPool extends pg.Pool {
  /** Begins a database transaction: one round trip, since these are statements without parameters. */
  readonly begin: string;
  /** How many outages connections of this pool have met. */
  #outages = 0;

  constructor(options: PostgresOptions) {
    const settings = options.role === '' ? SETTINGS : [`role = ${pg.escapeIdentifier(options.role)}`, ...SETTINGS];
    const begin = ['BEGIN', ...settings.map((setting) => `SET LOCAL ${setting}`)].join('; ');
    super({
      connectionString: options.url,
      application_name: options.applicationName,
      max: options.connectionsMax,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
      Client: TranslatingClient,
      onConnect: ((client: TranslatingClient) =>
        this.#learn(client, { begin, role: options.role })) as unknown as pg.PoolConfig['onConnect'],
    });
    this.begin = begin;
    const query = (...statement: unknown[]): Promise<unknown> =>
      withTransaction(this, (client) => (client.query as Statement)(...statement) as Promise<unknown>);
    this.query = query as pg.Pool['query'];
  }

  async #learn(client: TranslatingClient, asked: AskedSession): Promise<void> {
    client.outagesBefore = this.#outages;
    await learnSession(client, asked);
  }

  /**
   * Notes that a connection met an outage. The others were made before it: they may lead to a server that only reads, and are
   * closed instead of being used again.
   */
  noteOutage(): void {
    this.#outages += 1;
  }

  /** Whether a connection was made since the last outage. */
  isSince(client: pg.PoolClient): boolean {
    return !(client instanceof TranslatingClient) || client.outagesBefore === this.#outages;
  }
}

type Statement = (...statement: unknown[]) => unknown;

/** Makes a pool of connections. Nothing is connected before the first use. */
export function createPostgresPool(options: PostgresOptions): pg.Pool {
  const pool = new SettledPool(options);
  pool.on('error', (error) => options.onIdleError?.(translatePostgresError(error)));
  return pool;
}

/** The statements that begin a database transaction on a connection of a pool, with its settings. */
export function beginOf(pool: pg.Pool): string {
  invariant(pool instanceof SettledPool, 'every pool is made by createPostgresPool');
  return pool.begin;
}

/** Learns what a new connection is, once; it is not used when it is not what was asked for. */
async function learnSession(client: TranslatingClient, asked: AskedSession): Promise<void> {
  client.losesStatements = (await checkSession(client, asked)).losesStatements;
}

/**
 * A connection whose statements fail with ours: whatever else is thrown by work on it is a mistake of the work. Where a
 * pooler would send a named statement to a session that does not know it, names are left out.
 */
class TranslatingClient extends pg.Client {
  losesStatements = false;
  /** Outages of its pool before it was made. */
  outagesBefore = 0;

  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const query = this.query.bind(this) as Statement;
    const translated = (first: unknown, ...rest: unknown[]): unknown => {
      const result = query(this.losesStatements ? unnamed(first) : first, ...rest);
      return result instanceof Promise ? result.catch(rethrowTranslated) : result;
    };
    this.query = translated as pg.Client['query'];
  }
}

function unnamed(statement: unknown): unknown {
  if (typeof statement !== 'object' || statement === null || !('name' in statement)) return statement;
  const { name: _name, ...rest } = statement;
  return rest;
}

/** Takes a connection out of a pool; who takes it gives it back. Throws POSTGRES_UNAVAILABLE, POSTGRES_FAILED. */
export async function connectTo(pool: pg.Pool): Promise<pg.PoolClient> {
  for (;;) {
    const client = await pool.connect().catch(rethrowTranslated);
    if (!(pool instanceof SettledPool) || pool.isSince(client)) return client;
    client.release(true);
  }
}

/**
 * Runs work on one connection of a pool, and gives it back; one that cannot be trusted after the error that ended the work
 * is closed instead. Throws POSTGRES_UNAVAILABLE, POSTGRES_FAILED, and what the work throws.
 * After an outage all connections that were made before it are replaced.
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
    if (pool instanceof SettledPool && isTollbookError(error, 'POSTGRES_UNAVAILABLE')) pool.noteOutage();
    throw error;
  } finally {
    client.off('error', onError);
    client.release(!isSound);
  }
}

/**
 * Runs work in one database transaction with the settings of the pool; rolled back when it throws, or when `keeps` turns its
 * result down. `settings` are further statements to begin with. Throws POSTGRES_*, and what the work throws.
 */
export function withTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  { settings = '', keeps = (): boolean => true }: { settings?: string; keeps?: (result: T) => boolean } = {},
): Promise<T> {
  return withConnection(pool, async (client) => {
    try {
      await client.query(`${beginOf(pool)}${settings}`).catch(notOfTheWork);
      const result = await work(client);
      await client.query(keeps(result) ? 'COMMIT' : 'ROLLBACK');
      return result;
    } catch (error) {
      // A connection on which even this fails is broken, and known to be: it is not used again.
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  });
}

/** No message is to blame for a database transaction that does not even begin. */
function notOfTheWork(error: unknown): never {
  if (!isTollbookError(error, 'POSTGRES_REJECTED')) throw error;
  throw new TollbookError('POSTGRES_FAILED', error.message, { cause: error.cause, context: error.context });
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
