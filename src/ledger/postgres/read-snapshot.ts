/**
 * Owns: reading with several statements from one snapshot of the database.
 * Invariants: nothing is locked and nothing can be written: the database transaction is REPEATABLE READ and READ ONLY.
 */
import type pg from 'pg';
import { inDatabaseTransaction } from './database-transaction.js';

/** Runs the reads on one connection, in one snapshot. Throws POSTGRES_*, and what the reads throw. */
export function readSnapshot<T>(pool: pg.Pool, read: (client: pg.ClientBase) => Promise<T>): Promise<T> {
  return inDatabaseTransaction(pool, async (client) => {
    await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    return read(client);
  });
}
