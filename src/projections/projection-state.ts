/**
 * Owns: how a quota hash stands to its account, in one word.
 * Does not own: reading either of them, nor what is done about a difference (the projector hydrates; audits report).
 * Invariants: pure. Order: the hash is read before the account, or a projection in between looks like a hash ahead of it.
 */
import type { Account } from '../ledger/account.js';
import type { QuotaHash } from '../lua/quota-scripts.js';
import { quotaHashOf } from './quota-hash-of.js';

/** How a hash stands to its account. `ahead` and `differs` are alarms; the others pass by themselves. */
export type ProjectionState =
  | { readonly kind: 'equal' }
  | { readonly kind: 'missing' }
  /** The hash is at an earlier seq of the ledger. */
  | { readonly kind: 'behind'; readonly by: number }
  /** The hash is at a seq the ledger has not reached: the database was restored from a backup. */
  | { readonly kind: 'ahead'; readonly by: number }
  /** The hash is at the account's seq and says something else. */
  | { readonly kind: 'differs'; readonly fields: readonly (keyof QuotaHash)[] };

/** Compares a hash with its account. */
export function projectionStateOf(account: Account, hash: QuotaHash | null): ProjectionState {
  if (hash === null) return { kind: 'missing' };
  if (hash.version < account.seq) return { kind: 'behind', by: account.seq - hash.version };
  if (hash.version > account.seq) return { kind: 'ahead', by: hash.version - account.seq };
  const expected = quotaHashOf(account);
  const fields = (Object.keys(expected) as (keyof QuotaHash)[]).filter((field) => expected[field] !== hash[field]);
  return fields.length === 0 ? { kind: 'equal' } : { kind: 'differs', fields };
}
