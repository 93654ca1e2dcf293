/**
 * Owns: repeatable randomness: the sfc32 generator (Chris Doty-Humphrey's Small Fast Counting, PractRand), and the
 * derivation of independent generators from one seed, by purpose and number.
 * Does not own: anything secret; this is no source of keys.
 * Invariants: the same seed, purpose and number give the same sequence on every machine, in whatever order they are asked.
 */
import { createHash } from 'node:crypto';

const UINT32_SPAN = 0x1_0000_0000;
/** Rounds after which sfc32 has mixed its seed into every bit (its author uses 12 for a full seed, 15 for a sparse one). */
const WARM_UP_ROUNDS = 15;

/** A sequence of pseudo-random numbers that its seed words determine. */
export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Starts the sequence of three 32-bit seed words. */
  constructor(a: number, b: number, c: number) {
    this.#a = a | 0;
    this.#b = b | 0;
    this.#c = c | 0;
    for (let round = 0; round < WARM_UP_ROUNDS; round += 1) this.uint32();
  }

  /** Returns the next integer of 0 to 2^32 − 1. */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Returns the next number of [0, 1), with 32 bits. */
  fraction(): number {
    return this.uint32() / UINT32_SPAN;
  }

  /** Returns the next integer of 0 to `bound` − 1; `bound` is 1 to 2^32. */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  /** Returns the next element of a list that is not empty. */
  pick<T>(list: readonly [T, ...T[]]): T {
    return list[this.below(list.length)] ?? list[0];
  }
}

/** Derives independent generators from one seed: `purpose` separates uses, `number` the instances of one use. */
export type RandomSource = (purpose: RandomPurpose, number: number) => SeededRandom;

const PURPOSES = ['request', 'population', 'arrival', 'poison', 'repeat'] as const;

/** What a generator is drawn for; two purposes never share numbers. */
export type RandomPurpose = (typeof PURPOSES)[number];

/** Makes the source of generators of a seed; any text is a seed. */
export function randomSource(seed: string): RandomSource {
  const digest = createHash('sha256').update(seed).digest();
  const words = PURPOSES.map(
    (_, place) => [digest.readInt32LE(place * 4), digest.readInt32LE(28 - place * 4)] as const,
  );
  return (purpose, number) => {
    const [first, second] = words[PURPOSES.indexOf(purpose)] ?? [0, 0];
    return new SeededRandom(first, second ^ PURPOSES.indexOf(purpose), number);
  };
}
