/** Owns: small price maps as bytes, and importing them into the price books of a test. */
import type pg from 'pg';
import { importPrices, type ImportResult, type PriceImport } from '../../src/prices/import-prices.js';
import { parsePriceMap } from '../../src/prices/price-map-reader.js';

/** A name no other price book of the process has. */
export function newBook(): string {
  books += 1;
  return `book-${books}`;
}

let books = 0;

/** Prices per token, as number literals. */
export interface TokenPrices {
  readonly input: string;
  readonly output: string;
}

/** The price map of some models of anthropic, the provider of the events in wire-usage.ts. */
export function priceMapText(models: Readonly<Record<string, TokenPrices>>): string {
  const entries = Object.entries(models).map(
    ([model, { input, output }]) =>
      `"${model}": { "litellm_provider": "anthropic", "input_cost_per_token": ${input}, "output_cost_per_token": ${output} }`,
  );
  return `{ ${entries.join(',\n')} }`;
}

/** Imports the text of a price map at an instant. */
export function importText(
  pool: pg.Pool,
  text: string,
  wanted: Partial<Omit<PriceImport, 'map'>> & { readonly book: string; readonly atMs: number },
): Promise<ImportResult> {
  const { atMs, ...rest } = wanted;
  const map = parsePriceMap(Buffer.from(text));
  return importPrices(pool, { currency: 'USD', actor: 'ops', map, ...rest }, { nowMs: () => atMs });
}

/** The model of the events in wire-usage.ts at the prices they carry: a unit per input token and two per output token. */
export const UNIT_PRICES = priceMapText({ 'claude-sonnet-4': { input: '1', output: '2' } });

/** The same model at twice that. */
export const DOUBLE_PRICES = priceMapText({ 'claude-sonnet-4': { input: '2', output: '4e+0' } });
