/**
 * Owns: reading the public model price map (JSON: model → prices per unit) into exact prices per 1,000 units, and the names
 * that each model answers to.
 * Does not own: the rows of a model (price-map-rows.ts), what becomes of them (import-prices.ts). The simulator reads the
 * same format by code of its own, on purpose: it is the oracle of the ledger.
 * Invariants: an entry is taken whole, or skipped and counted; a price that is no price refuses the file; a price that was
 * not understood is counted by its field.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parse } from 'lossless-json';
import { LABEL_PATTERN } from '../contract/field-rules.js';
import { modelKey, type ModelPrices } from '../ledger/price-book.js';
import { TollbookError } from '../runtime/errors.js';
import { isMapEntry, type MapEntry, rowsOf } from './price-map-rows.js';

/** Why an entry of the map is left out: no event can carry its name, it has no price, or it is an alias of no such model. */
export const SKIP_REASONS = ['name', 'noPrice', 'alias'] as const;

/** One word of SKIP_REASONS. */
export type SkipReason = (typeof SKIP_REASONS)[number];

/** A price map as read. */
export interface PriceMap {
  /** SHA-256 of the file. */
  readonly digest: Buffer;
  /** Entries with prices. */
  readonly models: number;
  /** By every name an event may give the model: the map's, its `alias_of` entries, and each without the provider in front. */
  readonly prices: readonly ModelPrices[];
  /** Rows of the models: one for each condition under which prices hold. */
  readonly rows: number;
  readonly skipped: Readonly<Record<SkipReason, number>>;
  /** Fields that look like prices and were not understood → how many models have them. */
  readonly unread: ReadonlyMap<string, number>;
}

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
  const skipped: Record<SkipReason, number> = { name: 0, noPrice: 0, alias: 0 };
  const unread = new Map<string, number>();
  const own: ModelPrices[] = [];
  const [declared, priced] = partition(entries, ([, entry]) => typeof entry['alias_of'] === 'string');
  for (const [model, entry] of priced) {
    const read = readEntry(model, entry);
    for (const field of read.unread) unread.set(field, (unread.get(field) ?? 0) + 1);
    if (typeof read.prices === 'string') skipped[read.prices] += 1;
    else own.push(read.prices);
  }
  if (own.length === 0) throw unreadable('no entry has a price; expected model → input_cost_per_token and others');
  const digest = createHash('sha256').update(bytes).digest();
  const rows = own.reduce((sum, prices) => sum + prices.rows.length, 0);
  const named = [...own, ...declaredAliases(own, declared)];
  skipped.alias = own.length + declared.length - named.length;
  return { digest, models: own.length, prices: [...named, ...shortNames(named, entries)], rows, skipped, unread };
}

function partition<T>(items: readonly T[], isFirst: (item: T) => boolean): readonly [T[], T[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}

/** Names that the map itself declares: `{ "alias_of": MODEL }`, of the provider of that model. */
function declaredAliases(own: readonly ModelPrices[], declared: readonly [string, MapEntry][]): ModelPrices[] {
  const byName = new Map(own.map((prices) => [prices.model, prices]));
  return declared.flatMap(([model, entry]) => {
    const meant = byName.get(String(entry['alias_of']));
    return meant === undefined || !LABEL_PATTERN.test(model) ? [] : [{ ...meant, model, aliasOf: meant.model }];
  });
}

function entriesOf(text: string): [string, MapEntry][] {
  let map: unknown;
  try {
    map = parse(text);
  } catch (cause) {
    throw unreadable(`not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  if (!isMapEntry(map)) throw unreadable('expected a JSON object of model → prices');
  return Object.entries(map).map(([model, entry]) => {
    if (isMapEntry(entry)) return [model, entry];
    throw unreadable(`entry ${JSON.stringify(model)} is no object of prices`);
  });
}

interface ReadEntry {
  readonly prices: ModelPrices | SkipReason;
  readonly unread: readonly string[];
}

function readEntry(model: string, entry: MapEntry): ReadEntry {
  const provider = entry['litellm_provider'];
  if (typeof provider !== 'string' || !LABEL_PATTERN.test(provider) || !LABEL_PATTERN.test(model)) {
    return { prices: 'name', unread: [] };
  }
  try {
    const { rows, unread } = rowsOf(entry);
    return { prices: rows.length === 0 ? 'noPrice' : { provider, model, rows }, unread };
  } catch (cause) {
    throw unreadable(`${model}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

/**
 * Names without the provider in front: "gemini/gemini-2.5-pro" of gemini is "gemini-2.5-pro" too, unless the map has an
 * entry of that name for the same provider, which is then meant.
 */
function shortNames(named: readonly ModelPrices[], entries: readonly [string, MapEntry][]): ModelPrices[] {
  const taken = new Set(entries.map(([model, entry]) => `${String(entry['litellm_provider'])}\n${model}`));
  for (const prices of named) taken.add(modelKey(prices));
  return named.flatMap((prices) => {
    const { provider, model } = prices;
    const name = model.startsWith(`${provider}/`) ? model.slice(provider.length + 1) : '';
    const isFree = LABEL_PATTERN.test(name) && !taken.has(`${provider}\n${name}`);
    return isFree ? [{ ...prices, model: name, aliasOf: prices.aliasOf ?? model }] : [];
  });
}

function unreadable(message: string): TollbookError {
  return new TollbookError('FILE_UNREADABLE', message);
}
