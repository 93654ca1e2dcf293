/**
 * Owns: the simulator's own arithmetic of what usage costs, on scaled integers.
 * Does not own: the ledger's pricing; this is written apart from it on purpose (another number type, another algorithm), so
 * that an error in either shows as a difference between the two totals.
 * Invariants: exact until the one rounding, half-up, to nano-units.
 */
import { type AmountNano, amountNano } from '../ledger/money.js';
import { invariant } from '../runtime/errors.js';

/** A quantity of one meter and its price per 1,000, a plain decimal string. */
export interface MeterCharge {
  readonly quantity: number;
  readonly per1k: string;
}

interface ScaledPrice {
  readonly digits: bigint;
  readonly decimals: number;
}

const PLAIN_DECIMAL = /^(\d+)(?:\.(\d+))?$/;
/** Nano-units in a currency unit divided by the 1,000 units a price is for: 1e9 / 1e3. */
const NANO_PER_1K = 1_000_000n;

const scaledPrices = new Map<string, ScaledPrice>();

/** Returns Σ (quantity × price / 1000) in nano-units, rounded once, half-up; throws MONEY_OUT_OF_RANGE at 2^63. */
export function exactCost(charges: readonly MeterCharge[]): AmountNano {
  const scaled = charges.map(({ quantity, per1k }) => ({ quantity: BigInt(quantity), price: scaledPrice(per1k) }));
  const decimals = scaled.reduce((most, { price }) => Math.max(most, price.decimals), 0);
  let sum = 0n;
  for (const { quantity, price } of scaled) sum += quantity * price.digits * 10n ** BigInt(decimals - price.decimals);
  return amountNano(divideHalfUp(sum * NANO_PER_1K, 10n ** BigInt(decimals)));
}

/** Divides non-negative integers, rounding half-up. */
function divideHalfUp(dividend: bigint, divisor: bigint): bigint {
  return (2n * dividend + divisor) / (2n * divisor);
}

/** A price list is short and its prices recur by the million, so each is taken apart once. */
function scaledPrice(per1k: string): ScaledPrice {
  const known = scaledPrices.get(per1k);
  if (known !== undefined) return known;
  const match = PLAIN_DECIMAL.exec(per1k);
  invariant(match !== null, `price ${per1k} is not a plain decimal string`);
  const fraction = match[2] ?? '';
  const price = { digits: BigInt(`${match[1] ?? ''}${fraction}`), decimals: fraction.length };
  scaledPrices.set(per1k, price);
  return price;
}
