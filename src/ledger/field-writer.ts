/**
 * Owns: writing fields of a line as COPY's text format has them, straight into bytes.
 * Does not own: which fields, in which order (canonical-entry.ts).
 * Invariants: every field is preceded by a tab; a text is UTF-8, its backslashes, tabs, newlines and carriage returns escaped by
 * a backslash; a missing value is `\N`; the line grows as long as it must.
 * Source: PostgreSQL manual, COPY, "Text Format".
 * Why bytes: a text of 35 parts is joined, encoded for the hash and encoded again for the socket, and left 2.2 kB of garbage an entry.
 */
import { ownValue } from '../runtime/name-map.js';

const [TAB, BACKSLASH, ZERO, LETTER_N] = [0x09, 0x5c, 0x30, 0x4e];
/** The first code unit that is more than one byte in UTF-8. */
const ASCII_END = 0x80;
const UTF8_BYTES_MAX = 3;
const INITIAL_BYTES = 4_096;
/** Integers below this are written digit by digit, in 32-bit arithmetic. */
const SMALL_INTEGER_END = 1_000_000_000;
/** Room for the tab and any number or missing value. */
const NUMBER_BYTES_MAX = 32;

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** 1 for the ASCII characters that are escaped. */
const IS_ESCAPED = new Uint8Array(ASCII_END);
for (const character of Object.keys(ESCAPES)) IS_ESCAPED[character.charCodeAt(0)] = 1;

/** Writes lines that all begin alike, one after the other, each over the one before. */
export class FieldWriter {
  readonly #startLength: number;
  #bytes: Buffer;
  #end: number;

  /** `start`: what every line begins with, before its first tab; ASCII. */
  constructor(start: string) {
    this.#bytes = Buffer.alloc(INITIAL_BYTES);
    this.#startLength = this.#bytes.write(start, 'latin1');
    this.#end = this.#startLength;
  }

  /** Begins a new line; the one before is lost. */
  begin(): void {
    this.#end = this.#startLength;
  }

  /** The line so far, its start included: a view, valid until the next line begins. */
  line(): Buffer {
    return this.#bytes.subarray(0, this.#end);
  }

  /** A text, or null. */
  text(value: string | null): void {
    if (value === null) {
      this.#absent();
      return;
    }
    const { length } = value;
    this.#reserve(length);
    const bytes = this.#bytes;
    let at = this.#end;
    bytes[at++] = TAB;
    for (let index = 0; index < length; index += 1) {
      const unit = value.charCodeAt(index);
      if (unit >= ASCII_END || IS_ESCAPED[unit] === 1) {
        this.#end = at;
        this.#anyText(value.slice(index));
        return;
      }
      bytes[at++] = unit;
    }
    this.#end = at;
  }

  /** A boolean in letters, or null. */
  flag(value: boolean | null): void {
    this.text(value === null ? null : value ? 'true' : 'false');
  }

  /** A safe integer in base 10, or null. */
  integer(value: number | null): void {
    if (value === null) this.#absent();
    else if (value >= 0 && value < SMALL_INTEGER_END) this.#smallInteger(value);
    else this.text(String(value));
  }

  #smallInteger(value: number): void {
    this.#reserve(NUMBER_BYTES_MAX);
    const bytes = this.#bytes;
    bytes[this.#end] = TAB;
    const end = this.#end + 1 + digitsOf(value);
    let rest = value;
    for (let at = end - 1; at > this.#end; at -= 1) {
      const tenth = (rest / 10) | 0;
      bytes[at] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.#end = end;
  }

  #absent(): void {
    this.#reserve(NUMBER_BYTES_MAX);
    const bytes = this.#bytes;
    const at = this.#end;
    bytes[at] = TAB;
    bytes[at + 1] = BACKSLASH;
    bytes[at + 2] = LETTER_N;
    this.#end = at + 3;
  }

  /** What may need escapes, or more than one byte a character. */
  #anyText(text: string): void {
    const escaped = text.replace(/[\\\t\n\r]/g, (character) => ownValue(ESCAPES, character) ?? character);
    this.#reserve(escaped.length * UTF8_BYTES_MAX);
    this.#end += this.#bytes.write(escaped, this.#end, 'utf8');
  }

  /** Makes room for a tab and some bytes. */
  #reserve(length: number): void {
    const wanted = this.#end + length + 1;
    if (wanted <= this.#bytes.length) return;
    const grown = Buffer.alloc(Math.max(wanted, 2 * this.#bytes.length));
    this.#bytes.copy(grown, 0, 0, this.#end);
    this.#bytes = grown;
  }
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let bound = 10; value >= bound; bound *= 10) digits += 1;
  return digits;
}
