/**
 * Owns: doing the database work of an operator's command again when other sessions are in its way.
 * Does not own: how long one attempt waits for a lock (ledger/postgres/database-transaction.ts), nor the work of consumers,
 * which hold back a partition and come again.
 * Invariants: the work is repeated as a whole, so it must be idempotent; it ends within half a minute of waiting for locks,
 * with the last error, which names the sessions in the way.
 */
import { type ErrorCode, isTollbookError } from './errors.js';

/** How often each is tried again. An attempt has waited 2 s for the lock when it fails. */
const RETRIES_MAX: ReadonlyMap<ErrorCode, number> = new Map<ErrorCode, number>([
  ['POSTGRES_CONFLICT', 5],
  ['POSTGRES_LOCKED', 15],
]);

/** Does work again that lost against another session, or found a row locked. Throws what the last attempt throws. */
export async function besideOthers<T>(work: () => Promise<T>): Promise<T> {
  const failures = new Map<ErrorCode, number>();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isTollbookError(error)) throw error;
      const count = (failures.get(error.code) ?? 0) + 1;
      if (count > (RETRIES_MAX.get(error.code) ?? 0)) throw error;
      failures.set(error.code, count);
    }
  }
}
