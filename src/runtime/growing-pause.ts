/**
 * Owns: how long to wait between attempts at what keeps failing: twice as long each time, up to a bound.
 * Invariants: a random half of each pause is left out, so that processes which failed together do not come back together.
 */

/** Bounds of the pauses, in milliseconds. */
export interface PauseBounds {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Counts failures and tells the pause after each. */
export class GrowingPause {
  readonly #bounds: PauseBounds;
  readonly #random: () => number;
  #failures = 0;

  constructor(bounds: PauseBounds, random: () => number = Math.random) {
    this.#bounds = bounds;
    this.#random = random;
  }

  /** Notes a failure; returns the pause before the next attempt, in milliseconds. */
  afterFailure(): number {
    const { firstMs, longestMs } = this.#bounds;
    const wholeMs = Math.min(longestMs, firstMs * 2 ** this.#failures);
    this.#failures += 1;
    return Math.round(wholeMs * (1 - this.#random() / 2));
  }

  /** Notes a success: the next pause is the first again. */
  reset(): void {
    this.#failures = 0;
  }
}
