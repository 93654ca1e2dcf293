/**
 * Owns: running work in one database transaction: its beginning, and its end in every case.
 * Does not own: any statement of the work, but how it is planned; which connection may be used again (runtime/postgres.ts).
 * Invariants: committed or rolled back, never left open.
 */
import type pg from 'pg';
import { faultPoint } from '../../runtime/fault-points.js';
import { withConnection } from '../../runtime/postgres.js';

/** Named statements are planned once; the plan is the one by the index, whatever the values (docs/decisions, 8 and 16). */
const BEGIN_WITH_KEPT_PLANS = 'BEGIN; SET LOCAL plan_cache_mode = force_generic_plan';

/**
 * Runs the work in one database transaction: rolled back when it throws.
 * Throws POSTGRES_*, and what the work throws.
 */
export function inDatabaseTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  return runTransaction(pool, work, { begin: 'BEGIN', keeps: () => true });
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
  return runTransaction(pool, work, { begin: BEGIN_WITH_KEPT_PLANS, keeps });
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

function runTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  { begin, keeps }: { readonly begin: string; readonly keeps: (result: T) => boolean },
): Promise<T> {
  return withConnection(pool, async (client) => {
    try {
      await client.query(begin);
      await faultPoint('database.begun');
      const result = await work(client);
      await faultPoint('database.before-commit');
      await client.query(keeps(result) ? 'COMMIT' : 'ROLLBACK');
      await faultPoint('database.committed');
      return result;
    } catch (error) {
      // A connection on which even this fails is broken, and known to be: it is not used again.
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  });
}
