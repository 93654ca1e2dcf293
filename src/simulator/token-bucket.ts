/**
 * Owns: the rate of publishing, as a token bucket.
 * Does not own: the waiting itself, so that it can be tested without any.
 * Invariants: over any time t no more than burst + rate × t messages are let through; the bucket may be overdrawn by one
 * batch, which the next one then waits for.
 */
import type { Clock } from '../runtime/clock.js';

/** A bucket that fills with `ratePerSecond` tokens a second, up to `burst`. */
export class TokenBucket {
  readonly #ratePerSecond: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;

  constructor({ ratePerSecond, burst, clock }: { ratePerSecond: number; burst: number; clock: Clock }) {
    this.#ratePerSecond = ratePerSecond;
    this.#burst = burst;
    this.#clock = clock;
    this.#tokens = burst;
    this.#filledAtMs = clock.nowMs();
  }

  /** Takes tokens for `count` messages and returns how many milliseconds to wait before sending them; 0 is at once. */
  take(count: number): number {
    const nowMs = this.#clock.nowMs();
    const gained = ((nowMs - this.#filledAtMs) / 1000) * this.#ratePerSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, gained)) - count;
    this.#filledAtMs = nowMs;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#ratePerSecond) * 1000;
  }
}
