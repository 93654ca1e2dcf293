/**
 * Owns: running work of the ledger in one database transaction.
 * Does not own: any statement of the work, but how it is planned; which connection may be used again (runtime/postgres.ts).
 * Invariants: committed or rolled back, never left open.
 */
import type pg from 'pg';
import { faultPoint } from '../../runtime/fault-points.js';
import { withTransaction } from '../../runtime/postgres.js';

/**
 * How long a chunk waits for a cursor or an account, in milliseconds. Short: others that were fetched with it wait as long, so
 * that a row which somebody keeps locked soon delays only whom it concerns.
 */
export const LOCK_WAIT_MAX_MS = 2_000;

/** Named statements are planned once; the plan is the one by the index, whatever the values (docs/decisions, 8 and 16). */
const LEDGER_SETTINGS = `; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL lock_timeout = ${LOCK_WAIT_MAX_MS}`;

/**
 * Runs the work in one database transaction: rolled back when it throws.
 * Throws POSTGRES_*, and what the work throws.
 */
export function inDatabaseTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  return betweenFaultPoints(pool, work, {});
}

/**
 * Runs the work, which writes to the ledger by named statements, in one database transaction: rolled back when it throws,
 * or when `keeps` turns its result down.
 * Throws POSTGRES_*, and what the work throws.
 */
export function inLedgerTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  keeps: (result: T) => boolean = () => true,
): Promise<T> {
  return betweenFaultPoints(pool, work, { settings: LEDGER_SETTINGS, keeps });
}

/**
 * Runs a statement of an open transaction that reads in the order of one index, by that index. To sort instead what another
 * index finds is forbidden while it is planned, which a named statement may be at any time. For the rest of the transaction it
 * is allowed again: what is ordered for its result alone would else be read by whatever index has that order.
 */
export async function queryInIndexOrder<R extends pg.QueryResultRow>(
  client: pg.ClientBase,
  statement: pg.QueryConfig,
): Promise<pg.QueryResult<R>> {
  await client.query('SET LOCAL enable_sort = off');
  const result = await client.query<R>(statement);
  await client.query('SET LOCAL enable_sort = on');
  return result;
}

/** Runs the work between the fault points of a database transaction. */
async function betweenFaultPoints<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  options: Parameters<typeof withTransaction<T>>[2],
): Promise<T> {
  const pointed = async (client: pg.PoolClient): Promise<T> => {
    await faultPoint('database.begun');
    const result = await work(client);
    await faultPoint('database.before-commit');
    return result;
  };
  const result = await withTransaction(pool, pointed, options);
  await faultPoint('database.committed');
  return result;
}
