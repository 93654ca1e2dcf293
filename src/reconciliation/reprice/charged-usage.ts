/**
 * Owns: reading what was charged for usage, with the quantities that it was charged for.
 * Invariants: reads only; pages of entries by key, so that memory is bounded by a page and no page costs more than its
 * entries, however few of them are wanted.
 */
import type pg from 'pg';
import { type AmountNano, parseAmount } from '../../ledger/money.js';
import { contextTokensOf } from '../../ledger/price-row.js';
import { safeInteger } from '../../ledger/postgres/rows.js';
import { rowsOf } from '../reconcile/ledger-batches.js';

/** A charge: who paid what for which usage. */
export interface ChargedUsage {
  readonly tenantId: string;
  readonly provider: string;
  readonly model: string;
  /** The class that the entry records; absent: standard. */
  readonly priceClass?: string;
  readonly occurredAt: string;
  readonly currency: string;
  readonly paidNano: AmountNano;
  /** Tokens of the input, of every meter. */
  readonly contextTokens: number;
  /** Quantity by meter, tokens among them. */
  readonly quantities: readonly (readonly [meter: string, quantity: number])[];
}

/** Which charges; times are of the requests: at or after, and before. */
export interface UsageFilter {
  readonly tenantId?: string;
  readonly since?: string;
  readonly until?: string;
}

/** A place in the ledger. */
export interface EntryPlace {
  readonly tenantId: string;
  readonly seq: number;
}

/** The charges among a page of entries, and where the page ends; undefined after the last. */
export interface UsagePage {
  readonly charges: readonly ChargedUsage[];
  readonly entries: number;
  readonly last: EntryPlace | undefined;
}

const PAGE_ENTRIES = 5_000;
/** Above every identifier, which are ASCII. */
const LAST_TENANT = '\u{10FFFD}';

interface UsageRow {
  readonly tenant_id: string;
  readonly seq: string;
  readonly provider: string;
  readonly model: string;
  readonly price_class: string | null;
  readonly occurred_at: Date;
  readonly currency: string;
  readonly amount: string;
  readonly input_tokens: string | null;
  readonly output_tokens: string | null;
  readonly meters: Readonly<Record<string, { readonly quantity: number }>> | null;
  readonly is_wanted: boolean;
}

/** The next page. Throws POSTGRES_*. */
export async function pageUsage(pool: pg.Pool, after: EntryPlace, filter: UsageFilter): Promise<UsagePage> {
  const { tenantId, since, until } = filter;
  const rows = await rowsOf<UsageRow>(
    pool,
    `WITH page AS (
       SELECT e.tenant_id, e.seq, e.provider, e.model, e.price_class, e.occurred_at, e.currency, e.amount, e.input_tokens,
         e.output_tokens, e.meters, e.type = 'DEDUCT' AND e.status = 'COMMITTED' AND e.model IS NOT NULL
           AND ($4::timestamptz IS NULL OR e.occurred_at >= $4) AND ($5::timestamptz IS NULL OR e.occurred_at < $5) AS is_wanted,
         row_number() OVER (ORDER BY e.tenant_id, e.seq) AS place
       FROM ledger_entries e WHERE (e.tenant_id, e.seq) > ($1 COLLATE "C", $2) AND e.tenant_id <= $3 COLLATE "C"
       ORDER BY e.tenant_id, e.seq LIMIT ${PAGE_ENTRIES})
     SELECT p.*, counted.entries FROM page p CROSS JOIN (SELECT count(*)::integer AS entries FROM page) AS counted
     WHERE p.is_wanted OR p.place = counted.entries ORDER BY p.place`,
    [after.tenantId, after.seq, tenantId ?? LAST_TENANT, since ?? null, until ?? null],
  );
  const last = rows[rows.length - 1] as (UsageRow & { readonly entries: number }) | undefined;
  const entries = last?.entries ?? 0;
  return {
    charges: rows.filter((row) => row.is_wanted).map(chargeOf),
    entries,
    last:
      last === undefined || entries < PAGE_ENTRIES
        ? undefined
        : { tenantId: last.tenant_id, seq: safeInteger(last.seq) },
  };
}

function chargeOf(row: UsageRow): ChargedUsage {
  const tokens = { input_tokens: row.input_tokens, output_tokens: row.output_tokens };
  const quantities = [
    ...Object.entries(tokens).flatMap(([meter, text]) => (text === null ? [] : [[meter, safeInteger(text)] as const])),
    ...Object.entries(row.meters ?? {}).map(([meter, { quantity }]) => [meter, quantity] as const),
  ];
  return {
    tenantId: row.tenant_id,
    provider: row.provider,
    model: row.model,
    ...(row.price_class === null ? {} : { priceClass: row.price_class }),
    occurredAt: row.occurred_at.toISOString(),
    currency: row.currency,
    paidNano: parseAmount(row.amount),
    contextTokens: contextTokensOf(quantities),
    quantities,
  };
}
