/**
 * Owns: how a value that was found in a message is shown in a report: short, on one line, printable.
 * Invariants: never throws and never recurses, whatever the value (a deeply nested one would overflow the stack
 * of JSON.stringify); the text holds no control character and no lone surrogate, so PostgreSQL can store it.
 */
import { inspect } from 'node:util';

/** A JSON object as JSON.parse returns it: own keys only, values not yet checked. */
export type WireObject = Readonly<Record<string, unknown>>;

const FOUND_LENGTH_MAX = 64;

/** Tells whether a parsed JSON value is an object: neither null nor an array. */
export function isWireObject(value: unknown): value is WireObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Shortens a text to a number of UTF-16 units, never in the middle of a character. */
export function shorten(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text;
  return `${text.slice(0, lengthMax - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** Shows a found value in at most 64 characters: `-5`, `"abc"`, `an object (fields: 3)`. */
export function describeFound(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return shorten(quote(value.slice(0, FOUND_LENGTH_MAX + 1)), FOUND_LENGTH_MAX);
  if (Array.isArray(value)) return `an array (items: ${value.length})`;
  if (typeof value === 'object' && value !== null) return `an object (fields: ${Object.keys(value).length})`;
  return shorten(inspect(value), FOUND_LENGTH_MAX);
}

/** Replaces control characters, which a foreign error message may quote from the bytes it read. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}]/gu, '�');
}

function quote(text: string): string {
  return printable(JSON.stringify(text));
}
