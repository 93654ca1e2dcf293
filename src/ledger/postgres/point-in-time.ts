/**
 * Owns: an account as it was: finding the position of an instant in a tenant's ledger, and the account at that position.
 * Invariants: nothing scans with history. The position is found by bisection over seq, which is gapless: one key look-up
 * a doubling of the ledger. Balance and held are those the entry there left; terms those of the last LIMITS entry
 * by then, found by the command that made it; windows are summed over the entries of three months, see `windowsAt`.
 */
import type pg from 'pg';
import { TollbookError } from '../../runtime/errors.js';
import { type Account, emptyAccount, termsOf } from '../account.js';
import type { AccountAnswer, AccountView } from '../ledger-queries.js';
import { monthOf, PAST_MONTHS, type RequestWindows, windowsOf } from '../request-windows.js';
import { dayOf } from '../trace.js';
import { ENTRY_SELECT, type EntryRow, storedEntryOf, type StoredEntry } from './proof-rows.js';
import { safeInteger } from './rows.js';

const DAY_MS = 86_400_000;

/** No ledger has 2^41 entries of one tenant. */
const FIRST_STEP = 2 ** 40;

/**
 * How many entries of the tenant were recorded before the instant, which is the seq of the last one; 0 for an unknown
 * tenant. The steps are powers of two, whatever the length of the ledger: so the answer for a past instant stays the same
 * as the ledger grows, even where recorded times step back. Throws LEDGER_CORRUPT when an entry is missing.
 */
export async function seqBefore(client: pg.ClientBase, tenantId: string, instantMs: number): Promise<number> {
  const { rows } = await client.query<{ low: string; missing: string | null }>(
    `WITH RECURSIVE search(low, step, last, missing) AS (
       SELECT 0::bigint, $3::bigint, a.seq, NULL::bigint FROM accounts a WHERE a.tenant_id = $1
       UNION ALL
       SELECT CASE WHEN probe.is_before THEN low + step ELSE low END, step / 2, last,
         CASE WHEN probe.is_before IS NULL AND low + step <= last THEN low + step END
       FROM search LEFT JOIN LATERAL (
         SELECT e.recorded_at < $2 AS is_before FROM ledger_entries e
         WHERE e.tenant_id = $1 AND e.seq = low + step AND low + step <= last) AS probe ON true
       WHERE step > 0 AND missing IS NULL)
     SELECT low, missing FROM search ORDER BY step LIMIT 1`,
    [tenantId, new Date(instantMs).toISOString(), FIRST_STEP],
  );
  const [found] = rows;
  if (found === undefined) return 0;
  if (found.missing !== null) throw missingEntry(tenantId, safeInteger(found.missing));
  return safeInteger(found.low);
}

/** The seq of the last entry recorded by the instant, that is at it or before it; 0 when there is none. */
export async function seqAt(client: pg.ClientBase, tenantId: string, at: string): Promise<number> {
  return seqBefore(client, tenantId, Date.parse(at) + 1);
}

/** The account as of the last entry recorded by the instant. Throws LEDGER_CORRUPT when an entry is missing. */
export async function readAccountAt(client: pg.ClientBase, tenantId: string, at: string): Promise<AccountAnswer> {
  const first = await findEntry(client, tenantId, 1);
  if (first === undefined) return { kind: 'unknown' };
  const seq = await seqAt(client, tenantId, at);
  if (seq === 0) return { kind: 'notYet', firstRecordedAt: first.recordedAt };
  return { kind: 'found', view: await viewAt(client, first, seq) };
}

/**
 * The account as its entries up to a seq left it; at seq 0, as it was opened.
 * Throws LEDGER_CORRUPT when an entry is missing.
 */
export async function readAccountAtSeq(client: pg.ClientBase, tenantId: string, seq: number): Promise<Account> {
  const first = await entryAt(client, tenantId, 1);
  if (seq > 0) return (await viewAt(client, first, seq)).account;
  const { currency, occurredAt, detail } = first.entry;
  return emptyAccount({ tenantId, currency, day: dayOf(occurredAt) }, termsOf(detail ?? {}));
}

async function viewAt(client: pg.ClientBase, { entry: opening }: StoredEntry, seq: number): Promise<AccountView> {
  const { tenantId } = opening;
  const { entry: last, recordedAt } = await entryAt(client, tenantId, seq);
  const { entry: limits } = await entryAt(client, tenantId, await lastLimitsSeq(client, tenantId, seq));
  const windows = await windowsAt(client, { tenantId, openingDay: dayOf(opening.occurredAt) }, { seq, recordedAt });
  const account: Account = {
    tenantId,
    currency: last.currency,
    balanceNano: last.balanceAfterNano,
    heldNano: last.heldAfterNano,
    ...termsOf(limits.detail ?? {}),
    ...windows,
    seq,
  };
  return { account, recordedAt, openHolds: null };
}

async function findEntry(client: pg.ClientBase, tenantId: string, seq: number): Promise<StoredEntry | undefined> {
  const { rows } = await client.query<EntryRow>(
    `SELECT ${ENTRY_SELECT} FROM ledger_entries e WHERE e.tenant_id = $1 AND e.seq = $2`,
    [tenantId, seq],
  );
  return rows[0] === undefined ? undefined : storedEntryOf(rows[0]);
}

async function entryAt(client: pg.ClientBase, tenantId: string, seq: number): Promise<StoredEntry> {
  const found = await findEntry(client, tenantId, seq);
  if (found === undefined) throw missingEntry(tenantId, seq);
  return found;
}

function missingEntry(tenantId: string, seq: number): TollbookError {
  return new TollbookError('LEDGER_CORRUPT', `entry ${tenantId}#${seq} is missing`, { context: { tenantId, seq } });
}

/** The last entry that set the terms: of a limits command, or the opening of the account, which is always the first. */
async function lastLimitsSeq(client: pg.ClientBase, tenantId: string, seq: number): Promise<number> {
  const { rows } = await client.query<{ seq: string }>(
    `SELECT c.seq FROM ledger_commands c WHERE c.tenant_id = $1 AND c.seq <= $2 AND c.kind = 'limits'
     ORDER BY c.seq DESC LIMIT 1`,
    [tenantId, seq],
  );
  return rows[0] === undefined ? 1 : safeInteger(rows[0].seq);
}

/**
 * The request windows as `evolve` leaves them at a position: each is the sum of what was counted in it, and which ones are
 * kept follows from the latest day that anything was counted on. An event is charged at the earliest five minutes before it
 * occurs, so entries that count in a month were recorded no earlier than the day before it: the entries since the day before
 * the oldest month that is kept are summed, and those of earlier ones only where these counted nothing in the month at hand.
 */
async function windowsAt(
  client: pg.ClientBase,
  { tenantId, openingDay }: { tenantId: string; openingDay: string },
  position: { seq: number; recordedAt: string },
): Promise<RequestWindows> {
  const counted = new Map([[openingDay, 0]]);
  let { seq, recordedAt } = position;
  for (let month = monthOf(recordedAt); ; month = monthOf(recordedAt)) {
    const from = await seqBefore(client, tenantId, startOfMonth(month, PAST_MONTHS) - DAY_MS);
    await countRequests(client, counted, { tenantId, from, to: seq });
    if (from === 0 || month <= monthOf(latestOf(counted))) return windowsOf(openingDay, counted);
    seq = from;
    ({ recordedAt } = await entryAt(client, tenantId, from));
  }
}

/** Adds the requests that the entries in (from, to] counted, by day. */
async function countRequests(
  client: pg.ClientBase,
  counted: Map<string, number>,
  { tenantId, from, to }: { tenantId: string; from: number; to: number },
): Promise<void> {
  const { rows } = await client.query<{ day: string; requests: string }>(
    `SELECT e.counted_on::text AS day, sum(e.requests) AS requests FROM ledger_entries e
     WHERE e.tenant_id = $1 AND e.seq > $2 AND e.seq <= $3 AND e.counted_on IS NOT NULL GROUP BY e.counted_on`,
    [tenantId, from, to],
  );
  for (const { day, requests } of rows) counted.set(day, (counted.get(day) ?? 0) + safeInteger(requests));
}

/** When a month (YYYY-MM) so many months before began, in milliseconds. */
function startOfMonth(month: string, before: number): number {
  return Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5, 7)) - 1 - before, 1);
}

function latestOf(counted: ReadonlyMap<string, number>): string {
  return [...counted.keys()].reduce((latest, day) => (day > latest ? day : latest));
}
