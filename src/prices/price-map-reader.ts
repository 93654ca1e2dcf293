/**
 * Owns: reading the public model price map (JSON: model → prices per token) into exact prices per 1,000 units.
 * Does not own: what becomes of them (import-prices.ts). The simulator reads the same format by code of its own, on
 * purpose: it is the oracle of the ledger.
 * Invariants: a price is never a JavaScript number: the literal of the file ("1.5e-07") becomes a plain decimal string
 * ("0.00015") with every digit; an entry is taken whole, or skipped and counted; a price that is no price refuses the file.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Decimal } from 'decimal.js';
import { isLosslessNumber, parse } from 'lossless-json';
import { LABEL_PATTERN } from '../contract/field-rules.js';
import { PRICE_PATTERN } from '../contract/meter-map.js';
import type { ModelPrices } from '../ledger/price-book.js';
import { TollbookError } from '../runtime/errors.js';
import { nameMap, ownValue } from '../runtime/name-map.js';

/** Why an entry of the map is left out: it names no event's model, prices no tokens, or everything at zero. */
export const SKIP_REASONS = ['name', 'noTokenPrice', 'allZero'] as const;

/** One word of SKIP_REASONS. */
export type SkipReason = (typeof SKIP_REASONS)[number];

/** A price map as read. */
export interface PriceMap {
  /** SHA-256 of the file. */
  readonly digest: Buffer;
  /** Entries with prices. */
  readonly models: number;
  /** By every name an event may give the model: the map's, and the same without the provider in front. */
  readonly prices: readonly ModelPrices[];
  readonly skipped: Readonly<Record<SkipReason, number>>;
  /** Prices that this format has and price books do not (tiers, images, seconds): field → how many of the models have it. */
  readonly unread: Readonly<Record<string, number>>;
}

/** Fields of the map that price a further meter. */
const METER_FIELDS: Readonly<Record<string, string>> = {
  cache_read_input_token_cost: 'cached_input_tokens',
  cache_creation_input_token_cost: 'cache_creation_input_tokens',
  output_cost_per_reasoning_token: 'reasoning_tokens',
  input_cost_per_audio_token: 'audio_input_tokens',
  output_cost_per_audio_token: 'audio_output_tokens',
  input_cost_per_request: 'requests',
};
const INPUT_FIELD = 'input_cost_per_token';
const OUTPUT_FIELD = 'output_cost_per_token';
const READ_FIELDS: readonly string[] = [INPUT_FIELD, OUTPUT_FIELD, ...Object.keys(METER_FIELDS)];
const PRICE_FIELD = /_cost(_|$)/;

/** Enough digits for any literal that is let through; times 1,000 only moves the point, so nothing is ever rounded. */
const Exact = Decimal.clone({ precision: 200, toExpNeg: -100, toExpPos: 100 });
const LITERAL = /^\d{1,30}(?:\.\d{1,60})?(?:[eE][+-]?\d{1,2})?$/;

type MapEntry = Readonly<Record<string, unknown>>;

/** Reads a price map. Throws FILE_UNREADABLE: no such file, no such format, or a price that is none, with its model. */
export async function readPriceMap(path: string): Promise<PriceMap> {
  try {
    return parsePriceMap(await readFile(path));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TollbookError('FILE_UNREADABLE', `price map ${path}: ${why}`, { cause, context: { path } });
  }
}

/** Reads the bytes of a price map. Throws FILE_UNREADABLE. */
export function parsePriceMap(bytes: Buffer): PriceMap {
  const entries = entriesOf(bytes.toString('utf8'));
  const skipped: Record<SkipReason, number> = { name: 0, noTokenPrice: 0, allZero: 0 };
  const unread = nameMap<number>();
  const own: ModelPrices[] = [];
  for (const [model, entry] of entries) {
    const prices = pricesOf(model, entry);
    if (typeof prices === 'string') {
      skipped[prices] += 1;
      continue;
    }
    own.push(prices);
    for (const field of unreadFields(entry)) unread[field] = (unread[field] ?? 0) + 1;
  }
  if (own.length === 0) throw unreadable('no entry prices tokens; expected model → input_cost_per_token and others');
  const digest = createHash('sha256').update(bytes).digest();
  return { digest, models: own.length, prices: [...own, ...aliases(own, entries)], skipped, unread };
}

/**
 * A price per single unit as the price per 1,000, exactly: "1.5e-07" → "0.00015".
 * Throws FILE_UNREADABLE unless it is a non-negative number literal that fits a price of the contract.
 */
export function per1kOf(literal: string): string {
  const per1k = LITERAL.test(literal) ? new Exact(literal).times(1000).toFixed() : '';
  if (PRICE_PATTERN.test(per1k)) return per1k;
  throw unreadable(`price ${literal}; allowed: a non-negative number such as 1.5e-07, at most 30 decimals per 1,000`);
}

function entriesOf(text: string): [string, MapEntry][] {
  let map: unknown;
  try {
    map = parse(text);
  } catch (cause) {
    throw unreadable(`not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  if (!isEntry(map)) throw unreadable('expected a JSON object of model → prices');
  return Object.entries(map).map(([model, entry]) => {
    if (isEntry(entry)) return [model, entry];
    throw unreadable(`entry ${JSON.stringify(model)} is no object of prices`);
  });
}

function isEntry(value: unknown): value is MapEntry {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value);
}

function pricesOf(model: string, entry: MapEntry): ModelPrices | SkipReason {
  const provider = entry['litellm_provider'];
  if (typeof provider !== 'string' || !LABEL_PATTERN.test(provider) || !LABEL_PATTERN.test(model)) return 'name';
  const found = new Map(READ_FIELDS.flatMap((field) => priceIn(model, entry, field)));
  if (found.size === 0) return 'noTokenPrice';
  if ([...found.values()].every((price) => price === '0')) return 'allZero';
  const [inputPer1k, outputPer1k] = [found.get(INPUT_FIELD), found.get(OUTPUT_FIELD)];
  const meters = Object.entries(METER_FIELDS).flatMap(([field, meter]) => {
    const price = found.get(field);
    return price === undefined ? [] : [[meter, price] as const];
  });
  return {
    provider,
    model,
    ...(inputPer1k === undefined ? {} : { inputPer1k }),
    ...(outputPer1k === undefined ? {} : { outputPer1k }),
    meters: Object.fromEntries(meters),
  };
}

function priceIn(model: string, entry: MapEntry, field: string): [string, string][] {
  const value = ownValue(entry, field);
  if (value === undefined || value === null) return [];
  try {
    if (isLosslessNumber(value)) return [[field, per1kOf(value.value)]];
  } catch (cause) {
    throw unreadable(`${field} of ${model}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  throw unreadable(`${field} of ${model} is ${JSON.stringify(value)}; allowed: a JSON number`);
}

function unreadFields(entry: MapEntry): string[] {
  return Object.keys(entry).filter((field) => PRICE_FIELD.test(field) && !READ_FIELDS.includes(field));
}

/**
 * Names without the provider in front: "gemini/gemini-2.5-pro" of gemini is "gemini-2.5-pro" too, unless the map has an
 * entry of that name for the same provider, which is then meant.
 */
function aliases(own: readonly ModelPrices[], entries: readonly [string, MapEntry][]): ModelPrices[] {
  const taken = new Set(entries.map(([model, entry]) => `${String(entry['litellm_provider'])}\n${model}`));
  return own.flatMap((prices) => {
    const { provider, model } = prices;
    const name = model.startsWith(`${provider}/`) ? model.slice(provider.length + 1) : '';
    return LABEL_PATTERN.test(name) && !taken.has(`${provider}\n${name}`) ? [{ ...prices, model: name }] : [];
  });
}

function unreadable(message: string): TollbookError {
  return new TollbookError('FILE_UNREADABLE', message);
}
