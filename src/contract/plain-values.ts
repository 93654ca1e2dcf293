/**
 * Owns: reading the values of plain messages that are no free texts: integers, prices, flags and words.
 * Does not own: texts (plain-texts.ts), times (plain-instant.ts) and objects (byte-cursor.ts).
 * Invariants: a value is read only where the published schema accepts it as it stands; whatever else stands there is
 * refused, and what is then returned means nothing.
 */
import { BYTE } from './byte-classes.js';
import type { ByteCursor } from './byte-cursor.js';
import { PRICE_TEXTS, readText } from './plain-texts.js';

const PRICE_DIGITS_MAX = 18;
const PRICE_DECIMALS_MAX = 30;
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const NO_DIGIT = -1;

const { zero: ZERO, smallT: SMALL_T } = BYTE;

/** Reads a price per 1,000 units, with every digit. */
export function readPrice(cursor: ByteCursor): string {
  const start = cursor.at + 1;
  const price = readText(cursor, PRICE_TEXTS);
  if (!isPrice(cursor.bytes, start, start + price.length)) cursor.refuse();
  return price;
}

/**
 * Reads an integer from 0 to `maximum`, written in digits alone. Nothing follows a leading zero: of 01, 0.5 or 0e1 the
 * cursor stays before the second byte, which ends no value.
 */
export function readInteger(cursor: ByteCursor, maximum: number): number {
  const { bytes } = cursor;
  let at = cursor.at;
  let value = digitAt(bytes, at);
  if (value < 0) return refused(cursor);
  at += 1;
  if (value > 0) {
    for (let digit = digitAt(bytes, at); digit >= 0; digit = digitAt(bytes, at)) {
      value = value * 10 + digit;
      at += 1;
    }
  }
  if (value > maximum) return refused(cursor);
  cursor.at = at;
  return value;
}

/** Reads true or false. */
export function readFlag(cursor: ByteCursor): boolean {
  if (cursor.bytes[cursor.at] === SMALL_T) return passWord(cursor, TRUE);
  passWord(cursor, FALSE);
  return false;
}

/** Goes over a word that must stand at the cursor; tells whether it does. */
export function passWord(cursor: ByteCursor, word: Uint8Array): boolean {
  const { bytes, at } = cursor;
  for (let index = 0; index < word.length; index += 1) {
    if (bytes[at + index] !== word[index]) return cursor.refuse();
  }
  cursor.at = at + word.length;
  return true;
}

/** The digit that stands at a place, or a negative number. */
export function digitAt(bytes: Uint8Array, at: number): number {
  const digit = (bytes[at] as number) - ZERO;
  return digit <= 9 ? digit : NO_DIGIT;
}

function isPrice(bytes: Uint8Array, start: number, end: number): boolean {
  const point = digitsEnd(bytes, start);
  if (point === start || point - start > PRICE_DIGITS_MAX) return false;
  if (point === end) return true;
  const decimals = end - point - 1;
  return decimals > 0 && decimals <= PRICE_DECIMALS_MAX && digitsEnd(bytes, point + 1) === end;
}

function digitsEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  while (digitAt(bytes, at) >= 0) at += 1;
  return at;
}

function refused(cursor: ByteCursor): number {
  cursor.refuse();
  return 0;
}
