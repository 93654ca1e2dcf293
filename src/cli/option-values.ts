/** Owns: parsing option values of the command line, with errors that say what is allowed. */
import { InvalidArgumentError } from 'commander';
import { LABEL_ALLOWED, LABEL_PATTERN } from '../contract/field-rules.js';
import { tagProblem } from '../contract/tag-map.js';
import { hasRealCalendarDay, INSTANT_ALLOWED, isInstant, normalizeInstant } from '../contract/instant.js';
import { IDENTIFIER, IDENTIFIER_ALLOWED } from '../ledger/identifier.js';
import { type AmountNano, parseAmount } from '../ledger/money.js';
import { PRICE_BOOK_NAME, PRICE_BOOK_NAME_ALLOWED } from '../ledger/price-book.js';
import { TollbookError } from '../runtime/errors.js';
import { nameMap } from '../runtime/name-map.js';

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

/** Parses the name of a price book. */
export function bookName(text: string): string {
  if (!PRICE_BOOK_NAME.test(text)) throw new InvalidArgumentError(`allowed: ${PRICE_BOOK_NAME_ALLOWED}`);
  return text;
}

/** Parses the name of a provider or a model. */
export function labelText(text: string): string {
  if (!LABEL_PATTERN.test(text)) {
    throw new InvalidArgumentError(`allowed: ${LABEL_ALLOWED}`);
  }
  return text;
}

/** Parses a tag, NAME=VALUE, and adds it to those that came before. */
export function tagText(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const sign = text.indexOf('=');
  const tag = nameMap([...Object.entries(before), [text.slice(0, sign), text.slice(sign + 1)]]);
  if (sign < 0 || tagProblem(tag) !== undefined) {
    throw new InvalidArgumentError(`allowed: NAME=VALUE of a tag, and ${tagProblem({ '': 0 }) ?? ''}`);
  }
  return tag;
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
  const amount = amountValue(text);
  if (amount > 0n) return amount;
  throw new InvalidArgumentError('allowed: more than zero');
}

/** Parses an amount of currency units that is not negative, such as 0 or 12.50. */
export function unsignedAmount(text: string): AmountNano {
  const amount = amountValue(text);
  if (amount >= 0n) return amount;
  throw new InvalidArgumentError('allowed: zero or more');
}

/** Parses a signed amount of currency units that is not zero, such as -3.25. */
export function signedAmount(text: string): AmountNano {
  const amount = amountValue(text);
  if (amount !== 0n) return amount;
  throw new InvalidArgumentError('allowed: an amount that is not zero');
}

/** Parses any amount of currency units. */
export function amountValue(text: string): AmountNano {
  try {
    return parseAmount(text, 'amount');
  } catch (error) {
    throw new InvalidArgumentError(error instanceof TollbookError ? error.message : String(error));
  }
}

/** Parses a quota of requests: a count, or `unlimited`. It stays a word here: commander takes null for a missing value. */
export function quotaValue(text: string): number | 'unlimited' {
  if (text === 'unlimited') return text;
  const quota = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(quota)) return quota;
  throw new InvalidArgumentError('allowed: a whole number of requests from 0, or unlimited');
}

/** Parses an RFC 3339 time with an offset; the result is UTC with milliseconds, finer decimals cut off. */
export function instantValue(text: string): string {
  if (isInstant(text) && hasRealCalendarDay(text)) return normalizeInstant(text);
  throw new InvalidArgumentError(`allowed: ${INSTANT_ALLOWED}`);
}
