/**
 * Owns: where a re-pricing takes its prices from: the versions of a price book that were in force, one version of it for
 * everything, or a price list that was never imported.
 * Does not own: what a price list says (src/prices), which version is in force (ledger/price-book.ts).
 */
import type pg from 'pg';
import type { EventPricing } from '../../ledger/events.js';
import { readPricedVersions, readPrices, readVersions, unknownPriceBook } from '../../ledger/postgres/price-books.js';
import {
  modelKey,
  type ModelPrices,
  type PricedVersion,
  type PriceQuestion,
  quoteFrom,
  spanOf,
} from '../../ledger/price-book.js';
import { TollbookError } from '../../runtime/errors.js';

/** Says what something costs; undefined where it has no price. */
export type Quote = (question: PriceQuestion) => EventPricing | undefined;

/** A source of prices. */
export interface PriceSource {
  /** How the prices are named to people. */
  readonly name: string;
  /** The quotes that some questions need. Throws POSTGRES_*. */
  quotesFor(questions: readonly PriceQuestion[]): Promise<Quote>;
}

/**
 * The prices of a book: of one version for all times, or of the version in force at the time of each request.
 * Throws PRICE_BOOK_UNKNOWN, USAGE_INVALID for a version that there is not.
 */
export async function priceBookSource(pool: pg.Pool, book: string, version: number | undefined): Promise<PriceSource> {
  const versions = await readVersions(pool, book);
  if (versions.length === 0) throw unknownPriceBook(book, '--prices');
  if (version === undefined) {
    return {
      name: book,
      quotesFor: async (questions) => {
        const span = spanOf(questions);
        const inForce = span === undefined ? [] : await readPricedVersions(pool, book, span);
        return (question) => quoteFrom(inForce, question);
      },
    };
  }
  const found = versions.find((each) => each.version === version);
  if (found === undefined) {
    throw new TollbookError(
      'USAGE_INVALID',
      `--prices is ${book}@${version}; allowed: ${book} or ${book}@1 to ${book}@${versions.length}`,
    );
  }
  return listSource(await readPrices(pool, found), { ...found, name: `${book}@${version}` });
}

/** The prices of a list, whenever the request was. */
export function listSource(
  prices: readonly ModelPrices[],
  { name, currency }: { readonly name: string; readonly currency: string },
): PriceSource {
  const always: PricedVersion = {
    ...{ book: name, version: 1, currency, effectiveFrom: '' },
    prices: new Map(prices.map((each) => [modelKey(each), each])),
  };
  return { name, quotesFor: () => Promise.resolve((question) => quoteFrom([always], question)) };
}
