/** Owns: parsing option values of the command line, with errors that say what is allowed. */
import { InvalidArgumentError } from 'commander';
import { IDENTIFIER, IDENTIFIER_ALLOWED } from '../ledger/identifier.js';
import { type AmountNano, parseAmount } from '../ledger/money.js';
import { TollbookError } from '../runtime/errors.js';

const PRINTABLE = /^[^\p{Cc}\p{Cs}]{1,500}$/u;

/** A parser for whole numbers between two bounds, both included. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`allowed: a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** Parses an offset of a stream. */
export function offsetValue(text: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw new InvalidArgumentError('allowed: a whole number');
  return BigInt(text);
}

/** Parses an identifier such as a tenant id or an idempotency key. */
export function identifier(text: string): string {
  if (!IDENTIFIER.test(text)) {
    throw new InvalidArgumentError(`allowed: ${IDENTIFIER_ALLOWED}`);
  }
  return text;
}

/** Parses a currency code. */
export function currencyCode(text: string): string {
  if (!/^[A-Z]{3,8}$/.test(text)) throw new InvalidArgumentError('allowed: 3 to 8 capital letters, such as USD');
  return text;
}

/** Parses text for people, such as a reason or the name of an actor. */
export function plainText(text: string): string {
  if (!PRINTABLE.test(text) || text.trim() === '')
    throw new InvalidArgumentError('allowed: 1 to 500 printable characters');
  return text;
}

/** Parses a positive amount of currency units, such as 12.50. */
export function positiveAmount(text: string): AmountNano {
  try {
    const amount = parseAmount(text, 'amount');
    if (amount > 0n) return amount;
  } catch (error) {
    throw new InvalidArgumentError(error instanceof TollbookError ? error.message : String(error));
  }
  throw new InvalidArgumentError('allowed: more than zero');
}
