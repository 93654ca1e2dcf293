/**
 * Owns: bytes that are known beforehand, in numbered places, to be held against those of a message: four at a time, in
 * a third of the time of one by one; and the hash by which a place is looked for.
 * Does not own: what the bytes mean (recurring-values.ts).
 * Invariants: a word has the byte that comes first lowest, on every machine; the last word of a place is filled up with
 * zeros; the length stands before the words, on the same line of the processor's cache. A message must be readable for
 * as many bytes as a place has room for.
 */

/** How many bytes a word has. */
export const WORD_BYTES = 4;

const LOWEST_BITS = 0x01010101;
const HIGHEST_BITS = 0x80808080;

/** Places for known bytes. */
export class KnownBytes {
  readonly #words: Int32Array;
  readonly #stride: number;

  /** Makes empty places, each with room for a number of bytes, which is a multiple of four. */
  constructor(places: number, bytesMax: number) {
    this.#stride = 1 + bytesMax / WORD_BYTES;
    this.#words = new Int32Array(places * this.#stride);
  }

  /** Tells whether a message goes on, from `start` on, with the bytes of a place; false for an empty place. */
  standsAt(place: number, message: DataView, start: number): boolean {
    const words = this.#words;
    let known = place * this.#stride;
    const length = words[known] ?? 0;
    const end = start + length;
    let at = start;
    known += 1;
    for (; at + WORD_BYTES <= end; at += WORD_BYTES, known += 1) {
      if (message.getInt32(at, true) !== words[known]) return false;
    }
    return at === end ? length !== 0 : wordAt(message, at, end) === words[known];
  }

  /** Copies bytes of a message to a place; tells whether there was room. */
  keep(place: number, message: DataView, { start, end }: { readonly start: number; readonly end: number }): boolean {
    let known = place * this.#stride;
    if (end - start > (this.#stride - 1) * WORD_BYTES) return false;
    this.#words[known] = end - start;
    for (let at = start; at < end; at += WORD_BYTES) {
      known += 1;
      this.#words[known] = wordAt(message, at, end);
    }
    return true;
  }
}

/** The word that begins at a place; its bytes from `end` on are zero. */
export function wordAt(message: DataView, at: number, end: number): number {
  const word = message.getInt32(at, true);
  return end - at >= WORD_BYTES ? word : word & ((1 << (8 * (end - at))) - 1);
}

/**
 * A hash of the bytes of a message from `start` to the word with the first byte of `marks`, which is that byte four
 * times, or to `bytesMax`. It is cheap rather than good: what is found by it is compared.
 */
export function hashTo(
  marks: number,
  message: DataView,
  bounds: { readonly start: number; readonly bytesMax: number },
): number {
  const end = bounds.start + bounds.bytesMax;
  let hash = 0;
  for (let at = bounds.start; at < end; at += WORD_BYTES) {
    const word = message.getInt32(at, true);
    hash = ((hash << 5) | (hash >>> 27)) ^ word;
    // Where the word has the byte, this has a byte of zero, and only below such a one does the subtraction borrow.
    const others = word ^ marks;
    if (((others - LOWEST_BITS) & ~others & HIGHEST_BITS) !== 0) break;
  }
  return hash;
}
