/**
 * Owns: telling which prices of a version would price a model, by which rule, and what is nearest when none would.
 * Does not own: the rules (ledger/price-book.ts for names, ledger/price-row.ts for conditions).
 */
import { modelIn, modelKey, type ModelPrices, type PricedVersion } from '../ledger/price-book.js';
import { type PriceRow, rowFor, type RowQuestion } from '../ledger/price-row.js';
import { nearestNames } from './nearest-names.js';

/** How a name was found: as it stands, as an alias that is declared, or without its date. */
export type NameRule = 'exact' | 'alias' | 'dateSuffix';

/** The prices that a name has with one provider. */
export interface ModelMatch {
  readonly provider: string;
  readonly rule: NameRule;
  /** The model whose prices these are. */
  readonly model: string;
  readonly rows: readonly PriceRow[];
  /** The one of them that prices the request; undefined: none does, and its usage waits for a price. */
  readonly row: PriceRow | undefined;
}

/** What is asked: a model, of one provider or of any. */
export interface ModelQuestion extends RowQuestion {
  readonly model: string;
  readonly provider?: string | undefined;
}

/** What a version says of a model. */
export interface ModelAnswer {
  readonly matches: readonly ModelMatch[];
  /** Names of the version that are near, when nothing matches; for people, never for pricing. */
  readonly nearest: readonly { readonly provider: string; readonly model: string }[];
}

/** Tells what a version, with all of its prices, says of a model. */
export function matchModel(version: PricedVersion, question: ModelQuestion): ModelAnswer {
  const asked = question.provider;
  const providers = asked === undefined ? new Set([...version.prices.values()].map(providerOf)) : [asked];
  const matches = [...providers].flatMap((provider) => {
    const found = modelIn(version, { provider, model: question.model });
    return found === undefined ? [] : [matchOf(found, question)];
  });
  return { matches, nearest: matches.length > 0 ? [] : nearestModels(version, question) };
}

function providerOf({ provider }: ModelPrices): string {
  return provider;
}

function matchOf({ provider, model, aliasOf, rows }: ModelPrices, question: ModelQuestion): ModelMatch {
  const rule = model !== question.model ? 'dateSuffix' : aliasOf === undefined ? 'exact' : 'alias';
  return { provider, rule, model: aliasOf ?? model, rows, row: rowFor(rows, question) };
}

/** The names of a version that are nearest to a model, of its provider if that has any. */
export function nearestModels(
  { prices }: Pick<PricedVersion, 'prices'>,
  { provider, model }: Pick<ModelQuestion, 'provider' | 'model'>,
): ModelAnswer['nearest'] {
  const own = [...prices.values()].filter((each) => each.provider === provider);
  const among = own.length > 0 ? own : [...prices.values()];
  const byName = new Map<string, { provider: string; model: string }[]>();
  for (const each of among) {
    const same = byName.get(each.model);
    if (same === undefined) byName.set(each.model, [{ provider: each.provider, model: each.model }]);
    else same.push({ provider: each.provider, model: each.model });
  }
  return nearestNames(model, byName.keys()).flatMap((name) => byName.get(name) ?? []);
}

/** A version with its prices, by `modelKey`. */
export function pricedVersion(version: Omit<PricedVersion, 'prices'>, prices: readonly ModelPrices[]): PricedVersion {
  return { ...version, prices: new Map(prices.map((each) => [modelKey(each), each])) };
}
