/**
 * Owns: a price per single unit, as the public price map writes it, as a price per 1,000, exactly.
 * Invariants: a price is never a JavaScript number: the literal of the file ("1.5e-07") becomes a plain decimal string
 * ("0.00015") with every digit.
 */
import { Decimal } from 'decimal.js';
import { PRICE_PATTERN } from '../contract/meter-map.js';
import { TollbookError } from '../runtime/errors.js';

/** Enough digits for any literal that is let through and its product with any other: nothing is ever rounded. */
const Exact = Decimal.clone({ precision: 400, toExpNeg: -200, toExpPos: 200 });
const LITERAL = /^\d{1,30}(?:\.\d{1,60})?(?:[eE][+-]?\d{1,2})?$/;

/**
 * A price per single unit as the price per 1,000, exactly: "1.5e-07" → "0.00015"; with `units` 1 a price that is one per
 * 1,000 already.
 * Throws FILE_UNREADABLE unless it is a non-negative number literal that fits a price of the contract.
 */
export function per1kOf(literal: string, units = 1000): string {
  const per1k = LITERAL.test(literal) ? new Exact(literal).times(units).toFixed() : '';
  if (PRICE_PATTERN.test(per1k)) return per1k;
  throw new TollbookError(
    'FILE_UNREADABLE',
    `price ${literal}; allowed: a non-negative number such as 1.5e-07, at most 30 decimals per 1,000`,
  );
}

/** A price times a number literal, exactly. Throws FILE_UNREADABLE as `per1kOf` does. */
export function timesLiteral(price: string, literal: string): string {
  const product = LITERAL.test(literal) ? new Exact(price).times(literal).toFixed() : '';
  if (PRICE_PATTERN.test(product)) return product;
  throw new TollbookError('FILE_UNREADABLE', `multiple ${literal} of price ${price}; allowed: a non-negative number`);
}
