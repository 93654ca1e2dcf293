/**
 * Owns: price books as the ledger sees them: versions that take effect at an instant, and what one of them says about a
 * provider's model.
 * Does not own: where prices come from (src/prices), their storage (postgres/price-books.ts), what usage costs (pricing.ts).
 * Invariants: pure; the version in force depends on the time of the event alone, so every consumer, and every delivery of
 * an event, finds the same one; a price that a book does not have is absent, never zero.
 */
import { TollbookError } from '../runtime/errors.js';
import { nameMap } from '../runtime/name-map.js';
import type { EventPricing, UsageEvent } from './events.js';
import type { ChargeContent } from './trace-content.js';

/** What the name of a price book may look like; `NAME@VERSION` is a price version of the wire contract. */
export const PRICE_BOOK_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** PRICE_BOOK_NAME in words, for error messages. */
export const PRICE_BOOK_NAME_ALLOWED = '1 to 63 of a-z 0-9 . _ -, a letter or digit first';

/** One version of a price book: in force from `effectiveFrom` (ISO 8601 UTC) until a later version is. */
export interface PriceBookVersion {
  readonly book: string;
  /** Gapless per book, from 1. */
  readonly version: number;
  readonly effectiveFrom: string;
  /** Currency of every price in it. */
  readonly currency: string;
}

/** What a provider's model costs: plain decimal strings per 1,000 units; a price that is not known is absent. */
export interface ModelPrices {
  readonly provider: string;
  readonly model: string;
  readonly inputPer1k?: string;
  readonly outputPer1k?: string;
  /** By name of the further meter. */
  readonly meters: Readonly<Record<string, string>>;
}

/** A version with the prices of some of its models, by `modelKey`. */
export interface PricedVersion extends PriceBookVersion {
  readonly prices: ReadonlyMap<string, ModelPrices>;
}

/** What a price is looked up by; `occurredAt` is ISO 8601 UTC with milliseconds. */
export type PriceQuestion = Pick<UsageEvent, 'provider' | 'model' | 'occurredAt'>;

/** Which prices a set of questions needs: of these models, between these instants, both included. */
export interface PriceSpan {
  readonly models: readonly Pick<UsageEvent, 'provider' | 'model'>[];
  readonly from: string;
  readonly to: string;
}

/** One string for a provider's model; names hold no control characters, so it is unambiguous. */
export function modelKey({ provider, model }: Pick<UsageEvent, 'provider' | 'model'>): string {
  return `${provider}\n${model}`;
}

/** The price version that an entry pins: `BOOK@VERSION`. */
export function priceVersionOf({ book, version }: PriceBookVersion): string {
  return `${book}@${version}`;
}

/** The span that covers every question; undefined when there is none. */
export function spanOf(questions: readonly PriceQuestion[]): PriceSpan | undefined {
  const [first] = questions;
  if (first === undefined) return undefined;
  let [from, to] = [first.occurredAt, first.occurredAt];
  for (const { occurredAt } of questions) {
    if (occurredAt < from) from = occurredAt;
    if (occurredAt > to) to = occurredAt;
  }
  const models = new Map(questions.map(({ provider, model }) => [modelKey({ provider, model }), { provider, model }]));
  return { models: [...models.values()], from, to };
}

/** The version in force at an instant: the latest that takes effect then or before; undefined when none does. */
export function versionInForce<V extends PriceBookVersion>(versions: readonly V[], at: string): V | undefined {
  let latest: V | undefined;
  for (const version of versions) {
    if (version.effectiveFrom <= at && version.version > (latest?.version ?? 0)) latest = version;
  }
  return latest;
}

/** What the version in force says about the model, as the pricing of an event; undefined when it does not know the model. */
export function quoteFrom(versions: readonly PricedVersion[], question: PriceQuestion): EventPricing | undefined {
  const version = versionInForce(versions, question.occurredAt);
  const prices = version?.prices.get(modelKey(question));
  return version === undefined || prices === undefined ? undefined : pricingOf(version, prices);
}

function pricingOf(version: PriceBookVersion, { inputPer1k, outputPer1k, meters }: ModelPrices): EventPricing {
  return {
    ...(inputPer1k === undefined ? {} : { inputPer1k }),
    ...(outputPer1k === undefined ? {} : { outputPer1k }),
    meters,
    currency: version.currency,
    priceVersion: priceVersionOf(version),
  };
}

/**
 * The prices that a charge pins. An event without prices of its own is compared with the charge of its trace at these, so
 * that it stays a duplicate whatever the book has become since.
 */
export function pinnedPricing({ usage, currency }: ChargeContent): EventPricing {
  const { inputPrice, outputPrice, meters, priceVersion } = usage;
  const prices = Object.entries(meters ?? {}).map(([meter, { price }]) => [meter, price] as const);
  return {
    ...(inputPrice === null ? {} : { inputPer1k: inputPrice }),
    ...(outputPrice === null ? {} : { outputPer1k: outputPrice }),
    ...(priceVersion === null ? {} : { priceVersion }),
    meters: nameMap(prices),
    currency,
  };
}

/**
 * Makes sure that a new version changes no price that is in force already.
 * Throws PRICES_RETROACTIVE when it would take effect before now, or before the version it follows; the first version of a
 * book may take effect at any time.
 */
export function assertNotRetroactive(
  previous: PriceBookVersion | undefined,
  { effectiveFrom, now }: { readonly effectiveFrom: string; readonly now: string },
): void {
  if (previous === undefined) return;
  const earliest = previous.effectiveFrom > now ? previous.effectiveFrom : now;
  if (effectiveFrom >= earliest) return;
  const why = earliest === now ? 'now' : `when ${priceVersionOf(previous)} takes effect`;
  throw new TollbookError(
    'PRICES_RETROACTIVE',
    `effective-from is ${effectiveFrom}; allowed: ${earliest} (${why}) or later, since prices never change backwards`,
    { context: { book: previous.book, effectiveFrom, earliest } },
  );
}
