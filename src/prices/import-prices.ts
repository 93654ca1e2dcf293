/**
 * Owns: making a price map the next version of a price book, or finding that it is the latest already.
 * Does not own: the format (price-map-reader.ts), SQL (ledger/postgres/price-books.ts), what a version means to an event
 * (ledger/price-book.ts).
 * Invariants: prices never change backwards, nor the currency of a book; importing the same file again writes nothing; of two importers at once the
 * second starts over from what the first has written.
 */
import type pg from 'pg';
import { insertVersion, type ImportedVersion, readLatestVersion, readPrices } from '../ledger/postgres/price-books.js';
import { firstParkedAt } from '../ledger/postgres/parked-usage.js';
import {
  assertNotRetroactive,
  modelKey,
  type ModelPrices,
  PRICE_BOOK_NAME,
  PRICE_BOOK_NAME_ALLOWED,
} from '../ledger/price-book.js';
import { type PriceRow, rowName } from '../ledger/price-row.js';
import { samePrice } from '../ledger/pricing.js';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import { faultPoint } from '../runtime/fault-points.js';
import type { NamedPriceMap } from './declared-names.js';
import type { PriceMap } from './price-map-reader.js';

/**
 * An import: which map into which book, in force from when (ISO 8601 UTC). Without a time: from now; of the first version of a
 * book, from when the oldest parked usage was used, so that the book can price it.
 */
export interface PriceImport {
  readonly book: string;
  readonly map: PriceMap & Partial<Pick<NamedPriceMap, 'datedProviders'>>;
  readonly currency: string;
  readonly effectiveFrom?: string;
  readonly actor: string;
  /** True: find out what would be done, and write nothing. */
  readonly dryRun?: boolean;
}

/** How the names of a version compare with those of the version before it. */
export type PriceChanges = Readonly<Record<'added' | 'changed' | 'removed' | 'same', number>>;

/** What an import came to: `unchanged` when the latest version is of the same file. */
export interface ImportResult {
  readonly outcome: 'imported' | 'wouldImport' | 'unchanged';
  readonly version: ImportedVersion;
  readonly changes: PriceChanges;
}

const ATTEMPTS_MAX = 5;

/**
 * Imports a price map into a book.
 * Atomic. Idempotent: by the digest of the file, and of the names that are declared with it. Throws USAGE_INVALID, CURRENCY_MISMATCH, PRICES_RETROACTIVE, POSTGRES_*.
 */
export async function importPrices(
  pool: pg.Pool,
  wanted: PriceImport,
  clock: { nowMs(): number },
): Promise<ImportResult> {
  if (!PRICE_BOOK_NAME.test(wanted.book)) {
    throw new TollbookError(
      'USAGE_INVALID',
      `book is ${JSON.stringify(wanted.book)}; allowed: ${PRICE_BOOK_NAME_ALLOWED}`,
    );
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await importOnce(pool, wanted, clock.nowMs());
    } catch (error) {
      if (!isTollbookError(error, 'POSTGRES_CONFLICT') || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

async function importOnce(pool: pg.Pool, wanted: PriceImport, nowMs: number): Promise<ImportResult> {
  const { book, map, currency, actor } = wanted;
  const latest = await readLatestVersion(pool, book);
  if (latest !== undefined) assertCurrency(wanted, latest);
  if (latest?.digest.equals(map.digest) === true) {
    const same = map.prices.length;
    return { outcome: 'unchanged', version: latest, changes: { added: 0, changed: 0, removed: 0, same } };
  }
  const importedAt = new Date(nowMs).toISOString();
  const effectiveFrom = wanted.effectiveFrom ?? (latest === undefined ? await firstFrom(pool, importedAt) : importedAt);
  assertNotRetroactive(latest, { effectiveFrom, now: importedAt });
  const { digest, models, datedProviders = [] } = map;
  const version = {
    ...{ book, version: (latest?.version ?? 0) + 1, effectiveFrom, currency },
    ...{ models, digest, actor, importedAt, datedProviders },
  };
  const changes = compare(latest === undefined ? [] : await readPrices(pool, latest), map.prices);
  if (wanted.dryRun === true) return { outcome: 'wouldImport', version, changes };
  await faultPoint('prices.compared');
  await insertVersion(pool, version, map.prices);
  await faultPoint('prices.written');
  return { outcome: 'imported', version, changes };
}

async function firstFrom(pool: pg.Pool, now: string): Promise<string> {
  const first = await firstParkedAt(pool);
  return first === undefined || first > now ? now : first;
}

/** A book that changed its currency would price nobody's events from then on. */
function assertCurrency({ book, currency }: PriceImport, latest: ImportedVersion): void {
  if (latest.currency === currency) return;
  throw new TollbookError(
    'CURRENCY_MISMATCH',
    `currency is ${currency}; allowed: ${latest.currency}, the currency of price book ${book}`,
    { context: { book, found: currency, expected: latest.currency } },
  );
}

function compare(before: readonly ModelPrices[], after: readonly ModelPrices[]): PriceChanges {
  const old = new Map(before.map((prices) => [modelKey(prices), prices]));
  const known = after.flatMap((prices) => {
    const previous = old.get(modelKey(prices));
    return previous === undefined ? [] : [isSame(previous, prices)];
  });
  const same = known.filter((each) => each).length;
  return {
    added: after.length - known.length,
    changed: known.length - same,
    removed: before.length - known.length,
    same,
  };
}

function isSame(before: ModelPrices, after: ModelPrices): boolean {
  return (
    before.rows.length === after.rows.length &&
    before.rows.every((row, index) => {
      const other = after.rows[index];
      return other !== undefined && isSameRow(row, other);
    })
  );
}

function isSameRow(before: PriceRow, after: PriceRow): boolean {
  const meters = [...new Set([...before.meters.keys(), ...after.meters.keys()])];
  return (
    rowName(before) === rowName(after) &&
    before.contextUpTo === after.contextUpTo &&
    JSON.stringify(before.hours) === JSON.stringify(after.hours) &&
    samePrice(before.inputPer1k ?? null, after.inputPer1k ?? null) &&
    samePrice(before.outputPer1k ?? null, after.outputPer1k ?? null) &&
    meters.every((meter) => samePrice(before.meters.get(meter) ?? null, after.meters.get(meter) ?? null))
  );
}
