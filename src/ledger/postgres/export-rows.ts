/**
 * Owns: reading entries in bulk and in order, with the request that a refund is about.
 * Invariants: pages by key, so that memory is bounded by a page; a page costs its entries, however large the ledger.
 */
import type pg from 'pg';
import { translatePostgresError } from '../../runtime/postgres.js';
import { seqBefore } from './point-in-time.js';
import { ENTRY_SELECT, type EntryRow, type StoredEntry, storedEntryOf } from './proof-rows.js';
import { readSnapshot } from './read-snapshot.js';

/** An entry with the provider and the model of the request it is about: its own, or that of the charge it refunds. */
export interface ExportedEntry extends StoredEntry {
  readonly provider: string | null;
  readonly model: string | null;
}

/** Which entries a page is taken from: after a position, of one tenant or of all, up to a seq or to the end. */
export interface ExportRange {
  readonly after: { readonly tenantId: string; readonly seq: number };
  /** Only this tenant. */
  readonly tenantId?: string;
  readonly seqMax?: number;
}

type ExportRow = EntryRow & { readonly of_provider: string | null; readonly of_model: string | null };

/** A page of entries by (tenant, seq). Throws POSTGRES_*. */
export async function pageExport(
  pool: pg.Pool,
  { after, tenantId, seqMax }: ExportRange,
  limit: number,
): Promise<ExportedEntry[]> {
  try {
    const { rows } = await pool.query<ExportRow>(
      `SELECT ${ENTRY_SELECT}, coalesce(e.provider, refunded.provider) AS of_provider,
         coalesce(e.model, refunded.model) AS of_model
       FROM ledger_entries e
       LEFT JOIN ledger_entries refunded
         ON e.type = 'REFUND' AND refunded.tenant_id = e.tenant_id AND refunded.seq = e.reference_seq
       WHERE (e.tenant_id, e.seq) > ($1 COLLATE "C", $2) AND ($3::text IS NULL OR e.tenant_id <= $3 COLLATE "C")
         AND ($4::bigint IS NULL OR e.seq <= $4)
       ORDER BY e.tenant_id, e.seq LIMIT $5`,
      [after.tenantId, after.seq, tenantId ?? null, seqMax ?? null, limit],
    );
    return rows.map((row) => ({ ...storedEntryOf(row), provider: row.of_provider, model: row.of_model }));
  } catch (error) {
    throw translatePostgresError(error);
  }
}

/** Which seqs of a tenant were recorded in a time: from < seq ≤ to. */
export interface RecordedRange {
  readonly from: number;
  readonly to: number;
}

/** Finds the seqs recorded at or after `sinceMs` and before `untilMs`; undefined is no bound. Throws POSTGRES_*, LEDGER_CORRUPT. */
export function recordedRange(
  pool: pg.Pool,
  tenantId: string,
  { sinceMs, untilMs }: { sinceMs: number | undefined; untilMs: number | undefined },
): Promise<RecordedRange> {
  return readSnapshot(pool, async (client) => ({
    from: sinceMs === undefined ? 0 : await seqBefore(client, tenantId, sinceMs),
    to: await seqBefore(client, tenantId, untilMs ?? END_OF_TIME_MS),
  }));
}

/** The last instant that PostgreSQL and ISO 8601 with four digits share. */
const END_OF_TIME_MS = Date.parse('9999-12-31T23:59:59.999Z');
