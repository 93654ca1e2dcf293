/**
 * Owns: the bytes that the scanner of plain messages knows, and which of them may stand in which text of the contract.
 * Does not own: the published patterns (field-rules.ts, meter-map.ts, identifier.ts), which these classes repeat.
 * Invariants: a class holds printable ASCII only, and neither the quote nor the backslash, so a run of one class inside
 * quotes is the text that JSON.parse would read.
 */

/** The bytes with a meaning of their own in a plain message. */
export const BYTE = {
  tab: 0x09,
  lineFeed: 0x0a,
  carriageReturn: 0x0d,
  blank: 0x20,
  quote: 0x22,
  plus: 0x2b,
  comma: 0x2c,
  minus: 0x2d,
  point: 0x2e,
  zero: 0x30,
  two: 0x32,
  colon: 0x3a,
  capitalT: 0x54,
  capitalZ: 0x5a,
  smallT: 0x74,
  braceOpen: 0x7b,
  braceClose: 0x7d,
} as const;

/** What a text of the contract looks like: the classes of its first byte and of the others, and its length in bytes. */
export interface TextForm {
  readonly first: number;
  readonly rest: number;
  readonly lengthMin: number;
  readonly lengthMax: number;
}

const IDENTIFIER_FIRST = 1;
const IDENTIFIER_REST = 2;
const LABEL_FIRST = 4;
const LABEL_REST = 8;
const LETTER_OR_DIGIT = 16;
const WORD_REST = 32;
const SMALL_LETTER = 64;
const METER_REST = 128;
const CAPITAL = 256;
const REASON_BYTE = 512;
const PRICE_BYTE = 1024;

const SMALL = 'abcdefghijklmnopqrstuvwxyz';
const CAPITALS = SMALL.toUpperCase();
const DIGITS = '0123456789';
const ALPHANUMERIC = `${CAPITALS}${SMALL}${DIGITS}`;
const OTHERS_OF_IDENTIFIERS = '._:@/|=+%#!$&*-';
const OTHERS_OF_LABELS = `${OTHERS_OF_IDENTIFIERS}~[](),`;
const OTHERS_OF_REASONS = " !#$%&'()*+,-./:;<=>?@[]^_`{|}~";

const MEMBERS: readonly (readonly [number, string])[] = [
  [IDENTIFIER_FIRST, `${ALPHANUMERIC}${OTHERS_OF_IDENTIFIERS}`],
  [IDENTIFIER_REST, `${ALPHANUMERIC}${OTHERS_OF_IDENTIFIERS}~`],
  [LABEL_FIRST, `${ALPHANUMERIC}${OTHERS_OF_LABELS}`],
  [LABEL_REST, `${ALPHANUMERIC}${OTHERS_OF_LABELS} `],
  [LETTER_OR_DIGIT, ALPHANUMERIC],
  [WORD_REST, `${ALPHANUMERIC}._+-`],
  [SMALL_LETTER, SMALL],
  [METER_REST, `${SMALL}${DIGITS}_`],
  [CAPITAL, CAPITALS],
  [REASON_BYTE, `${ALPHANUMERIC}${OTHERS_OF_REASONS}`],
  [PRICE_BYTE, `${DIGITS}.`],
];

function classesOfBytes(): Uint16Array {
  const classes = new Uint16Array(256);
  for (const [bit, members] of MEMBERS) {
    for (const member of members) classes[member.charCodeAt(0)] = (classes[member.charCodeAt(0)] ?? 0) | bit;
  }
  return classes;
}

/** The classes of every byte, one bit each, as the forms below name them. */
export const BYTE_CLASSES = classesOfBytes();

/** IDENTIFIER (src/ledger/identifier.ts). */
export const IDENTIFIER_FORM: TextForm = {
  first: IDENTIFIER_FIRST,
  rest: IDENTIFIER_REST,
  lengthMin: 1,
  lengthMax: 256,
};

/** LABEL_PATTERN. */
export const LABEL_FORM: TextForm = { first: LABEL_FIRST, rest: LABEL_REST, lengthMin: 1, lengthMax: 256 };

/** PRICE_CLASS_PATTERN. */
export const PRICE_CLASS_FORM: TextForm = { first: LETTER_OR_DIGIT, rest: WORD_REST, lengthMin: 1, lengthMax: 64 };

/** TAG_NAME_PATTERN. */
export const TAG_NAME_FORM: TextForm = { first: LETTER_OR_DIGIT, rest: WORD_REST, lengthMin: 1, lengthMax: 64 };

/** TAG_VALUE_PATTERN, as far as it is ASCII without quote and backslash. */
export const TAG_VALUE_FORM: TextForm = { first: REASON_BYTE, rest: REASON_BYTE, lengthMin: 1, lengthMax: 128 };

/** METER_NAME_PATTERN. */
export const METER_NAME_FORM: TextForm = { first: SMALL_LETTER, rest: METER_REST, lengthMin: 1, lengthMax: 63 };

/** The pattern of a currency. */
export const CURRENCY_FORM: TextForm = { first: CAPITAL, rest: CAPITAL, lengthMin: 3, lengthMax: 8 };

/** The pattern of a reason, as far as it is ASCII without quote and backslash. */
export const REASON_FORM: TextForm = { first: REASON_BYTE, rest: REASON_BYTE, lengthMin: 1, lengthMax: 200 };

/** The bytes of PRICE_PATTERN, which says more about where the point may stand. */
export const PRICE_FORM: TextForm = { first: PRICE_BYTE, rest: PRICE_BYTE, lengthMin: 1, lengthMax: 49 };
