/**
 * Owns: finding a number of a JSON text that JSON.parse does not read as it is written: 0.99999999999999999999 becomes 1, and
 * 9007199254740993 becomes 9007199254740992. Quantities are judged by their digits, not by what a double makes of them.
 * Does not own: which numbers are allowed (field-rules.ts).
 * Invariants: linear in the text; the text is JSON, so that a digit or a minus outside of texts begins a number.
 */
import { Decimal } from 'decimal.js';
import { endOfText, isKey, textOf } from './repeated-key.js';

/** Read as they are written, whatever their digits. */
const SHORT_INTEGER = /^-?\d{1,15}$/;
const NUMBER = /-?\d[\d.eE+-]*/y;
const [QUOTE, MINUS, ZERO, NINE] = [0x22, 0x2d, 0x30, 0x39];

/** A number that is read as another one, and the last key before it. */
export interface InexactNumber {
  readonly key: string;
  readonly number: string;
}

/** The first number of a JSON text that is read as another one; undefined when none is. */
export function inexactNumber(json: string): InexactNumber | undefined {
  let key = { start: 0, end: 0 };
  for (let at = 0; at < json.length; at += 1) {
    const character = json.charCodeAt(at);
    if (character === QUOTE) {
      const end = endOfText(json, at);
      if (isKey(json, end)) key = { start: at, end };
      at = end;
    } else if (character === MINUS || (character >= ZERO && character <= NINE)) {
      NUMBER.lastIndex = at;
      const number = NUMBER.exec(json)?.[0] ?? '';
      if (!isExact(number)) return { key: textOf(json, key.start, key.end), number };
      at += number.length - 1;
    }
  }
  return undefined;
}

function isExact(number: string): boolean {
  return SHORT_INTEGER.test(number) || new Decimal(number).equals(Number(number));
}
