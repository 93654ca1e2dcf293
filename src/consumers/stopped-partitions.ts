/**
 * Owns: the partitions that could not be charged: since when and why, when each is tried again, and what the log says.
 * Does not own: pausing, seeking and charging (usage-consumer.ts), nor what an error means (runtime/errors.ts).
 * Invariants:
 * - A chunk that is in work for too long counts as a stop as well: nobody has failed yet, and nothing is charged.
 * - A stopped partition is always tried again by itself, whatever its error was; no error stops it for ever.
 * - It counts as stopped until something of it was charged, or its cursor has moved past what failed.
 * - `sinceMs` is when it first failed, however often it has failed since.
 * - The log has one WARN per stop and code, then one ERROR per alarm interval, then one INFO when it continues.
 */
import { sourceName, type StreamSource } from '../ledger/batch.js';
import type { Clock } from '../runtime/clock.js';
import { type Disposition, ERROR_CODES, type ErrorCode, TollbookError } from '../runtime/errors.js';
import type { Logger } from '../runtime/logger.js';

/** A partition that cannot be charged now. */
export interface StoppedPartition {
  readonly source: StreamSource;
  readonly code: ErrorCode;
  readonly message: string;
  readonly sinceMs: number;
  readonly lastTriedAtMs: number;
  /** How often it has failed since it stopped; at least 1. */
  readonly attempts: number;
}

/** How soon stopped partitions are tried again, and how soon somebody is alarmed. */
export interface StopTiming {
  /** Longest pause between two attempts, in milliseconds. */
  readonly retryPauseMaxMs: number;
  /** How long a partition stands before the log says ERROR, and how often it says so again, in milliseconds. */
  readonly alarmAfterMs: number;
}

/** What the stopped partitions work with. */
export interface StoppedPartitionsOptions extends StopTiming {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tries a partition again; must not throw. */
  readonly tryAgain: (source: StreamSource) => void;
}

interface Stop extends StoppedPartition {
  /** The first offset of the chunk that failed; undefined when its position could not be found. */
  readonly failedOffset: bigint | undefined;
  /** Undefined while an attempt is in work. */
  readonly retryTimer: NodeJS.Timeout | undefined;
  readonly alarmTimer: NodeJS.Timeout;
}

interface Failure {
  readonly firstOffset: bigint | undefined;
  /** When the attempt began that has failed. */
  readonly beganMs: number;
  /** Whether it is tried again: not while it is still in work. */
  readonly retries: boolean;
}

/** How long a chunk may be in work before its partition counts as stopped: more than the slowest of a sound ledger takes. */
export const STALLED_AFTER_MS = 5_000;

/** The pause after the first failure, in milliseconds; each further one is twice as long, up to the longest. */
const FIRST_PAUSE_MS: Readonly<Record<Disposition, number>> = {
  retry: 500,
  abandon: 500,
  deadLetter: 10_000,
  halt: 10_000,
};

/** Remembers stopped partitions and tries them again; bounded by the partitions assigned. */
export class StoppedPartitions {
  readonly #options: StoppedPartitionsOptions;
  readonly #stops = new Map<string, Stop>();
  /** What will tell that the chunk in work takes too long, by partition. */
  readonly #stallTimers = new Map<string, NodeJS.Timeout>();
  #assigned: ReadonlySet<string> = new Set();

  constructor(options: StoppedPartitionsOptions) {
    this.#options = options;
  }

  /** Notes that a chunk is in work, until its partition is charged or stops. */
  begin(source: StreamSource, firstOffset: bigint | undefined): void {
    const key = sourceName(source);
    clearTimeout(this.#stallTimers.get(key));
    const beganMs = this.#options.clock.nowMs();
    const stall = (): void => {
      const message = `a chunk of ${key} has been in work for more than ${STALLED_AFTER_MS / 1000} seconds`;
      this.#note(source, new TollbookError('CHARGE_STALLED', message), { firstOffset, beganMs, retries: false });
    };
    this.#stallTimers.set(key, setTimeout(stall, STALLED_AFTER_MS));
  }

  /** Notes that a chunk is no longer in work, without a result. */
  end(source: StreamSource): void {
    clearTimeout(this.#stallTimers.get(sourceName(source)));
  }

  /** Notes that a partition failed, and sets the time of its next attempt; ignored when it is no longer assigned. */
  stop(source: StreamSource, error: TollbookError, firstOffset?: bigint): void {
    this.end(source);
    this.#note(source, error, { firstOffset, beganMs: this.#options.clock.nowMs(), retries: true });
  }

  #note(source: StreamSource, error: TollbookError, { firstOffset, beganMs, retries }: Failure): void {
    const key = sourceName(source);
    if (!this.#assigned.has(key)) return;
    const before = this.#stops.get(key);
    clearTimeout(before?.retryTimer);
    const attempts = (before?.attempts ?? 0) + (before?.code === 'CHARGE_STALLED' ? 0 : 1);
    const pauseMs = this.#pauseMs(error.disposition, attempts);
    const stop: Stop = {
      source,
      code: error.code,
      message: error.message,
      sinceMs: before?.sinceMs ?? beganMs,
      lastTriedAtMs: beganMs,
      attempts,
      failedOffset: firstOffset ?? before?.failedOffset,
      retryTimer: retries ? setTimeout(() => this.#options.tryAgain(source), pauseMs) : undefined,
      alarmTimer: before?.alarmTimer ?? setInterval(() => this.#alarm(key), this.#options.alarmAfterMs),
    };
    this.#stops.set(key, stop);
    if (before?.code !== error.code) this.#warn(stop, error);
  }

  /** Notes that a partition is read from a position: it continues, unless the chunk that failed comes next. */
  positionFound(source: StreamSource, position: bigint): void {
    const failedOffset = this.#stops.get(sourceName(source))?.failedOffset;
    if (failedOffset === undefined || position > failedOffset) this.charged(source);
  }

  /** Notes that something of a partition was charged: it continues. */
  charged(source: StreamSource): void {
    this.end(source);
    if (this.#stops.size === 0) return;
    const stop = this.#take(sourceName(source));
    if (stop === undefined) return;
    const { code, attempts, sinceMs } = stop;
    const stoodS = Math.round(this.#options.clock.nowMs() - sinceMs) / 1_000;
    this.#options.logger.info({ ...source, code, attempts, stoodS }, 'partition continues');
  }

  /** Takes what is assigned now: other partitions are forgotten, ours stay stopped and are tried again by their new look-up. */
  assign(sources: readonly StreamSource[]): void {
    this.pauseAttempts();
    for (const timer of this.#stallTimers.values()) clearTimeout(timer);
    this.#assigned = new Set(sources.map(sourceName));
    for (const key of [...this.#stops.keys()]) if (!this.#assigned.has(key)) this.#take(key);
  }

  /** Tries none again for now: there is no member of the group that could. */
  pauseAttempts(): void {
    for (const { retryTimer } of this.#stops.values()) clearTimeout(retryTimer);
  }

  /** Forgets all: the process stops. */
  clear(): void {
    this.assign([]);
  }

  /** The partitions that are stopped now, the one that stopped first first. */
  list(): readonly StoppedPartition[] {
    return [...this.#stops.values()].sort((left, right) => left.sinceMs - right.sinceMs);
  }

  #take(key: string): Stop | undefined {
    const stop = this.#stops.get(key);
    clearTimeout(stop?.retryTimer);
    clearInterval(stop?.alarmTimer);
    this.#stops.delete(key);
    return stop;
  }

  #pauseMs(disposition: Disposition, attempts: number): number {
    return Math.min(FIRST_PAUSE_MS[disposition] * 2 ** (attempts - 1), this.#options.retryPauseMaxMs);
  }

  /** A stack is of use where the code is wrong, and only once. */
  #warn({ source, code, message, attempts }: Stop, error: TollbookError): void {
    const isOurs = code === 'INVARIANT_BROKEN';
    const facts = { ...source, attempts, err: isOurs ? error : { code, message } };
    const what = error.disposition === 'halt' ? 'an operator must act' : 'it passes by itself when its cause does';
    this.#options.logger.warn(facts, `partition stopped: ${what}; it is tried again and again`);
  }

  #alarm(key: string): void {
    const stop = this.#stops.get(key);
    if (stop === undefined) return;
    const { source, code, message, attempts, sinceMs } = stop;
    const since = new Date(sinceMs).toISOString();
    const facts = { ...source, code, since, attempts, remedy: ERROR_CODES[code].remedy, err: { code, message } };
    this.#options.logger.error(facts, 'partition is still stopped: nothing of it is charged');
  }
}
