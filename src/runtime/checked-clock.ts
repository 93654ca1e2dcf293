/**
 * Owns: a clock that refuses to tell a time that is known to be wrong: one that differs from the database's by more than a
 * bound.
 * Does not own: asking the database (postgres-time.ts), nor what waits meanwhile: CLOCK_SKEWED passes by itself.
 * Why the database: it is the one clock that all processes of a ledger share, and it orders what they record.
 * Invariants: a step is noticed by the next reading, without a request, since the time that has passed is taken from the
 * monotonic clock; a difference that the round trip could explain is none; while the database does not answer, the last
 * comparison stands.
 */
import type { Clock } from './clock.js';
import { isTollbookError, TollbookError } from './errors.js';

/** What the clock works with; times in milliseconds. */
export interface CheckedClockOptions {
  /** The clock of this machine. */
  readonly local: Clock;
  /** A clock that never steps; its zero means nothing. */
  readonly monotonicMs: () => number;
  /** Asks the database for its time. */
  readonly readDatabaseMs: () => Promise<number>;
  /** How far apart the clocks may be. */
  readonly skewMaxMs: number;
  readonly intervalMs?: number;
}

const INTERVAL_MS = 10_000;
/** A step of the clock is compared at once, but not with every reading. */
const RECHECK_AFTER_MS = 1_000;

/** A comparison with the database. */
interface Comparison {
  /** The time of the database less that of the monotonic clock. */
  readonly databaseAheadMs: number;
  /** Half of the round trip: how wrong that may be. */
  readonly uncertainMs: number;
  readonly atMs: number;
}

/** A clock that is held against that of the database. */
export class CheckedClock implements Clock {
  readonly #options: CheckedClockOptions;
  #comparison: Comparison | undefined;
  #timer: NodeJS.Timeout | undefined;
  #underWay: Promise<void> | undefined;

  constructor(options: CheckedClockOptions) {
    this.#options = options;
  }

  /** Milliseconds since the Unix epoch. Throws CLOCK_SKEWED. */
  nowMs(): number {
    const { local, monotonicMs } = this.#options;
    const nowMs = local.nowMs();
    const problem = this.#problemAt(nowMs);
    if (problem === undefined) return nowMs;
    if (monotonicMs() - (this.#comparison?.atMs ?? 0) > RECHECK_AFTER_MS) void this.#compareQuietly();
    throw problem;
  }

  /** Compares the clocks now. Throws CLOCK_SKEWED, POSTGRES_*. */
  async check(): Promise<void> {
    await this.#compare();
    const problem = this.#problemAt(this.#options.local.nowMs());
    if (problem !== undefined) throw problem;
  }

  /** Compares again and again from now on; returns how to end that. */
  watch(): () => Promise<void> {
    this.#timer = setInterval(() => void this.#compareQuietly(), this.#options.intervalMs ?? INTERVAL_MS);
    return async () => {
      clearInterval(this.#timer);
      await this.#underWay;
    };
  }

  #problemAt(nowMs: number): TollbookError | undefined {
    const { monotonicMs, skewMaxMs } = this.#options;
    if (this.#comparison === undefined) return undefined;
    const { databaseAheadMs, uncertainMs } = this.#comparison;
    const skewMs = Math.round(nowMs - (monotonicMs() + databaseAheadMs));
    if (Math.abs(skewMs) <= skewMaxMs + uncertainMs) return undefined;
    const how = skewMs > 0 ? 'ahead of' : 'behind';
    return new TollbookError(
      'CLOCK_SKEWED',
      `the clock of this machine is ${Math.abs(skewMs) / 1_000} s ${how} that of PostgreSQL; ` +
        `allowed: ${skewMaxMs / 1_000} s (TOLLBOOK_CLOCK_SKEW_MAX_MS)`,
      { context: { skewMs, skewMaxMs } },
    );
  }

  async #compare(): Promise<void> {
    const { monotonicMs, readDatabaseMs } = this.#options;
    const sentMs = monotonicMs();
    const databaseMs = await readDatabaseMs();
    const atMs = monotonicMs();
    const uncertainMs = (atMs - sentMs) / 2;
    this.#comparison = { databaseAheadMs: databaseMs - (sentMs + uncertainMs), uncertainMs, atMs };
  }

  /** Never rejects but for a bug. A database that is away is told by whoever needs it. */
  #compareQuietly(): Promise<void> {
    this.#underWay ??= this.#compare()
      .catch((error: unknown) => {
        if (!isTollbookError(error)) throw error;
      })
      .finally(() => (this.#underWay = undefined));
    return this.#underWay;
  }
}
