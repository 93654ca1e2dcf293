/**
 * Owns: finding the time of a plain message, in every form that INSTANT_PATTERN and the calendar allow.
 * Does not own: the pattern, the calendar and the normal form (instant.ts).
 * Invariants: what is gone over here follows the same rules, byte by byte.
 */
import { BYTE } from './byte-classes.js';
import type { ByteCursor } from './byte-cursor.js';
import { daysInMonth } from './instant.js';
import { digitAt } from './plain-values.js';

const { quote: QUOTE, two: TWO, plus: PLUS, minus: MINUS, colon: COLON, point: POINT } = BYTE;
const { capitalT: CAPITAL_T, capitalZ: CAPITAL_Z } = BYTE;

const YEAR_FIRST = 2000;
const DECIMALS_MAX = 9;

/** Where the parts of a time begin, counted from its first byte. */
const AT = { month: 5, day: 8, hour: 11, minute: 14, second: 17, decimals: 19 } as const;
const NO_NUMBER = -1;

/** Goes over a time; it ends one byte, its quote, before the cursor. */
export function passInstant(cursor: ByteCursor): void {
  const { bytes } = cursor;
  const start = cursor.at + 1;
  const end =
    bytes[start - 1] === QUOTE && isDay(bytes, start) && isTimeOfDay(bytes, start)
      ? instantEnd(bytes, start)
      : NO_NUMBER;
  if (end < 0 || bytes[end] !== QUOTE) cursor.refuse();
  else cursor.at = end + 1;
}

function isDay(bytes: Uint8Array, start: number): boolean {
  const hundreds = digitAt(bytes, start + 1);
  const years = twoDigits(bytes, start + 2, 99);
  if (bytes[start] !== TWO || hundreds < 0 || years < 0) return false;
  if (bytes[start + AT.month - 1] !== MINUS || bytes[start + AT.day - 1] !== MINUS) return false;
  const month = twoDigits(bytes, start + AT.month, 12);
  const day = twoDigits(bytes, start + AT.day, 31);
  return month > 0 && day > 0 && day <= daysInMonth(YEAR_FIRST + hundreds * 100 + years, month);
}

function isTimeOfDay(bytes: Uint8Array, start: number): boolean {
  if (bytes[start + AT.hour - 1] !== CAPITAL_T || bytes[start + AT.minute - 1] !== COLON) return false;
  if (bytes[start + AT.second - 1] !== COLON || twoDigits(bytes, start + AT.hour, 23) < 0) return false;
  return twoDigits(bytes, start + AT.minute, 59) >= 0 && twoDigits(bytes, start + AT.second, 59) >= 0;
}

/** Where a time ends, after its decimals and its offset; a negative number where it is none. */
function instantEnd(bytes: Uint8Array, start: number): number {
  const decimals = decimalsEnd(bytes, start + AT.decimals);
  return decimals < 0 ? NO_NUMBER : offsetEnd(bytes, decimals);
}

/** Where the decimals of the seconds end; at `start` where there are none. */
function decimalsEnd(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== POINT) return start;
  let at = start + 1;
  while (digitAt(bytes, at) >= 0) at += 1;
  const decimals = at - start - 1;
  return decimals >= 1 && decimals <= DECIMALS_MAX ? at : NO_NUMBER;
}

/** Where the offset that stands at `start` ends, or a negative number. */
function offsetEnd(bytes: Uint8Array, start: number): number {
  if (bytes[start] === CAPITAL_Z) return start + 1;
  if (bytes[start] !== PLUS && bytes[start] !== MINUS) return NO_NUMBER;
  const isOffset =
    twoDigits(bytes, start + 1, 23) >= 0 && bytes[start + 3] === COLON && twoDigits(bytes, start + 4, 59) >= 0;
  return isOffset ? start + 6 : NO_NUMBER;
}

/** The number that two digits at a place name, up to a maximum; negative where there is none. */
function twoDigits(bytes: Uint8Array, at: number, maximum: number): number {
  const tens = digitAt(bytes, at);
  const ones = tens < 0 ? NO_NUMBER : digitAt(bytes, at + 1);
  const number = tens * 10 + ones;
  return ones < 0 || number > maximum ? NO_NUMBER : number;
}
