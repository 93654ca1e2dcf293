/**
 * Owns: the words of an audit: what a difference is about, how much money, how old; and the terms of a look.
 * Invariants: pure; amounts are exact, also those that somebody else wrote and that no account could have.
 */
import { type AmountNano, formatAmount } from '../ledger/money.js';
import type { QUOTA_FIELDS } from '../lua/quota-codec.js';

/** The fields of a quota hash. */
export type QuotaField = (typeof QUOTA_FIELDS)[number];

/**
 * What a difference is about: a field of the quota hash, the `hash` as a whole, the sums and the items in flight; or the
 * `account` row, which is then wrong itself.
 */
export type DriftField = QuotaField | 'hash' | 'inflight_available' | 'inflight_requests' | 'inflight_item' | 'account';

/** One thing that is not as the ledger says. */
export interface Difference {
  readonly field: DriftField;
  /** Amounts in currency units with nine decimals. */
  readonly found: string;
  readonly expected: string;
  /** How much money the difference is about, in nano-units; not negative, and zero when it is about none. */
  readonly amountNano: bigint;
  /** How long it can have been so at most, in milliseconds; null when that is not known. */
  readonly ageMs: number | null;
}

/** When the look was, and after which time an item that is not in the ledger counts as leaked, in milliseconds. */
export interface AuditTerms {
  readonly nowMs: number;
  readonly leakAfterMs: number;
}

/** Nano-units in currency units, also beyond the range of amounts. */
export function amountText(nano: bigint): string {
  return formatAmount(nano as AmountNano);
}

/** |a − b|. */
export function distance(a: bigint, b: bigint): bigint {
  return a > b ? a - b : b - a;
}
