/**
 * Owns: price books as the ledger sees them: versions that take effect at an instant, and what one of them says about a
 * provider's model.
 * Does not own: where prices come from (src/prices), their storage (postgres/price-books.ts), what usage costs (pricing.ts).
 *
 * | the model of an event is                               | priced by                                            |
 * | ------------------------------------------------------ | ---------------------------------------------------- |
 * | a name of the version for its provider                 | the rows of that name, be it the model's own or an alias |
 * | such a name with a date, of a provider with dated names | the rows of the name without the date                |
 * | anything else                                          | nothing: the usage waits for a price                 |
 *
 * Invariants: pure; the version in force depends on the time of the event alone, so every consumer, and every delivery of
 * an event, finds the same one; a price that a book does not have is absent, never zero.
 */
import { TollbookError } from '../runtime/errors.js';
import { nameMap } from '../runtime/name-map.js';
import type { EventPricing, UsageEvent } from './events.js';
import { contextTokensOf, type PriceRow, rowFor, rowName, type RowQuestion } from './price-row.js';
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
  /** Providers whose names with a date at their end are priced like the same name without it; default none. */
  readonly datedProviders?: readonly string[];
}

/** What a provider's model costs: a row for each condition under which prices hold. */
export interface ModelPrices {
  readonly provider: string;
  readonly model: string;
  readonly rows: readonly PriceRow[];
  /** The model that this name stands for; absent: it is the model's own name. */
  readonly aliasOf?: string;
}

/** A version with the prices of some of its models, by `modelKey`. */
export interface PricedVersion extends PriceBookVersion {
  readonly prices: ReadonlyMap<string, ModelPrices>;
}

/** What a price is looked up by. */
export interface PriceQuestion extends RowQuestion {
  readonly provider: string;
  readonly model: string;
}

/** What the price of an event is looked up by: its input tokens are those of every meter of the input. */
export function priceQuestionOf(event: UsageEvent): PriceQuestion {
  const { provider, model, occurredAt, priceClass } = event;
  const { inputTokens, meters = {} } = event.kind === 'completed' ? event.usage : event.estimate;
  const contextTokens = inputTokens + contextTokensOf(Object.entries(meters));
  return { provider, model, occurredAt, contextTokens, ...(priceClass === undefined ? {} : { priceClass }) };
}

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

/** The name of a version: `BOOK@VERSION`. */
export function versionNameOf({ book, version }: PriceBookVersion): string {
  return `${book}@${version}`;
}

/** What an entry pins of the prices that it was charged at: `BOOK@VERSION`, and the row where it is not the ordinary one. */
export function priceVersionOf(version: PriceBookVersion, row: PriceRow): string {
  const name = rowName(row);
  return name === '' ? versionNameOf(version) : `${versionNameOf(version)}/${name}`;
}

/** The span that covers every question; undefined when there is none. */
export function spanOf(
  questions: readonly Pick<PriceQuestion, 'provider' | 'model' | 'occurredAt'>[],
): PriceSpan | undefined {
  const [first] = questions;
  if (first === undefined) return undefined;
  let [from, to] = [first.occurredAt, first.occurredAt];
  for (const { occurredAt } of questions) {
    if (occurredAt < from) from = occurredAt;
    if (occurredAt > to) to = occurredAt;
  }
  const models = new Map<string, Pick<UsageEvent, 'provider' | 'model'>>();
  for (const { provider, model } of questions) {
    const undated = withoutDate(model);
    for (const name of undated === undefined ? [model] : [model, undated]) {
      models.set(modelKey({ provider, model: name }), { provider, model: name });
    }
  }
  return { models: [...models.values()], from, to };
}

const DATED = /^(.+)[-@](\d{4})-?(\d{2})-?(\d{2})$/;

/** A name without the date at its end (`-2024-08-06`, `-20240806`, `@20240806`); undefined when there is none. */
export function withoutDate(model: string): string | undefined {
  const [, name, year = '', month = '', day = ''] = DATED.exec(model) ?? [];
  if (name === undefined) return undefined;
  const date = `${year}-${month}-${day}`;
  const atMs = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(atMs) && new Date(atMs).toISOString().startsWith(date) ? name : undefined;
}

/** The prices of a model in a version, by the table above; undefined when it does not know the model. */
export function modelIn(
  { prices, datedProviders = [] }: Pick<PricedVersion, 'prices' | 'datedProviders'>,
  { provider, model }: Pick<UsageEvent, 'provider' | 'model'>,
): ModelPrices | undefined {
  const named = prices.get(modelKey({ provider, model }));
  if (named !== undefined || !datedProviders.includes(provider)) return named;
  const undated = withoutDate(model);
  return undated === undefined ? undefined : prices.get(modelKey({ provider, model: undated }));
}

/** The version in force at an instant: the latest that takes effect then or before; undefined when none does. */
export function versionInForce<V extends PriceBookVersion>(versions: readonly V[], at: string): V | undefined {
  let latest: V | undefined;
  for (const version of versions) {
    if (version.effectiveFrom <= at && version.version > (latest?.version ?? 0)) latest = version;
  }
  return latest;
}

/**
 * What the version in force says about the model, as the pricing of an event; undefined when it does not know the model, or
 * has no price for requests of this class, length and time.
 */
export function quoteFrom(versions: readonly PricedVersion[], question: PriceQuestion): EventPricing | undefined {
  const version = versionInForce(versions, question.occurredAt);
  if (version === undefined) return undefined;
  const row = rowFor(modelIn(version, question)?.rows ?? [], question);
  return row === undefined ? undefined : pricingOf(version, row);
}

function pricingOf(version: PriceBookVersion, row: PriceRow): EventPricing {
  const { inputPer1k, outputPer1k, meters } = row;
  return {
    ...(inputPer1k === undefined ? {} : { inputPer1k }),
    ...(outputPer1k === undefined ? {} : { outputPer1k }),
    meters: nameMap(meters),
    currency: version.currency,
    priceVersion: priceVersionOf(version, row),
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
  const why = earliest === now ? 'now' : `when ${versionNameOf(previous)} takes effect`;
  throw new TollbookError(
    'PRICES_RETROACTIVE',
    `effective-from is ${effectiveFrom}; allowed: ${earliest} (${why}) or later, since prices never change backwards`,
    { context: { book: previous.book, effectiveFrom, earliest } },
  );
}
