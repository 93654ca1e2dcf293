/**
 * Owns: what the quota scripts are asked, as types, and how each request is written as ARGV.
 * Does not own: the strings of single fields (quota-codec.ts), the replies (quota-replies.ts).
 * Invariants: the order of arguments is that of the header of each script; amounts are checked to be below 2^63.
 */
import { amountNano } from '../ledger/money.js';
import type { QuotaDelta } from '../ledger/quota-rule.js';
import type { Phase } from '../ledger/trace.js';
import { type QuotaHash, checks, encodeItem, encodeQuotaHash, itemField } from './quota-codec.js';

/** One wanted change, named by its trace and the phase of it; both together make it idempotent. */
export interface OverlayItem {
  readonly traceId: string;
  readonly phase: Phase;
  readonly delta: QuotaDelta;
}

/** The checks of a change that is decided already. */
export const UNCHECKED = { checkBalance: false, checkQuota: false } as const;

/** The wanted changes of one tenant, in order, as seen from the ledger at `ledgerSeq`. */
export interface TenantDeltas {
  readonly tenantId: string;
  readonly ledgerSeq: number;
  readonly items: readonly OverlayItem[];
}

/** One item in flight to drop, or with phase `all` every phase of its trace. */
export interface DropSpec {
  readonly traceId: string;
  readonly phase: Phase | 'all';
}

/** One tenant's projection: the ledger at `hash.version`, to be set if the hash is still at `expectedVersion`. */
export interface TenantProjection {
  readonly tenantId: string;
  /** The version that the hash must have; null: the hash must be missing. */
  readonly expectedVersion: number | null;
  /** With true, nothing is written while anything is in flight. */
  readonly onlyIfNoInflight: boolean;
  readonly hash: QuotaHash;
  /** The items that the ledger at `hash.version` contains. */
  readonly drop: readonly DropSpec[];
}

/** One trace that a gateway wants to admit. */
export interface HoldRequest {
  readonly tenantId: string;
  readonly traceId: string;
  /** What to hold, in nano-units; positive. */
  readonly amountNano: bigint;
  readonly checkBalance: boolean;
  readonly checkQuota: boolean;
  /** The UTC day of the request, as YYYY-MM-DD. */
  readonly day: string;
}

/** Writes one tenant's arguments of quota-deduct. Throws MONEY_OUT_OF_RANGE. */
export function encodeDeltas({ ledgerSeq, items }: TenantDeltas): string[] {
  let packed = '';
  for (const { traceId, phase, delta } of items) packed += encodeItem(itemField(traceId, phase), delta);
  return [String(ledgerSeq), packed];
}

/** Writes one tenant's arguments of quota-project. Throws MONEY_OUT_OF_RANGE. */
export function encodeProjection({ expectedVersion, onlyIfNoInflight, hash, drop }: TenantProjection): string[] {
  const [expected, only] = [expectedVersion === null ? '-' : String(expectedVersion), onlyIfNoInflight ? '1' : '0'];
  let [items, traces] = ['', ''];
  for (const { traceId, phase } of drop) {
    if (phase === 'all') traces += `${traceId}\0`;
    else items += `${itemField(traceId, phase)}\0`;
  }
  return [`${expected} ${only} ${encodeQuotaHash(hash).join(' ')}`, items, traces];
}

/** Writes the arguments of quota-hold. Throws MONEY_OUT_OF_RANGE. */
export function encodeHold(request: HoldRequest, nowMs: number): string[] {
  const { traceId, amountNano: nano, day } = request;
  return [traceId, amountNano(nano).toString(), day, checks(request), String(nowMs)];
}
