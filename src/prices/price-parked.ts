/**
 * Owns: pricing everything that is parked from a price book, one idempotent command a trace; and telling what that would
 * come to.
 * Does not own: the command (ledger/commands/price-usage.ts).
 * Invariants: the key of a command follows from its trace, so that a run that was cut off can be repeated; what the book
 * does not have stays parked; one page of traces in memory at a time.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { bookCommand, type CommandPorts } from '../ledger/commands/book-command.js';
import { IDENTIFIER } from '../ledger/identifier.js';
import { quoteFrom, type PricedVersion, priceQuestionOf, spanOf } from '../ledger/price-book.js';
import { meteredUsage, unpricedMeters, usageCost } from '../ledger/pricing.js';
import { amountNano, type AmountNano, ZERO } from '../ledger/money.js';
import { readPricedVersions } from '../ledger/postgres/price-books.js';
import { type OpenParked, pageParked, type ParkedFilter } from '../ledger/postgres/parked-usage.js';
import { besideOthers } from '../runtime/beside-others.js';
import { type ErrorCode, isTollbookError } from '../runtime/errors.js';

/** What a run prices, and who hears how many traces it has looked at. */
export interface ParkedPricing {
  readonly book: string;
  readonly filter: ParkedFilter;
  readonly actor: string;
  readonly reason: string;
  readonly allowNegative: boolean;
  readonly onProgress?: (done: number) => void;
}

/** What became of the parked traces. */
export interface ParkedPricingResult {
  readonly committed: number;
  /** Charged for nothing: refused, so that the trace is FAILED and can be collected. */
  readonly failed: number;
  /** Why traces stay parked: error code → how many. */
  readonly left: Readonly<Partial<Record<ErrorCode, number>>>;
}

const PAGE_SIZE = 200;

/** Errors that say something about one trace, and nothing about the next one. */
const OF_ONE_TRACE: readonly ErrorCode[] = [
  'PRICE_MISSING',
  'PRICE_NOT_ALLOWED',
  'CURRENCY_MISMATCH',
  'MONEY_OUT_OF_RANGE',
  'IDEMPOTENCY_KEY_REUSED',
];

/** What pricing would come to; whether a balance covers it is decided when it is done. */
export interface ParkedQuote {
  /** Traces that the book has every price for. */
  readonly priced: number;
  /** What they cost, by currency. */
  readonly amounts: ReadonlyMap<string, AmountNano>;
  /** Traces that would stay parked. */
  readonly left: number;
}

/** Tells what pricing the parked traces from a book would come to. Reads only. Throws POSTGRES_*. */
export async function quoteParked(pool: pg.Pool, book: string, filter: ParkedFilter = {}): Promise<ParkedQuote> {
  const amounts = new Map<string, AmountNano>();
  let [priced, left] = [0, 0];
  let page: OpenParked[] = [];
  do {
    page = await pageParked(pool, filter, { after: page[page.length - 1], limit: PAGE_SIZE });
    const span = spanOf(page.map(({ event }) => priceQuestionOf(event)));
    const versions = span === undefined ? [] : await readPricedVersions(pool, book, span);
    for (const { event } of page) {
      const quote = quoteOne(event, versions);
      if (quote === undefined) {
        left += 1;
        continue;
      }
      priced += 1;
      amounts.set(quote.currency, amountNano((amounts.get(quote.currency) ?? ZERO) + quote.cost));
    }
  } while (page.length === PAGE_SIZE);
  return { priced, amounts, left };
}

function quoteOne(
  event: OpenParked['event'],
  versions: readonly PricedVersion[],
): { readonly currency: string; readonly cost: AmountNano } | undefined {
  const pricing = quoteFrom(versions, priceQuestionOf(event));
  if (pricing === undefined || unpricedMeters(meteredUsage(event.usage, pricing)).length > 0) return undefined;
  const cost = usageCost(event.usage, pricing);
  return cost.kind === 'priced' ? { currency: pricing.currency, cost: cost.amountNano } : undefined;
}

/** Prices the parked traces that a book knows, oldest first. Idempotent. Throws what `bookCommand` throws, but for one trace alone. */
export async function priceParked(
  pool: pg.Pool,
  ports: CommandPorts,
  pricing: ParkedPricing,
): Promise<ParkedPricingResult> {
  const outcomes = new Map<'COMMITTED' | 'FAILED' | ErrorCode, number>();
  let done = 0;
  let page: OpenParked[] = [];
  do {
    page = await pageParked(pool, pricing.filter, { after: page[page.length - 1], limit: PAGE_SIZE });
    for (const parked of page) {
      const outcome = await priceOne(ports, parked, pricing);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      done += 1;
      pricing.onProgress?.(done);
    }
  } while (page.length === PAGE_SIZE);
  const { COMMITTED: committed = 0, FAILED: failed = 0, ...left } = Object.fromEntries(outcomes);
  return { committed, failed, left };
}

async function priceOne(
  ports: CommandPorts,
  { tenantId, traceId }: OpenParked,
  { book, actor, reason, allowNegative }: ParkedPricing,
): Promise<'COMMITTED' | 'FAILED' | ErrorCode> {
  const identity = { tenantId, key: parkedKey(traceId), actor, reason };
  try {
    const command = { kind: 'price' as const, ...identity, traceId, prices: { book }, allowNegative };
    const { entry } = await besideOthers(() => bookCommand(ports, command));
    return entry.status === 'FAILED' ? 'FAILED' : 'COMMITTED';
  } catch (error) {
    if (isTollbookError(error) && OF_ONE_TRACE.includes(error.code)) return error.code;
    throw error;
  }
}

/** The key under which a parked trace is priced from a book: readable where it fits, else a digest. */
export function parkedKey(traceId: string): string {
  const key = `unpriced:${traceId}`;
  return IDENTIFIER.test(key) ? key : `unpriced:${createHash('sha256').update(traceId).digest('hex')}`;
}
