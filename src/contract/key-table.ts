/**
 * Owns: which field a key of a plain message names: one look by its second to fifth byte, then a comparison of all: `pricing`
 * and `price_class` differ in the fifth.
 * Does not own: what the value of a field looks like.
 * Invariants: a key is found only where all its bytes, its closing quote and its colon stand; no two keys of a table
 * share a place, which is settled when the table is made, so that every order of keys is equally fast. All keys are
 * compared in five words, without a branch: one that depends on the length of the key is guessed wrong every other time.
 */
import { invariant } from '../runtime/errors.js';
import { WORD_BYTES, wordAt } from './known-bytes.js';

const PLACES_LOG2 = 6;
const PLACES = 2 ** PLACES_LOG2;
const KEY_WORDS = 5;
const KEY_BYTES_MAX = KEY_WORDS * WORD_BYTES;
const ALL_BITS = new DataView(new Uint8Array(WORD_BYTES).fill(0xff).buffer);
const MULTIPLIER_MAX = 10_000;
/** Where the bytes of a key stand that tell it from the others of its object. */
const TOLD_BY = 1;

/** Tells that no key of the table stands there. */
export const NO_FIELD = -1;

interface TableKey {
  readonly field: number;
  readonly length: number;
  readonly bytes: DataView;
}

function keyOf(name: string, field: number): TableKey {
  const bytes = new DataView(new ArrayBuffer(KEY_BYTES_MAX));
  const length = Buffer.from(bytes.buffer).write(`${name}":`, 'latin1');
  invariant(length === name.length + 2, 'a key of an object is too long', { name });
  return { field, length, bytes };
}

function placeOf(word: number, multiplier: number): number {
  return Math.imul(word, multiplier) >>> (32 - PLACES_LOG2);
}

function multiplierFor(keys: readonly TableKey[]): number {
  for (let multiplier = 1; multiplier < MULTIPLIER_MAX; multiplier += 2) {
    const places = new Set(keys.map(({ bytes }) => placeOf(bytes.getInt32(TOLD_BY, true), multiplier)));
    if (places.size === keys.length) return multiplier;
  }
  return 0;
}

/** The keys of one object of the contract, each with the number of its field. */
export class KeyTable {
  readonly #multiplier: number;
  readonly #words = new Int32Array(PLACES * KEY_WORDS);
  /** Which bits of the words are compared. */
  readonly #masks = new Int32Array(PLACES * KEY_WORDS);
  readonly #fields = new Int8Array(PLACES).fill(NO_FIELD);
  readonly #lengths = new Uint8Array(PLACES);

  /** Makes the table of keys of 3 to 18 bytes; fields are numbered from 0 to 30. */
  constructor(fields: Readonly<Record<string, number>>) {
    const keys = Object.entries(fields).map(([name, field]) => keyOf(name, field));
    this.#multiplier = multiplierFor(keys);
    invariant(this.#multiplier !== 0, 'no multiplier tells the keys of an object apart', {
      keys: Object.keys(fields).join(),
    });
    for (const key of keys) this.#add(key);
  }

  /** The place in this table of the key that begins at `at`, after its quote; only fieldAt says whether it stands there. */
  placeAt(message: DataView, at: number): number {
    return placeOf(message.getInt32(at + TOLD_BY, true), this.#multiplier);
  }

  /** The field of the key of a place when it stands at `at`, else NO_FIELD. */
  fieldAt(place: number, message: DataView, at: number): number {
    const words = this.#words;
    const masks = this.#masks;
    const row = place * KEY_WORDS;
    let difference = (message.getInt32(at, true) ^ (words[row] ?? 0)) & (masks[row] ?? 0);
    difference |= (message.getInt32(at + 4, true) ^ (words[row + 1] ?? 0)) & (masks[row + 1] ?? 0);
    difference |= (message.getInt32(at + 8, true) ^ (words[row + 2] ?? 0)) & (masks[row + 2] ?? 0);
    difference |= (message.getInt32(at + 12, true) ^ (words[row + 3] ?? 0)) & (masks[row + 3] ?? 0);
    difference |= (message.getInt32(at + 16, true) ^ (words[row + 4] ?? 0)) & (masks[row + 4] ?? 0);
    return difference === 0 ? (this.#fields[place] ?? NO_FIELD) : NO_FIELD;
  }

  /** How many bytes the key of a place has, with its closing quote and its colon. */
  lengthOf(place: number): number {
    return this.#lengths[place] ?? 0;
  }

  #add({ bytes, length, field }: TableKey): void {
    const place = this.placeAt(bytes, 0);
    for (let word = 0; word * WORD_BYTES < length; word += 1) {
      this.#words[place * KEY_WORDS + word] = wordAt(bytes, word * WORD_BYTES, length);
      this.#masks[place * KEY_WORDS + word] = wordAt(ALL_BITS, 0, length - word * WORD_BYTES);
    }
    this.#fields[place] = field;
    this.#lengths[place] = length;
  }
}
