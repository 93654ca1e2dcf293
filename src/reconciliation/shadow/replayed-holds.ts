/**
 * Owns: finding in the shadow the holds that the ledger has expired together.
 * Invariants: in the recorded order; a hold that the shadow does not have open, or not past its time, is left out, so that
 * it shows as an entry that is missing.
 */
import type pg from 'pg';
import type { DueHold } from '../../ledger/expiry.js';
import { ENTRY_SELECT, type EntryRow, type StoredEntry, storedEntryOf } from '../../ledger/postgres/proof-rows.js';
import { rowsOf } from '../reconcile/ledger-batches.js';

/** The shadow's open holds of the traces of some EXPIRED entries that were over by an instant. Throws POSTGRES_*. */
export async function openHoldsOf(
  shadow: pg.Pool,
  expired: readonly StoredEntry[],
  sealedAt: string,
): Promise<DueHold[]> {
  const rows = await rowsOf<EntryRow & { readonly expires_at: Date }>(
    shadow,
    `SELECT ${ENTRY_SELECT}, h.expires_at
     FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(tenant_id, trace_id, place)
     JOIN open_holds h ON h.tenant_id = w.tenant_id COLLATE "C" AND h.trace_id = w.trace_id COLLATE "C"
     JOIN ledger_entries e ON e.tenant_id = h.tenant_id AND e.trace_id = h.trace_id AND e.status = 'PENDING'
     WHERE h.expires_at <= $3 ORDER BY w.place`,
    [expired.map(({ entry }) => entry.tenantId), expired.map(({ entry }) => entry.traceId), sealedAt],
  );
  return rows.map((row) => ({ entry: storedEntryOf(row).entry, expiresAt: row.expires_at.toISOString() }));
}
