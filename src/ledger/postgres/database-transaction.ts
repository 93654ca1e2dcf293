/**
 * Owns: running work in one database transaction: its connection, its beginning, and its end in every case.
 * Does not own: any statement of the work.
 * Invariants: committed or rolled back, never left open; a connection that broke is not used again.
 */
import type pg from 'pg';
import { faultPoint } from '../../runtime/fault-points.js';
import { translatePostgresError } from '../../runtime/postgres.js';

/**
 * Runs the work in one database transaction: rolled back when it throws, or when `keeps` turns its result down.
 * Throws POSTGRES_UNAVAILABLE, POSTGRES_CONFLICT, POSTGRES_FAILED, and what the work throws.
 */
export async function inDatabaseTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  keeps: (result: T) => boolean = () => true,
): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => {
    throw translatePostgresError(error);
  });
  let broken: Error | undefined;
  const onError = (error: Error): void => void (broken = error);
  client.on('error', onError);
  try {
    await client.query('BEGIN');
    await faultPoint('database.begun');
    const result = await work(client);
    await faultPoint('database.before-commit');
    await client.query(keeps(result) ? 'COMMIT' : 'ROLLBACK');
    await faultPoint('database.committed');
    return result;
  } catch (error) {
    await client
      .query('ROLLBACK')
      .catch((rollbackError: unknown) => void (broken ??= translatePostgresError(rollbackError)));
    throw translatePostgresError(error);
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}
