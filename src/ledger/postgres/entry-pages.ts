/**
 * Owns: pages of a tenant's entries by seq, with filters, also as they were at a past instant.
 * Invariants: a page looks at no more than ENTRIES_SCANNED_MAX entries, whatever the filter: seq is gapless, so a range
 * of seq is a number of entries. A cursor is a seq, so what is appended meanwhile moves no entry from page to page.
 */
import type pg from 'pg';
import type { EntryFilter, EntryListing, EntryPage } from '../ledger-queries.js';
import { seqAt, seqBefore } from './point-in-time.js';
import { ENTRY_SELECT, type EntryRow, type StoredEntry, storedEntryOf } from './proof-rows.js';
import { safeInteger } from './rows.js';

/** Measured on 2 busy cores: a page that finds nothing among so many entries takes about 0.1 s. */
const ENTRIES_SCANNED_MAX = 100_000;
const DAY_MS = 86_400_000;

/** The seqs a listing is about: from < seq ≤ to. */
interface SeqRange {
  readonly from: number;
  readonly to: number;
}

/** Reads a page; undefined when the tenant has no account. Throws LEDGER_CORRUPT. */
export async function readEntryPage(client: pg.ClientBase, listing: EntryListing): Promise<EntryPage | undefined> {
  const whole = await rangeOf(client, listing);
  if (whole === undefined) return undefined;
  const { from, to, scanned } = scanOf(whole, listing);
  const entries = from < to ? await selectEntries(client, listing, { from, to }) : [];
  const isFull = entries.length === listing.limit;
  const last = entries[entries.length - 1]?.entry.seq;
  const reached = isFull && last !== undefined ? last : scanned;
  const isEnd = listing.order === 'oldestFirst' ? reached >= whole.to : reached <= whole.from + 1;
  return { entries, next: isEnd ? null : reached, lastSeq: whole.to };
}

/** Everything the listing could hold, by seq, apart from its cursor. */
async function rangeOf(client: pg.ClientBase, { tenantId, filter, at }: EntryListing): Promise<SeqRange | undefined> {
  const { rows } = await client.query<{ seq: string }>('SELECT a.seq FROM accounts a WHERE a.tenant_id = $1', [
    tenantId,
  ]);
  if (rows[0] === undefined) return undefined;
  const byInstant = at === undefined ? safeInteger(rows[0].seq) : await seqAt(client, tenantId, at);
  const until = filter.by === 'recorded' ? filter.until : undefined;
  return {
    from: filter.since === undefined ? 0 : await seqBefore(client, tenantId, earliestRecordedMs(filter.since, filter)),
    to: until === undefined ? byInstant : Math.min(byInstant, await seqBefore(client, tenantId, Date.parse(until))),
  };
}

/** When an entry of the filter was recorded at the earliest: an event is charged five minutes early at most. */
function earliestRecordedMs(since: string, { by }: EntryFilter): number {
  return by === 'recorded' ? Date.parse(since) : Date.parse(since) - DAY_MS;
}

/** The part of the range that this page looks at, and the seq it has reached once it has looked at all of it. */
function scanOf({ from, to }: SeqRange, { order, after }: EntryListing): SeqRange & { scanned: number } {
  if (order === 'oldestFirst') {
    const start = Math.max(from, after ?? 0);
    const end = Math.min(to, start + ENTRIES_SCANNED_MAX);
    return { from: start, to: end, scanned: end };
  }
  const end = Math.min(to, (after ?? Number.MAX_SAFE_INTEGER) - 1);
  const start = Math.max(from, end - ENTRIES_SCANNED_MAX);
  return { from: start, to: end, scanned: start + 1 };
}

async function selectEntries(
  client: pg.ClientBase,
  { tenantId, filter, order, limit }: EntryListing,
  { from, to }: SeqRange,
): Promise<StoredEntry[]> {
  const values: unknown[] = [tenantId, from, to, limit];
  const conditions = conditionsOf(filter).map(([condition, value]) => `AND ${condition} $${values.push(value)}`);
  const { rows } = await client.query<EntryRow>(
    `SELECT ${ENTRY_SELECT} FROM ledger_entries e
     WHERE e.tenant_id = $1 AND e.seq > $2 AND e.seq <= $3 ${conditions.join(' ')}
     ORDER BY e.seq ${order === 'oldestFirst' ? 'ASC' : 'DESC'} LIMIT $4`,
    values,
  );
  return rows.map(storedEntryOf);
}

/** The conditions of a filter as SQL before its value, and the value. */
function conditionsOf({
  type,
  status,
  model,
  provider,
  apiKeyId,
  userId,
  projectId,
  ...rest
}: EntryFilter): [string, string][] {
  const { tags, by, since, until } = rest;
  const time = by === 'occurred' ? 'e.occurred_at' : 'e.recorded_at';
  const all: [string, string | undefined][] = [
    ['e.type =', type],
    ['e.status =', status],
    ['e.model =', model],
    ['e.provider =', provider],
    ['e.api_key_id =', apiKeyId],
    ['e.user_id =', userId],
    ['e.project_id =', projectId],
    ['e.tags @>', tags === undefined ? undefined : JSON.stringify(tags)],
    [`${time} >=`, since],
    [`${time} <`, until],
  ];
  return all.flatMap(([condition, value]) => (value === undefined ? [] : [[condition, value]]));
}
