/**
 * Owns: what a quantity of metered usage costs, exactly. The one function that prices pending estimates, streaming
 * completions and non-streaming completions.
 * Does not own: where prices come from, nor what a cost does to an account.
 * Invariants: cost = Σ (quantity × price per 1,000 / 1000), computed exactly and rounded once, half-up, to nano-units;
 * a meter used without a price is unpriced and never booked as zero. An explicit price of zero is a price: what is free is
 * charged as zero, and counts against request quotas.
 */
import { Decimal } from 'decimal.js';
import { ownValue } from '../runtime/name-map.js';
import type { EventPricing, UsageCompleted, UsagePending } from './events.js';
import { type AmountNano, isAmountInRange } from './money.js';

/** decimal.js with digits for the exact sum of any products that the contract lets through (13 × 48 digits each). */
const Exact = Decimal.clone({ precision: 200, rounding: Decimal.ROUND_HALF_UP, toExpNeg: -100, toExpPos: 200 });

/** From a price per 1,000 units to nano-units per unit: 1e9 / 1000. */
const NANO_PER_UNIT_PRICE = new Exact(1_000_000);

/** One metered quantity and its price per 1,000 units; an absent price is undefined. */
export interface MeteredUsage {
  readonly meter: string;
  readonly quantity: number;
  readonly pricePer1k: string | undefined;
}

/** A cost, or why there is none: `unpriced` names the meters without a price, `outOfRange` is 2^63 nano-units or more. */
export type Cost =
  | { readonly kind: 'priced'; readonly amountNano: AmountNano }
  | { readonly kind: 'unpriced'; readonly meters: readonly string[] }
  | { readonly kind: 'outOfRange' };

/** A price as nano-units per single unit: exact, and as a whole number where it is one (six decimals per 1,000 or fewer). */
interface UnitPrice {
  /** Per 1,000 units, as `canonicalPrice` writes it. */
  readonly canonical: string;
  readonly exact: Decimal;
  /** Undefined where it is no whole number. */
  readonly wholeNano: bigint | undefined;
}

const PRICE_CACHE_MAX = 10_000;
const priceCache = new Map<string, UnitPrice>();

/** Prices recur by the million while price lists are short: parsed prices are kept, bounded. */
function unitPrice(pricePer1k: string): UnitPrice {
  const known = priceCache.get(pricePer1k);
  if (known !== undefined) return known;
  if (priceCache.size >= PRICE_CACHE_MAX) priceCache.clear();
  const exact = new Exact(pricePer1k).times(NANO_PER_UNIT_PRICE);
  const wholeNano = exact.isInteger() ? BigInt(exact.toFixed(0)) : undefined;
  const price = { canonical: withoutLeadingZeros(pricePer1k), exact, wholeNano };
  priceCache.set(pricePer1k, price);
  return price;
}

/** Names the meters that were used but have no price. */
export function unpricedMeters(usage: readonly MeteredUsage[]): string[] {
  return usage.filter(isUnpriced).map(({ meter }) => meter);
}

/** Tells whether a completion was used without a price: nearly none is, and it is asked of each. */
export function isUsedUnpriced({ usage }: UsageCompleted, pricing: EventPricing): boolean {
  if (lacksPrice(usage.inputTokens, pricing.inputPer1k) || lacksPrice(usage.outputTokens, pricing.outputPer1k))
    return true;
  if (usage.meters === undefined) return false;
  for (const [meter, quantity] of Object.entries(usage.meters)) {
    if (lacksPrice(quantity, meterPrice(pricing, meter))) return true;
  }
  return false;
}

function isUnpriced({ quantity, pricePer1k }: MeteredUsage): boolean {
  return lacksPrice(quantity, pricePer1k);
}

function lacksPrice(quantity: number, pricePer1k: string | undefined): boolean {
  return quantity !== 0 && pricePer1k === undefined;
}

/** Prices metered usage; quantities are non-negative safe integers, prices plain decimal strings per 1,000 units. */
export function costOf(usage: readonly MeteredUsage[]): Cost {
  for (const metered of usage) {
    if (isUnpriced(metered)) return { kind: 'unpriced', meters: unpricedMeters(usage) };
  }
  const nano = wholeNanoOf(usage) ?? roundedNanoOf(usage);
  return isAmountInRange(nano) ? { kind: 'priced', amountNano: nano as AmountNano } : { kind: 'outOfRange' };
}

/** What tokens and nothing else cost; the same as `costOf` of their metered usage, without making a list of it. */
export function tokenCost(tokens: Tokens, pricing: EventPricing): Cost {
  const input = wholeTokensNano(tokens.inputTokens, pricing.inputPer1k);
  const output = wholeTokensNano(tokens.outputTokens, pricing.outputPer1k);
  if (input === undefined || output === undefined) return costOf(tokenUsage(tokens, pricing));
  const nano = input + output;
  return isAmountInRange(nano) ? { kind: 'priced', amountNano: nano as AmountNano } : { kind: 'outOfRange' };
}

/** The cost of a quantity at a whole number of nano-units a unit; undefined where it has another price, or none. */
function wholeTokensNano(quantity: number, pricePer1k: string | undefined): bigint | undefined {
  if (quantity === 0) return 0n;
  if (pricePer1k === undefined) return undefined;
  const { wholeNano } = unitPrice(pricePer1k);
  return wholeNano === undefined ? undefined : wholeNano * BigInt(quantity);
}

/** What usage or an estimate costs: its tokens and every further meter. */
export function usageCost(usage: Estimate, pricing: EventPricing): Cost {
  return usage.meters === undefined ? tokenCost(usage, pricing) : costOf(meteredUsage(usage, pricing));
}

/** The cost where every price is a whole number of nano-units per unit, so that nothing is rounded: nearly all of them. */
function wholeNanoOf(usage: readonly MeteredUsage[]): bigint | undefined {
  let nano = 0n;
  for (const { quantity, pricePer1k } of usage) {
    if (quantity === 0 || pricePer1k === undefined) continue;
    const { wholeNano } = unitPrice(pricePer1k);
    if (wholeNano === undefined) return undefined;
    nano += wholeNano * BigInt(quantity);
  }
  return nano;
}

function roundedNanoOf(usage: readonly MeteredUsage[]): bigint {
  let total = new Exact(0);
  for (const { quantity, pricePer1k } of usage) {
    if (quantity === 0 || pricePer1k === undefined) continue;
    total = total.plus(unitPrice(pricePer1k).exact.times(quantity));
  }
  return BigInt(total.toDecimalPlaces(0, Decimal.ROUND_HALF_UP).toFixed(0));
}

/** The price of a further meter; only the map's own fields count, whatever object it was read into. */
export function meterPrice({ meters }: EventPricing, meter: string): string | undefined {
  return meters === undefined ? undefined : ownValue(meters, meter);
}

/** How many output tokens a hold is taken for: where the event names none, and at most (null: whatever it names). */
export interface EstimateLimits {
  readonly outputTokensDefault: number;
  readonly outputTokensMax: number | null;
}

/** The tokens of a request that no further meter counts. */
export type Tokens = Pick<Estimate, 'inputTokens' | 'outputTokens'>;

/** What a hold is priced with, and what its entry records. */
export interface Estimate {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly meters?: Readonly<Record<string, number>> | undefined;
}

/**
 * What a pending event may come to: its own bound on the output or the default, and never more than the cap. The default is
 * for what writes text: a request that names its meters, at prices that have none for output tokens, is held for those.
 */
export function estimateOf({ estimate }: UsagePending, limits: EstimateLimits, pricing: EventPricing): Estimate {
  const { inputTokens, maxOutputTokens, meters } = estimate;
  const writesNoText = meters !== undefined && pricing.outputPer1k === undefined;
  const wanted = maxOutputTokens ?? (writesNoText ? 0 : limits.outputTokensDefault);
  const outputTokens = limits.outputTokensMax === null ? wanted : Math.min(wanted, limits.outputTokensMax);
  return meters === undefined ? { inputTokens, outputTokens } : { inputTokens, outputTokens, meters };
}

/** Tokens as metered usage. */
export function tokenUsage({ inputTokens, outputTokens }: Tokens, pricing: EventPricing): MeteredUsage[] {
  return [
    { meter: 'input_tokens', quantity: inputTokens, pricePer1k: pricing.inputPer1k },
    { meter: 'output_tokens', quantity: outputTokens, pricePer1k: pricing.outputPer1k },
  ];
}

/** The metered usage that is charged or held for: tokens and every further meter. */
export function meteredUsage(usage: Estimate, pricing: EventPricing): MeteredUsage[] {
  const metered = tokenUsage(usage, pricing);
  for (const [meter, quantity] of Object.entries(usage.meters ?? {})) {
    metered.push({ meter, quantity, pricePer1k: meterPrice(pricing, meter) });
  }
  return metered;
}

/** Writes a price the way PostgreSQL's numeric prints it: no leading zeros, every decimal kept. */
export function canonicalPrice(price: string): string {
  return unitPrice(price).canonical;
}

function withoutLeadingZeros(price: string): string {
  return price.replace(/^0+(?=\d)/, '');
}

/** Tells whether two prices are the same number, whatever zeros they are written with. */
export function samePrice(left: string | null, right: string | null): boolean {
  if (left === right) return true;
  return left !== null && right !== null && new Exact(left).equals(right);
}
