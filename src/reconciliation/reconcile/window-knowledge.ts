/**
 * Owns: looking up what the messages of a window need beyond their positions: whole traces, accounts, parked completions
 * and prices of books; one statement each, for those messages alone that need it.
 * Does not own: what follows from it.
 */
import type pg from 'pg';
import type { EventPricing, UsageEvent } from '../../ledger/events.js';
import { distinctTraces, type TraceKey, traceKey } from '../../ledger/ledger-store.js';
import { readPricedVersions } from '../../ledger/postgres/price-books.js';
import { type PricedVersion, priceQuestionOf, quoteFrom, spanOf } from '../../ledger/price-book.js';
import { columnOf, type EntryLine } from './entry-lines.js';
import { type Chargeable, isChargeable, type TraceFacts } from './expectation.js';
import { isOf, tellsEnough } from './judge-charged.js';
import type { Case, JudgePorts } from './judgement.js';
import { readAccountFacts, readParks, readTraceEntries } from './recorded-rows.js';

/** The facts of a message for which nothing was looked up. */
export const NO_FACTS: TraceFacts = { isComplete: false, trace: [], account: undefined, park: undefined };

/** Looks up what some cases need, and gives it to them; returns the prices that others need. Throws POSTGRES_*. */
export async function lookUp(pool: pg.Pool, cases: readonly Case[]): Promise<Pick<JudgePorts, 'quoteOf'>> {
  const unsettled = cases.flatMap((subject) => (needsTrace(subject) ? [{ subject, item: subject.item }] : []));
  const keyed = unsettled.flatMap(({ subject, item }) => (isChargeable(item) ? [{ subject, key: keyOf(item) }] : []));
  const keys = distinctTraces(keyed.map(({ key }) => key));
  const parkable = distinctTraces(keyed.flatMap(({ subject, key }) => (mayBeParked(subject) ? [key] : [])));
  const [traces, accounts, parks, versions] = await Promise.all([
    readTraceEntries(pool, keys),
    readAccountFacts(pool, [...new Set(keys.map(({ tenantId }) => tenantId))]),
    readParks(pool, parkable),
    readBooks(pool, cases),
  ]);
  for (const { subject, key } of keyed) {
    const name = traceKey(key);
    const trace = traces.get(name) ?? [];
    subject.facts = { isComplete: true, trace, account: accounts.get(key.tenantId), park: parks.get(name) };
  }
  return { quoteOf: (priceVersion, { event }) => quoteOf(versions, priceVersion, event) };
}

function mayBeParked({ item }: Case): boolean {
  return item.kind !== 'deadLetter' && item.event.kind === 'completed';
}

function keyOf({ tenantId, event }: Chargeable): TraceKey {
  return { tenantId, traceId: event.traceId };
}

/** Everything but a message whose own entry is there, tells what was before it, and was charged at its own prices. */
export function needsLookUp(subject: Case): boolean {
  return needsTrace(subject) || (subject.item.kind === 'unquoted' && subject.there.entries.length > 0);
}

function needsTrace({ item, there }: Case): boolean {
  if (!isChargeable(item)) return false;
  const { letter, skip, repair, entries } = there;
  if (letter !== undefined || skip !== undefined || repair !== undefined) return true;
  const own = entries.find((line) => isOf(line, item));
  return own === undefined || !tellsEnough(own);
}

/** The versions of the books that entries of events without pricing name, by book. */
async function readBooks(pool: pg.Pool, cases: readonly Case[]): Promise<Map<string, PricedVersion[]>> {
  const events = new Map<string, UsageEvent[]>();
  for (const { item, there } of cases) {
    if (item.kind !== 'unquoted') continue;
    for (const book of there.entries.flatMap(bookOf)) {
      const known = events.get(book);
      if (known === undefined) events.set(book, [item.event]);
      else known.push(item.event);
    }
  }
  const versions = new Map<string, PricedVersion[]>();
  for (const [book, priced] of events) {
    const span = spanOf(priced);
    if (span !== undefined) versions.set(book, await readPricedVersions(pool, book, span));
  }
  return versions;
}

function bookOf(line: EntryLine): string[] {
  const priceVersion = columnOf(line, 'price_version');
  return priceVersion === null ? [] : [bookName(priceVersion)];
}

function bookName(priceVersion: string): string {
  return priceVersion.slice(0, priceVersion.lastIndexOf('@'));
}

function quoteOf(
  versions: ReadonlyMap<string, PricedVersion[]>,
  priceVersion: string,
  event: UsageEvent,
): EventPricing | undefined {
  return quoteFrom(versions.get(bookName(priceVersion)) ?? [], priceQuestionOf(event));
}
