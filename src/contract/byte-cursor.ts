/**
 * Owns: walking through the bytes of a plain message, from one value to the next, over keys, blanks and punctuation.
 * Does not own: the values (plain-values.ts, plain-instant.ts), nor which fields there are (event-scanner.ts).
 * Invariants: what is not plain is refused for good: every later step leads nowhere, and the message is left to the
 * gate. Never throws. The message is copied to a place of its own (30 ns), where it can be read in words, is not kept
 * alive, and is followed by a zero byte: no value, key or blank goes over that, so that nobody asks where it ends.
 */
import { BYTE } from './byte-classes.js';
import { NO_FIELD } from './key-table.js';
import type { KeyTable } from './key-table.js';

/** A longer message is not plain. Usage messages have some 500 bytes; with every field at its longest, less than 12,000. */
const MESSAGE_BYTES_MAX = 12_288;

/** What is read at most behind the end of a message, a word at a time: a known key or pricing. */
const BYTES_BEHIND = 1024;

const { tab: TAB, lineFeed: LINE_FEED, carriageReturn: CARRIAGE_RETURN, blank: BLANK } = BYTE;
const { quote: QUOTE, colon: COLON, comma: COMMA, braceOpen: BRACE_OPEN, braceClose: BRACE_CLOSE } = BYTE;

/** Nearly always nothing is there to skip, and one comparison says so. */
function skipBlanks(bytes: Uint8Array, start: number): number {
  let at = start;
  for (let byte = bytes[at] ?? 0; byte <= BLANK; byte = bytes[at] ?? 0) {
    if (byte !== BLANK && byte !== LINE_FEED && byte !== TAB && byte !== CARRIAGE_RETURN) break;
    at += 1;
  }
  return at;
}

/** A place in a message that only moves forward. */
export class ByteCursor {
  /** The message, a zero byte, and remains of others. */
  readonly bytes = new Uint8Array(MESSAGE_BYTES_MAX + BYTES_BEHIND);
  /** The same bytes, to be read in words. */
  readonly words = new DataView(this.bytes.buffer);
  /** Where the next byte to read is. */
  at = 0;
  /** Whether all that was read is plain. */
  isPlain = false;
  /** The fields that have been found, one bit each. */
  seen = 0;
  #length = 0;
  readonly #text = Buffer.from(this.bytes.buffer);

  /** Goes to the first byte of a message. */
  start(message: Uint8Array): void {
    const { length } = message;
    this.at = 0;
    this.seen = 0;
    this.#length = length;
    this.isPlain = length <= MESSAGE_BYTES_MAX;
    if (!this.isPlain) return;
    this.bytes.set(message);
    this.bytes[length] = 0;
    this.at = skipBlanks(this.bytes, 0);
  }

  /** Tells whether the message is plain and nothing but blanks is left of it. */
  isDone(): boolean {
    return this.isPlain && skipBlanks(this.bytes, this.at) === this.#length;
  }

  /** Refuses the message: it is not plain. Gives the false that says so. */
  refuse(): false {
    this.isPlain = false;
    return false;
  }

  /** The ASCII text between two places of the message. */
  textBetween(start: number, end: number): string {
    return this.#text.toString('latin1', start, end);
  }

  /** Enters an object and goes to the value of its first field; tells which field it is, or NO_FIELD. */
  enter(keys: KeyTable): number {
    return this.opens() ? this.#toField(keys) : NO_FIELD;
  }

  /** Goes on to the value of the next field of an object; tells which field it is, or NO_FIELD. */
  next(keys: KeyTable): number {
    return this.goesOn() ? this.#toField(keys) : NO_FIELD;
  }

  /** Enters an object; false when it is empty, or none. */
  opens(): boolean {
    const { bytes, at } = this;
    if (!this.isPlain || bytes[at] !== BRACE_OPEN) return this.refuse();
    this.at = skipBlanks(bytes, at + 1);
    if (bytes[this.at] !== BRACE_CLOSE) return true;
    this.at += 1;
    return false;
  }

  /** Goes over the comma after a value; false when the object ends instead. */
  goesOn(): boolean {
    if (!this.isPlain) return false;
    const { bytes } = this;
    const at = skipBlanks(bytes, this.at);
    const byte = bytes[at];
    if (byte === COMMA) {
      this.at = skipBlanks(bytes, at + 1);
      return true;
    }
    this.at = at + 1;
    return byte === BRACE_CLOSE ? false : this.refuse();
  }

  /** Goes from a name to its value, over a colon. */
  passColon(): void {
    const { bytes, at } = this;
    if (bytes[at] === COLON) this.at = skipBlanks(bytes, at + 1);
    else this.isPlain = false;
  }

  /** Begins a section that counts its fields apart; gives the bits that `goesBackTo` takes. */
  countsApart(): number {
    const { seen } = this;
    this.seen = 0;
    return seen;
  }

  /** Ends such a section; gives the bits of its fields. */
  goesBackTo(seen: number): number {
    const own = this.seen;
    this.seen = seen;
    return own;
  }

  #toField(keys: KeyTable): number {
    const { bytes, words, at } = this;
    const place = keys.placeAt(words, at + 1);
    const field = bytes[at] === QUOTE ? keys.fieldAt(place, words, at + 1) : NO_FIELD;
    if (field === NO_FIELD || (this.seen & (1 << field)) !== 0) {
      this.isPlain = false;
      return NO_FIELD;
    }
    this.seen |= 1 << field;
    this.at = skipBlanks(bytes, at + 1 + keys.lengthOf(place));
    return field;
  }
}
