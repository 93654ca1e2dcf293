/**
 * Owns: amounts as exact integers of nano-units (1e-9 of the currency unit) and their decimal form.
 * Does not own: prices, which keep every digit they came with (pricing.ts).
 * Invariants: |amount| < 2^63, so that an amount fits an int64 in Redis and numeric(28,9) in PostgreSQL;
 * parse and format are inverse to each other; no JavaScript number ever holds money.
 */
import { TollbookError } from '../runtime/errors.js';

/** An exact signed amount in nano-units (1e-9) of the account's currency; its magnitude is below 2^63. */
export type AmountNano = bigint & { readonly __unit: 'nano' };

const NANO_DIGITS = 9;
const LEADING_ZEROS = '0'.repeat(NANO_DIGITS);
const NANO_PER_UNIT = 1_000_000_000n;
const DECIMAL = /^(-?)(\d{1,30})(?:\.(\d{1,30}))?$/;

/** The first magnitude that is too large: 2^63 nano-units. */
export const AMOUNT_LIMIT_NANO = 2n ** 63n;

/** Zero nano-units. */
export const ZERO = 0n as AmountNano;

/** Tells whether a count of nano-units is an allowed amount (magnitude below 2^63). */
export function isAmountInRange(nano: bigint): boolean {
  return nano < AMOUNT_LIMIT_NANO && nano > -AMOUNT_LIMIT_NANO;
}

/** Brands a count of nano-units as an amount; throws MONEY_OUT_OF_RANGE at a magnitude of 2^63 or more. */
export function amountNano(nano: bigint): AmountNano {
  if (!isAmountInRange(nano)) {
    throw new TollbookError(
      'MONEY_OUT_OF_RANGE',
      `amount of ${nano} nano-units is out of range: its magnitude must be below 2^63 (9223372036.854775808 units)`,
      { context: { nano } },
    );
  }
  return nano as AmountNano;
}

/**
 * Reads a decimal string of currency units ("-12.5") as an exact amount.
 * Throws MONEY_MALFORMED for anything else, also for more than nine significant decimals; MONEY_OUT_OF_RANGE beyond 2^63.
 */
export function parseAmount(text: string, field = 'amount'): AmountNano {
  const match = DECIMAL.exec(text);
  if (match === null) {
    throw new TollbookError(
      'MONEY_MALFORMED',
      `${field} is ${JSON.stringify(text.slice(0, 64))}; expected a decimal string such as "12.5"`,
      { context: { field, found: text.slice(0, 64) } },
    );
  }
  const fraction = (match[3] ?? '').replace(/0+$/, '');
  if (fraction.length > NANO_DIGITS) {
    throw new TollbookError(
      'MONEY_MALFORMED',
      `${field} is ${text}: ${fraction.length} decimals found, at most ${NANO_DIGITS} allowed`,
      { context: { field, found: text } },
    );
  }
  const magnitude = BigInt(match[2] ?? '0') * NANO_PER_UNIT + BigInt(fraction.padEnd(NANO_DIGITS, '0'));
  const nano = match[1] === '-' ? -magnitude : magnitude;
  if (!isAmountInRange(nano)) {
    throw new TollbookError(
      'MONEY_OUT_OF_RANGE',
      `${field} is ${text}: its magnitude must be below 9223372036.854775808 (2^63 nano-units)`,
      { context: { field, found: text } },
    );
  }
  return nano as AmountNano;
}

/** Writes an amount as a decimal string of currency units with exactly nine decimals, as numeric(28,9) prints it. */
export function formatAmount(amount: AmountNano): string {
  if (amount === 0n) return '0.000000000';
  if (amount < 0n) return `-${formatAmount(-amount as AmountNano)}`;
  const digits = amount.toString();
  const split = digits.length - NANO_DIGITS;
  if (split <= 0) return `0.${LEADING_ZEROS.slice(digits.length)}${digits}`;
  return `${digits.slice(0, split)}.${digits.slice(split)}`;
}

/** Writes an amount for people: thousands kept plain, trailing zero decimals dropped down to two ("12.50", "0.000075"). */
export function displayAmount(amount: AmountNano): string {
  return formatAmount(amount).replace(/0{1,7}$/, '');
}
