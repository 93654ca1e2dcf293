/** Owns: a model of a price book with one row: the same prices for every request. */
import type { ModelPrices } from '../../src/ledger/price-book.js';
import { type PriceRow, STANDARD_CLASS } from '../../src/ledger/price-row.js';

/** The ordinary row of some prices per 1,000. */
export function plainRow(prices: {
  inputPer1k?: string;
  outputPer1k?: string;
  meters?: Record<string, string>;
}): PriceRow {
  const { meters = {}, ...tokens } = prices;
  const condition = { priceClass: STANDARD_CLASS, contextAbove: 0, contextUpTo: null, hours: null };
  return { ...condition, ...tokens, meters: new Map(Object.entries(meters)) };
}

/** A model with these prices alone. */
export function plainModel(
  name: Pick<ModelPrices, 'provider' | 'model'>,
  prices: Parameters<typeof plainRow>[0],
): ModelPrices {
  return { provider: name.provider, model: name.model, rows: [plainRow(prices)] };
}
