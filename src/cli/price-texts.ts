/**
 * Owns: how rows of prices look to people and to scripts, and finding the version of a book that is in effect at a time.
 * Invariants: prices are decimal strings per 1,000 units.
 */
import type pg from 'pg';
import { type ImportedVersion, readVersions, unknownPriceBook } from '../ledger/postgres/price-books.js';
import { versionInForce, versionNameOf } from '../ledger/price-book.js';
import { type PriceRow, STANDARD_CLASS } from '../ledger/price-row.js';
import { TollbookError } from '../runtime/errors.js';
import { nameMap } from '../runtime/name-map.js';

/** A row as JSON. */
export function rowJson({ meters, ...row }: PriceRow): object {
  return { ...row, meters: nameMap(meters) };
}

/** The prices of a row in one line. */
export function pricesText({ inputPer1k = '-', outputPer1k = '-', meters }: PriceRow): string {
  const further = metersText(meters);
  return `input ${inputPer1k}, output ${outputPer1k}${further === '' ? '' : `, ${further}`} per 1,000`;
}

/** The further meters of a row in one line. */
export function metersText(meters: PriceRow['meters']): string {
  return [...meters].map(([meter, price]) => `${meter} ${price}`).join(', ');
}

/** The condition of a row for people: `priority, above 200000 tokens`; empty for the ordinary row. */
export function conditionText({ priceClass, contextAbove, contextUpTo, hours }: PriceRow): string {
  const conditions = [
    ...(priceClass === STANDARD_CLASS ? [] : [priceClass]),
    ...(contextAbove === 0 ? [] : [`above ${contextAbove} tokens`]),
    ...(contextUpTo === null ? [] : [`up to ${contextUpTo} tokens`]),
    ...(hours ?? []).map(({ weekdays, from, to }) => `${from}-${to} UTC on ${weekdays.map(weekdayName).join(' ')}`),
  ];
  return conditions.join(', ');
}

function weekdayName(weekday: number): string {
  return ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][weekday - 1] ?? String(weekday);
}

/** The version of a book that is in effect at a time. Throws PRICE_BOOK_UNKNOWN, USAGE_INVALID before its first version. */
export async function versionAt(pool: pg.Pool, book: string, at: string): Promise<ImportedVersion> {
  const versions = await readVersions(pool, book);
  const first = versions.at(-1);
  if (first === undefined) throw unknownPriceBook(book, 'book');
  const version = versionInForce(versions, at);
  if (version !== undefined) return version;
  const begins = `${versionNameOf(first)} takes effect at ${first.effectiveFrom}`;
  throw new TollbookError('USAGE_INVALID', `at is ${at}; allowed: later, since ${begins}`);
}
