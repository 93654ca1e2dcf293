/**
 * Owns: telling when a tenant's keys hold what no script of Tollbook can work with, and what is to be done about it.
 * Does not own: doing it (quota-scripts.ts, quota-mend.lua), nor differences from the ledger (projections/audit-drift.ts).
 * Invariants: pure. Only what the keys hold counts as broken; a condition of the server never does.
 */
import { isTollbookError } from '../runtime/errors.js';
import { decodeQuotaHash, sumFields, sumItems } from './quota-codec.js';
import type { ObservedHash, ObservedOverlay, QuotaObservation } from './quota-observation.js';

/** A tenant whose keys are to be mended, and the version of its quota hash if that is to go. */
export interface TenantMending {
  readonly tenantId: string;
  readonly hashToDrop?: number;
}

/** What a script or a read says of a key: its type is another, or a value in it is none of ours. */
const OF_A_KEY = /WRONGTYPE|user_script|which no script of Tollbook writes/;
/** What the server says of itself, also from within a script. */
const OF_THE_SERVER = /\b(READONLY|OOM|MISCONF|NOREPLICAS|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|NOPERM|NOAUTH)\b/;

/** Tells whether an error is about what a key holds, and not about the server. */
export function isOfAKey(error: unknown): boolean {
  return isTollbookError(error, 'REDIS_FAILED') && OF_A_KEY.test(error.message) && !OF_THE_SERVER.test(error.message);
}

/** Tells whether an overlay is a hash of items, with sums that are those of the items. */
export function isSoundOverlay(overlay: ObservedOverlay): boolean {
  if (overlay.kind === 'unreadable' || overlay.strange.length > 0) return false;
  const expected = sumFields(sumItems(overlay.items), overlay.items.length);
  return (
    overlay.sums.size === expected.size && [...expected].every(([field, value]) => overlay.sums.get(field) === value)
  );
}

/** What is to be mended of a tenant; undefined when its keys can be worked with. */
export function mendingOf(tenantId: string, { hash, overlay }: QuotaObservation): TenantMending | undefined {
  if (hash.kind === 'read' && !isReadable(hash)) return { tenantId, hashToDrop: hash.version };
  return hash.kind === 'unreadable' || !isSoundOverlay(overlay) ? { tenantId } : undefined;
}

function isReadable({ values }: ObservedHash & { kind: 'read' }): boolean {
  try {
    return decodeQuotaHash('', values) !== null;
  } catch (error) {
    if (isOfAKey(error)) return false;
    throw error;
  }
}
