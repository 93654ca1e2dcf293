/**
 * Owns: how usage events may be written as JSON, well or badly: orders of keys, blanks, escapes, values of every sort,
 * lost and added bytes.
 * Does not own: the events themselves (wire-events.ts).
 */
import fc from 'fast-check';
import { isWireObject } from '../../src/contract/found-value.js';

/** How an object is written: in which order, with which blanks around its parts, and with escapes in its texts. */
export interface Writing {
  readonly order: readonly number[];
  readonly blanks: readonly string[];
  readonly isEscaped: boolean;
}

const blanks = fc.constantFrom('', '', '', '', ' ', '\n', '\t', '\r\n', '  ', '\u000b', '\u00a0');

/** Generates ways of writing an object, most of them plain. */
export const writings: fc.Arbitrary<Writing> = fc.record({
  order: fc.array(fc.nat(99), { maxLength: 20 }),
  blanks: fc.array(blanks, { maxLength: 4 }),
  isEscaped: fc.nat(3).map((chance) => chance === 0),
});

function escaped(text: string): string {
  const first = text.charCodeAt(0).toString(16).padStart(4, '0');
  return text === '' ? '""' : `"\\u${first}${JSON.stringify(text.slice(1)).slice(1)}`;
}

/** Writes a value as JSON in a way. */
export function write(value: unknown, { order, blanks: cycle, isEscaped }: Writing): string {
  let turn = 0;
  const blank = (): string => cycle[turn++ % Math.max(1, cycle.length)] ?? '';
  const writeNode = (node: unknown): string => {
    if (typeof node === 'string' && isEscaped) return escaped(node);
    if (!isWireObject(node)) return JSON.stringify(node);
    const ranked = Object.entries(node).map(([key, field], index) => ({ key, field, rank: order[index] ?? 50 }));
    ranked.sort((one, other) => one.rank - other.rank);
    const fields = ranked.map(({ key, field }) => `${blank()}"${key}":${blank()}${writeNode(field)}${blank()}`);
    return `{${fields.join(',')}${fields.length === 0 ? blank() : ''}}`;
  };
  return `${blank()}${writeNode(value)}${blank()}`;
}

function oneOf(words: string): fc.Arbitrary<string> {
  return fc.constantFrom(...words.split(' '));
}

const numbers = fc.oneof(
  oneOf('0 -0 1 2 7 01 00 1.0 1e3 1E0 0e1 -1 0.5 1. +1 1e400 1000000000000 1000000000001 12345678901234567890'),
  oneOf('9007199254740990 9007199254740991 9007199254740992 9007199254740993 9007199254740995 NaN 1_0 0x1'),
  oneOf('0.99999999999999999999 1.00000000000000000001 1e-400 1.0e0 999999999999.99999999 10e-1 1e22'),
  fc.constantFrom('9'.repeat(400), `1${'0'.repeat(330)}`),
);

const lengths = fc.constantFrom(
  0,
  1,
  2,
  3,
  4,
  8,
  9,
  57,
  58,
  59,
  60,
  61,
  62,
  64,
  65,
  127,
  128,
  129,
  199,
  200,
  201,
  255,
  256,
  257,
);

const texts = fc.oneof(
  fc.tuple(lengths, fc.constantFrom('A', 'a', '7')).map(([length, letter]) => `"${letter.repeat(length)}"`),
  fc.tuple(fc.integer({ min: 0x1f, max: 0x80 }), fc.boolean()).map(([code, isFirst]) => {
    const byte = String.fromCharCode(code);
    return isFirst ? `"${byte}AA"` : `"A${byte}A"`;
  }),
  oneOf('"succeeded" "failed" "cancelled" "cancelledd" "succeede" "Failed" "\\u0041" "\\"" "é" "😀" "a\u0000b" "a 7"'),
);

const prices = fc.oneof(
  oneOf('"0" "00.10" ".5" "5." "-1" "1.2.3" "0..1" "." "1e3" "1,5" "0.003" "" 0.003'),
  fc
    .tuple(fc.integer({ min: 17, max: 20 }), fc.integer({ min: 29, max: 31 }))
    .map(([digits, decimals]) => `"${'9'.repeat(digits)}.${'1'.repeat(decimals)}"`),
  fc.integer({ min: 17, max: 20 }).map((digits) => `"${'9'.repeat(digits)}"`),
);

const times = fc
  .tuple(
    oneOf('2024 2023 2000 2100 2400 2999 1999 3000'),
    oneOf('-00 -01 -02 -02 -02 -04 -12 -13 /02'),
    oneOf('-00 -01 -28 -29 -29 -30 -31 -32'),
    oneOf('T00:00:00 T23:59:59 T12:30:15 T24:00:00 T12:60:00 T12:00:60 t12:00:00'),
    oneOf('Z Z .1Z .250Z .123456789Z .1234567890Z .Z +14:00 -23:59 +24:00 +00:60 .5-00:30 z +0100 Z0'),
  )
  .map((parts) => `"${parts.join('')}"`);

const objects = fc.oneof(
  oneOf(
    '{} [] [1] {"a":{"b":[]}} {"__proto__":1} {"constructor":1} {"constructor":"1"} {"toString":1} {"to_string":"2"}',
  ),
  oneOf('{"a":1,"a":2} {"a":"1","b":"2","a":"3"} {"a":1,} {,} {"a":1"b":2} {"a"} {"a":1.5} {"A":1} {"a":-0}'),
  oneOf(
    '{"instance":"a","epoch":1,"seq":2} {"currency":"USD"} {"input_tokens":1,"output_tokens":2} {"input_tokens":3}',
  ),
  fc.tuple(fc.constantFrom(15, 16, 17), fc.constantFrom(1, '1')).map(([size, value]) => {
    return JSON.stringify(Object.fromEntries(Array.from({ length: size }, (_, index) => [`m${index}`, value])));
  }),
  fc.tuple(fc.constantFrom(62, 63, 64), fc.constantFrom(1, '1')).map(([length, value]) => {
    return JSON.stringify({ ['a'.repeat(length)]: value });
  }),
);

/** One literal of every sort; which one is put into a message depends on what it takes the place of. */
export interface Literals {
  readonly number: string;
  readonly text: string;
  readonly price: string;
  readonly time: string;
  readonly object: string;
  readonly word: string;
}

/** Generates what may take the place of a value, at the bounds of what is allowed and beyond. */
export const literals: fc.Arbitrary<Literals> = fc.record({
  number: numbers,
  text: texts,
  price: prices,
  time: times,
  object: objects,
  word: oneOf('true false null tru truefalse True 1 "true"'),
});

/** Generates a literal of any sort. */
export const anyLiterals = fc.oneof(numbers, texts, prices, times, objects);

/** The sort of literals that a value is one of. */
export function sortOf(value: string): keyof Literals {
  if (value.startsWith('{')) return 'object';
  if (/^"2\d{3}-/u.test(value)) return 'time';
  if (/^"[\d.]+"$/u.test(value)) return 'price';
  if (value.startsWith('"')) return 'text';
  return /^\d/u.test(value) ? 'number' : 'word';
}

/** The values in a JSON text: where each begins, and what it is; objects as well as what they hold. */
export function valuesIn(text: string): { at: number; value: string }[] {
  const simple = [...text.matchAll(/(?<=:)(?:"[^"]*"|[\d.]+|true|false)/gu)];
  const flat = [...text.matchAll(/(?<=:)\{[^{}]*\}/gu)];
  return [...simple, ...flat].map((match) => ({ at: match.index, value: match[0] }));
}

/** One change of the bytes of a text: at a place, so many are lost, and these are added. */
export interface TextEdit {
  readonly at: number;
  readonly lost: number;
  readonly added: string;
}

/** Generates one or two changes of the bytes of a text. */
export const textEdits: fc.Arbitrary<TextEdit[]> = fc.array(
  fc.record({
    at: fc.nat(),
    lost: fc.constantFrom(0, 0, 1, 1, 2, 9),
    added: fc.oneof(oneOf(' " 7 a } { , : \\ 0 - . \n \u0000 é'), fc.string({ maxLength: 3 })),
  }),
  { minLength: 1, maxLength: 2 },
);

/** Applies changes to a text, one after the other. */
export function edited(text: string, edits: readonly TextEdit[]): string {
  return edits.reduce((before, { at, lost, added }) => {
    const place = at % (before.length + 1);
    return before.slice(0, place) + added + before.slice(place + lost);
  }, text);
}
