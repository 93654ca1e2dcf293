/**
 * Owns: making the rows of a model from an entry of the public price map: price classes, context boundaries, lists of tiers,
 * hours of the week, and classes that are a multiple of the ordinary prices.
 * Does not own: the names of the fields (price-map-fields.ts), which row prices a request (ledger/price-row.ts).
 * Invariants: a row holds what the map says under its condition and nothing of another row, with one exception: what is
 * counted in pieces (requests, images, seconds) costs the same under every condition that does not price it itself.
 */
import { isLosslessNumber } from 'lossless-json';
import { type PriceRow, STANDARD_CLASS } from '../ledger/price-row.js';
import { TollbookError } from '../runtime/errors.js';
import { ownValue } from '../runtime/name-map.js';
import { per1kOf, timesLiteral } from './exact-price.js';
import {
  CLASS_MULTIPLIERS,
  INPUT_METER,
  NOT_MONEY,
  OUTPUT_METER,
  PRICE_NAME,
  PRICED_PER_1K,
  priceFieldOf,
  SAME_PRICE,
  SPECIFIC_MULTIPLIERS,
} from './price-map-fields.js';
import { weekHoursOf } from './price-map-hours.js';

/** An entry of the map, as read. */
export type MapEntry = Readonly<Record<string, unknown>>;

/** The rows of a model, and the fields that look like prices and were not understood. */
export interface EntryRows {
  readonly rows: readonly PriceRow[];
  readonly unread: readonly string[];
}

/** A row under construction; its meters include the two that a PriceRow keeps in fields of their own. */
interface Draft extends Pick<PriceRow, 'priceClass' | 'contextAbove' | 'contextUpTo' | 'hours'> {
  readonly prices: Map<string, string>;
}

/** Tells whether a value is a JSON object. */
export function isMapEntry(value: unknown): value is MapEntry {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value);
}

/** The rows of an entry; none when it has no price. Throws FILE_UNREADABLE for a price that is none. */
export function rowsOf(entry: MapEntry): EntryRows {
  const drafts = new Map<string, Draft>();
  const unread: string[] = [];
  for (const [field, value] of Object.entries(entry)) {
    if (value === null) continue;
    const same = SAME_PRICE.get(field);
    const priced = priceFieldOf(same ?? field);
    if (priced !== undefined) {
      if (same !== undefined && isLosslessNumber(ownValue(entry, same))) continue;
      draftOf(drafts, priced).prices.set(priced.meter, priceOf(field, value));
    } else if (!addSpecial(drafts, field, value) && PRICE_NAME.test(field) && !isKnownOtherwise(field)) {
      unread.push(field);
    }
  }
  addHours(drafts, entry, unread);
  addMultiples(drafts, entry);
  sharePieces(drafts);
  return { rows: [...drafts.values()].map(rowOf), unread };
}

function isKnownOtherwise(field: string): boolean {
  return field === 'off_peak_pricing' || CLASS_MULTIPLIERS.has(field);
}

function draftOf(
  drafts: Map<string, Draft>,
  { priceClass, contextAbove }: Pick<PriceRow, 'priceClass' | 'contextAbove'>,
  contextUpTo: number | null = null,
): Draft {
  const key = `${priceClass}\n${contextAbove}`;
  const draft = {
    priceClass,
    contextAbove,
    hours: null,
    prices: new Map<string, string>(),
    ...drafts.get(key),
    contextUpTo,
  };
  drafts.set(key, draft);
  return draft;
}

function priceOf(field: string, value: unknown): string {
  if (!isLosslessNumber(value)) {
    throw new TollbookError('FILE_UNREADABLE', `${field} is ${JSON.stringify(value)}; allowed: a JSON number`);
  }
  try {
    return per1kOf(value.value, PRICED_PER_1K.test(field) ? 1 : 1000);
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `${field}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

/** Fields that hold more than one price; true when the field is one and was understood. */
function addSpecial(drafts: Map<string, Draft>, field: string, value: unknown): boolean {
  if (field === 'tiered_pricing')
    return Array.isArray(value) && (addTiers(drafts, value) || addResultTiers(drafts, value));
  if (field === 'search_context_cost_per_query') return isMapEntry(value) && addSearches(drafts, value);
  if (field === 'guardrail_cost_per_unit' && isMapEntry(value)) {
    const { prices } = draftOf(drafts, ORDINARY);
    for (const [unit, price] of Object.entries(value))
      prices.set(`guardrail_${snakeCase(unit)}`, priceOf(field, price));
    return true;
  }
  return NOT_MONEY.test(field);
}

const ORDINARY = { priceClass: STANDARD_CLASS, contextAbove: 0 };

/** Tiers by the tokens of the input, each from above its first number up to its second. */
function addTiers(drafts: Map<string, Draft>, tiers: readonly unknown[]): boolean {
  const ranges = tiers.map((tier) => (isMapEntry(tier) ? rangeOf(tier['range']) : undefined));
  if (ranges.includes(undefined)) return false;
  for (const [index, tier] of tiers.entries()) {
    const range = ranges[index];
    if (range === undefined || !isMapEntry(tier)) continue;
    const { prices } = draftOf(drafts, { priceClass: STANDARD_CLASS, contextAbove: range.above }, range.upTo);
    for (const [field, value] of Object.entries(tier)) {
      const priced = priceFieldOf(field);
      if (priced !== undefined) prices.set(priced.meter, priceOf(field, value));
    }
  }
  return true;
}

/** Searches that are priced by how many results they may bring: each range is a meter of its own. */
function addResultTiers(drafts: Map<string, Draft>, tiers: readonly unknown[]): boolean {
  const read = tiers.flatMap((tier) => {
    const range = isMapEntry(tier) ? rangeOf(tier['max_results_range']) : undefined;
    return range === undefined || !isMapEntry(tier) ? [] : [{ range, price: tier['input_cost_per_query'] }];
  });
  if (read.length < tiers.length) return false;
  const { prices } = draftOf(drafts, ORDINARY);
  for (const { range, price } of read) {
    prices.set(`queries_${range.above}_to_${range.upTo}_results`, priceOf('input_cost_per_query', price));
  }
  return true;
}

function rangeOf(range: unknown): { above: number; upTo: number } | undefined {
  if (!Array.isArray(range) || range.length !== 2) return undefined;
  const [above, upTo] = range.map((bound: unknown) => (isLosslessNumber(bound) ? Number(bound.value) : Number.NaN));
  if (!Number.isSafeInteger(above) || !Number.isSafeInteger(upTo)) return undefined;
  return { above: above ?? 0, upTo: upTo ?? 0 };
}

/** A web search by the size of its context; where all sizes cost the same, the size need not be told. */
function addSearches(drafts: Map<string, Draft>, sizes: MapEntry): boolean {
  const { prices } = draftOf(drafts, ORDINARY);
  const found = new Set<string>();
  for (const [size, value] of Object.entries(sizes)) {
    const price = priceOf('search_context_cost_per_query', value);
    found.add(price);
    prices.set(`web_search_requests_${size.replace('search_context_size_', '')}`, price);
  }
  const [only] = found;
  if (only !== undefined && found.size === 1) prices.set('web_search_requests', only);
  return true;
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The ordinary row again, with other prices in some hours of the week. */
function addHours(drafts: Map<string, Draft>, entry: MapEntry, unread: string[]): void {
  const special = entry['off_peak_pricing'];
  const ordinary = drafts.get(`${STANDARD_CLASS}\n0`);
  if (special === undefined || ordinary === undefined) return;
  const hours = isMapEntry(special) ? weekHoursOf(special) : undefined;
  if (hours === undefined || !isMapEntry(special)) {
    unread.push('off_peak_pricing');
    return;
  }
  const prices = new Map(ordinary.prices);
  for (const [field, value] of Object.entries(special)) {
    const priced = priceFieldOf(field);
    if (priced !== undefined) prices.set(priced.meter, priceOf(field, value));
  }
  drafts.set('off-peak', { ...ordinary, hours, prices });
}

/** Classes whose token prices are a multiple of the ordinary ones; two of them together multiply. */
function addMultiples(drafts: Map<string, Draft>, entry: MapEntry): void {
  const multiples = multiplesOf(entry);
  const ordinary = [...drafts.values()].filter(
    ({ priceClass, hours }) => priceClass === STANDARD_CLASS && hours === null,
  );
  for (const [priceClass, factors] of multiples) {
    for (const draft of ordinary) {
      const prices = new Map<string, string>();
      for (const [meter, price] of draft.prices) {
        if (isTokenMeter(meter)) prices.set(meter, factors.reduce(timesLiteral, price));
      }
      const key = `${priceClass}\n${draft.contextAbove}`;
      if (!drafts.has(key)) drafts.set(key, { ...draft, priceClass, prices });
    }
  }
}

function multiplesOf(entry: MapEntry): Map<string, readonly string[]> {
  const multiples = new Map<string, readonly string[]>();
  for (const [field, priceClass] of CLASS_MULTIPLIERS) {
    const factor = ownValue(entry, field);
    if (isLosslessNumber(factor)) multiples.set(priceClass, [factor.value]);
  }
  const specific = entry['provider_specific_entry'];
  for (const word of SPECIFIC_MULTIPLIERS) {
    const factor = isMapEntry(specific) ? ownValue(specific, word) : undefined;
    if (isLosslessNumber(factor)) multiples.set(word, [factor.value]);
  }
  const [fast, us] = [multiples.get('fast'), multiples.get('us')];
  if (fast !== undefined && us !== undefined) multiples.set('fast+us', [...fast, ...us]);
  return multiples;
}

function isTokenMeter(meter: string): boolean {
  return meter.endsWith('tokens');
}

function sharePieces(drafts: Map<string, Draft>): void {
  const ordinary = drafts.get(`${STANDARD_CLASS}\n0`);
  if (ordinary === undefined) return;
  for (const { prices } of drafts.values()) {
    for (const [meter, price] of ordinary.prices) {
      if (!isTokenMeter(meter) && !prices.has(meter)) prices.set(meter, price);
    }
  }
}

function rowOf({ prices, ...condition }: Draft): PriceRow {
  const [inputPer1k, outputPer1k] = [prices.get(INPUT_METER), prices.get(OUTPUT_METER)];
  const meters = new Map([...prices].filter(([meter]) => meter !== INPUT_METER && meter !== OUTPUT_METER));
  return {
    ...condition,
    ...(inputPer1k === undefined ? {} : { inputPer1k }),
    ...(outputPer1k === undefined ? {} : { outputPer1k }),
    meters,
  };
}
