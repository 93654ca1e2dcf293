/**
 * Owns: the entries of an export in their order: by tenant, and by seq within each; and what a tenant had before the first.
 * Does not own: how they are written (journal.ts, cli/entry-documents.ts).
 * Invariants: memory is bounded by a page. Of every tenant the entries come without a gap, so that their balances follow
 * each other; tenants are read one after the other, so while traffic runs the last is exported as of later than the first.
 * Bounds are about when an entry was recorded: a closed time gives the same export for ever.
 */
import type pg from 'pg';
import type { LedgerEntry } from '../ledger/entry.js';
import { type ExportedEntry, pageExport, recordedRange } from '../ledger/postgres/export-rows.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';

/** What is exported. */
export interface ExportScope {
  /** Only this tenant. */
  readonly tenantId?: string;
  /** Only what was recorded at or after this time, in milliseconds since the Unix epoch. */
  readonly sinceMs?: number;
  /** Only what was recorded before this time. */
  readonly untilMs?: number;
}

/** A part of an export: the last entry of a tenant before the time exported, a page of entries, or the end of a tenant. */
export type ExportPart =
  | { readonly kind: 'opening'; readonly last: LedgerEntry }
  | { readonly kind: 'entries'; readonly entries: readonly ExportedEntry[] }
  | { readonly kind: 'tenantDone' };

/** Whether only a time is exported: then tenants are looked at one by one, else all entries in one go. */
export function isBounded({ sinceMs, untilMs }: ExportScope): boolean {
  return sinceMs !== undefined || untilMs !== undefined;
}

const ENTRY_PAGE = 1_000;
const TENANT_PAGE = 500;

/** Yields an export part by part. Throws POSTGRES_*, LEDGER_CORRUPT. */
export async function* exportParts(pool: pg.Pool, scope: ExportScope): AsyncGenerator<ExportPart> {
  if (!isBounded(scope)) {
    const { tenantId } = scope;
    yield* entryParts(pool, {
      after: { tenantId: tenantId ?? '', seq: 0 },
      ...(tenantId === undefined ? {} : { tenantId }),
    });
    return;
  }
  for await (const tenantId of tenantsOf(pool, scope)) {
    yield* tenantParts(pool, tenantId, scope);
    yield { kind: 'tenantDone' };
  }
}

async function* tenantsOf(pool: pg.Pool, { tenantId }: ExportScope): AsyncGenerator<string> {
  if (tenantId !== undefined) {
    yield tenantId;
    return;
  }
  const reader = new PostgresLedgerReader(pool);
  for (let after = ''; ;) {
    const page = await reader.pageAccounts(after, TENANT_PAGE);
    for (const account of page) yield account.tenantId;
    const last = page[page.length - 1];
    if (last === undefined || page.length < TENANT_PAGE) return;
    after = last.tenantId;
  }
}

async function* tenantParts(
  pool: pg.Pool,
  tenantId: string,
  { sinceMs, untilMs }: ExportScope,
): AsyncGenerator<ExportPart> {
  const { from, to } = await recordedRange(pool, tenantId, { sinceMs, untilMs });
  if (from > 0) {
    const [last] = await pageExport(pool, { after: { tenantId, seq: from - 1 }, tenantId, seqMax: from }, 1);
    if (last !== undefined) yield { kind: 'opening', last: last.entry };
  }
  if (to > from) yield* entryParts(pool, { after: { tenantId, seq: from }, tenantId, seqMax: to });
}

async function* entryParts(pool: pg.Pool, range: Parameters<typeof pageExport>[1]): AsyncGenerator<ExportPart> {
  for (let { after } = range; ;) {
    const entries = await pageExport(pool, { ...range, after }, ENTRY_PAGE);
    if (entries.length > 0) yield { kind: 'entries', entries };
    const last = entries[entries.length - 1]?.entry;
    if (last === undefined || entries.length < ENTRY_PAGE) return;
    after = last;
  }
}
