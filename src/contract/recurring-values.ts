/**
 * Owns: the memory for values that recur by the million in messages: what the same bytes were decoded to before.
 * Does not own: decoding; whoever asks remembers what was decoded after a miss.
 * Invariants: bounded, since a hash has two places, and a third value takes one of them; a value is found only where
 * all of its bytes stand, so that a collision costs time and is never a wrong value; the bytes are copied, so that no
 * message is kept alive. Bytes that say themselves where they end, as a text with its closing quote or an object do,
 * are never the beginning of others: what is found is what stands there.
 */
import { KnownBytes } from './known-bytes.js';

/** How much is remembered: a number of places as a power of two, and the bytes that each has room for, in fours. */
export interface RecurringBounds {
  readonly placesLog2: number;
  readonly bytesMax: number;
}

/** Bytes of a message, with their hash. */
export interface HashedBytes {
  readonly hash: number;
  readonly start: number;
  readonly end: number;
}

const GOLDEN_RATIO = 0x9e3779b1;

/** Remembers values by the bytes that they were decoded from. */
export class RecurringValues<V> {
  readonly #values: (V | undefined)[];
  readonly #known: KnownBytes;
  readonly #shift: number;
  #turn = 0;

  constructor({ placesLog2, bytesMax }: RecurringBounds) {
    const places = 2 ** placesLog2;
    this.#values = new Array<V | undefined>(places).fill(undefined);
    this.#known = new KnownBytes(places, bytesMax);
    this.#shift = 32 - placesLog2;
  }

  /** The value whose bytes stand in a message from `start` on; undefined where none is known. */
  find(hash: number, message: DataView, start: number): V | undefined {
    const place = this.#placeOf(hash);
    if (this.#known.standsAt(place, message, start)) return this.#values[place];
    return this.#known.standsAt(place ^ 1, message, start) ? this.#values[place ^ 1] : undefined;
  }

  /** Remembers the value of some bytes; those that have no room in a place are not remembered. */
  remember(found: HashedBytes, message: DataView, value: V): void {
    const place = this.#freePlace(this.#placeOf(found.hash));
    if (this.#known.keep(place, message, found)) this.#values[place] = value;
  }

  /** The upper bits of a product with the golden ratio: the lower ones of a hash may be poor. */
  #placeOf(hash: number): number {
    return Math.imul(hash, GOLDEN_RATIO) >>> this.#shift;
  }

  #freePlace(place: number): number {
    if (this.#values[place] === undefined) return place;
    if (this.#values[place ^ 1] === undefined) return place ^ 1;
    this.#turn ^= 1;
    return place ^ this.#turn;
  }
}
