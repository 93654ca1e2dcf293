/** Owns: where the time comes from. Injected everywhere, so that tests hold it in their hands. */

/** A source of the current time, in milliseconds since the Unix epoch. */
export interface Clock {
  nowMs(): number;
}

/** The clock of this machine. */
export const systemClock: Clock = { nowMs: () => Date.now() };
