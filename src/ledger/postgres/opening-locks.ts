/**
 * Owns: that who opens an account and who has found that it is not there come one after the other, so that the order of batch ids
 * tells what each has seen: a replay goes by that order.
 * Does not own: opening (postgres-ledger-store.ts).
 * Invariants: taken before any account is locked, in ascending order, and kept until the database transaction ends; openers do
 * not wait for each other. There is no row to lock, so the lock is one of a fixed number that tenants share by their hash: a
 * lock a tenant would fill the server's lock table when a chunk opens thousands.
 */
import type pg from 'pg';
import type { AccountOpening } from '../ledger-store.js';
import { arrayLiteral } from './array-literal.js';

/** "open" in ASCII. */
const LOCK_CLASS = 0x6f70656e;
/** One less than a power of two. */
const BUCKET_MASK = 63;

/** Locks the opening of accounts: shared for who opens them, alone for who relies on their being absent. */
export async function lockOpenings(
  client: pg.ClientBase,
  openings: readonly AccountOpening[],
  unopened: readonly string[],
): Promise<void> {
  if (openings.length + unopened.length === 0) return;
  const tenants = [...openings.map(({ tenantId }) => tenantId), ...unopened];
  await client.query({
    name: 'lock-openings',
    text: `SELECT CASE WHEN b.is_relied_on THEN pg_advisory_xact_lock($3, b.bucket)
         ELSE pg_advisory_xact_lock_shared($3, b.bucket) END
       FROM (SELECT hashtext(t.tenant_id) & ${BUCKET_MASK} AS bucket, bool_or(t.is_relied_on) AS is_relied_on
             FROM unnest($1::text[], $2::boolean[]) AS t(tenant_id, is_relied_on) GROUP BY 1 ORDER BY 1) AS b`,
    values: [
      arrayLiteral(tenants),
      arrayLiteral(tenants.map((_, index) => String(index >= openings.length))),
      LOCK_CLASS,
    ],
  });
}
