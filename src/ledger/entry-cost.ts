/**
 * Owns: what each meter of an entry cost, computed again from the quantities and prices that the entry keeps.
 * Does not own: the price of anything (pricing.ts prices; this only shows its terms one by one).
 * Invariants: pure; the products are exact and unrounded, so they add up to the amount but for its one rounding; entries
 * whose amount is not a price (releases, commands without usage) have no cost.
 */
import { Decimal } from 'decimal.js';
import { unreachable } from '../runtime/errors.js';
import type { EntryUsage, LedgerEntry } from './entry.js';
import type { AmountNano } from './money.js';
import { costOf, type MeteredUsage } from './pricing.js';

/** decimal.js with digits for the exact product of a quantity and a price (13 × 48 digits). */
const Exact = Decimal.clone({ precision: 200, toExpNeg: -100, toExpPos: 200 });

/** One term of a cost. */
export interface MeterCost {
  readonly meter: string;
  readonly quantity: number;
  /** Null when the entry has no price for the meter. */
  readonly pricePer1k: string | null;
  /** quantity × price / 1000 in currency units, exact, as a plain decimal string. */
  readonly cost: string;
}

/** The cost of an entry, term by term. */
export interface EntryCost {
  readonly meters: readonly MeterCost[];
  /** The terms added up and rounded once; undefined when a used meter has no price. */
  readonly totalNano: AmountNano | undefined;
}

/** The cost that the amount of an entry is made of; undefined when the amount is no price. */
export function costOfEntry({ type, status, usage }: LedgerEntry): EntryCost | undefined {
  if (type !== 'DEDUCT' || !isPriced(status)) return undefined;
  const metered = meteredUsage(usage);
  if (metered.length === 0) return undefined;
  const cost = costOf(metered);
  return { meters: metered.map(meterCost), totalNano: cost.kind === 'priced' ? cost.amountNano : undefined };
}

function isPriced(status: LedgerEntry['status']): boolean {
  switch (status) {
    case 'PENDING':
    case 'REFUSED':
    case 'COMMITTED':
    case 'FAILED':
      return true;
    case 'VOIDED':
    case 'EXPIRED':
      return false;
    default:
      return unreachable(status);
  }
}

function meteredUsage({ inputTokens, outputTokens, inputPrice, outputPrice, meters }: EntryUsage): MeteredUsage[] {
  return [
    ...(inputTokens === null ? [] : [metered('input_tokens', inputTokens, inputPrice)]),
    ...(outputTokens === null ? [] : [metered('output_tokens', outputTokens, outputPrice)]),
    ...Object.entries(meters ?? {}).map(([meter, { quantity, price }]) => metered(meter, quantity, price)),
  ];
}

function metered(meter: string, quantity: number, price: string | null): MeteredUsage {
  return { meter, quantity, pricePer1k: price ?? undefined };
}

function meterCost({ meter, quantity, pricePer1k }: MeteredUsage): MeterCost {
  const cost = new Exact(pricePer1k ?? '0').times(quantity).dividedBy(1000).toFixed();
  return { meter, quantity, pricePer1k: pricePer1k ?? null, cost };
}
