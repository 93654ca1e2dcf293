/**
 * Owns: the sweep for holds past their time: when it runs, in which portions, and what it does when it cannot.
 * Does not own: what becomes of a hold (ledger/expiry.ts).
 * Invariants: rounds never overlap; a portion is of one command stream and bounded, so that no account is locked for
 * long; any number of processes may sweep at once: the stream's cursor orders them, and a hold that another one settled
 * is left out; a sweep looks at the holds that were due when it began, so it ends; the timer never throws.
 */
import type { StreamSource } from '../ledger/batch.js';
import { commandSource } from '../ledger/commands/command-stream.js';
import { type DueHold, type DueHolds, expireHolds } from '../ledger/expiry.js';
import type { LedgerStore } from '../ledger/ledger-store.js';
import type { Clock } from '../runtime/clock.js';
import { type ErrorCode, isTollbookError, TollbookError } from '../runtime/errors.js';
import { faultPoint } from '../runtime/fault-points.js';
import type { Logger } from '../runtime/logger.js';

/** What the sweep works with; times in milliseconds. */
export interface HoldExpiryOptions {
  readonly store: LedgerStore;
  readonly dueHolds: DueHolds;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly intervalMs: number;
  /** Called after each commit with the tenants whose ledger moved; must not throw. */
  readonly wakeProjector: (tenantIds: readonly string[]) => void;
  /** Called when an error comes that no retry mends; the sweep has then stopped. */
  readonly onFatal: (error: TollbookError) => void;
}

/** What one sweep did. */
export interface HoldSweep {
  /** EXPIRED entries booked. */
  readonly expired: number;
  /** Database transactions they were booked in. */
  readonly batches: number;
  /** Portions that lost against a concurrent writer and wait for the next sweep. */
  readonly contended: number;
}

/** Holds read at once: about 1.5 kB each. Spread over the 16 command streams, 2,000 made portions too small: a third slower. */
const HOLDS_READ_MAX = 4_000;
/** Holds in one database transaction: their accounts stay locked for some 50 to 100 ms. */
const HOLDS_BOOKED_MAX = 500;
/** Somebody else is at the holds, or in the way: the next sweep finds what is left. */
const LOST_AGAINST_OTHERS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'FENCED',
  'POSTGRES_CONFLICT',
  'POSTGRES_LOCKED',
]);

/** Expires holds until it is stopped. */
export class HoldExpiry {
  readonly #options: HoldExpiryOptions;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #stopped = false;
  #isAway = false;

  constructor(options: HoldExpiryOptions) {
    this.#options = options;
  }

  /** Sweeps every `intervalMs` from now on, the first time after one interval. */
  start(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#runRound().then(() => this.start());
    }, this.#options.intervalMs);
  }

  /** Finishes the portion under way and stops. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#round;
  }

  /** Expires what is due now, once. Throws POSTGRES_*. */
  async sweep(): Promise<HoldSweep> {
    const nowMs = this.#options.clock.nowMs();
    let total: HoldSweep = { expired: 0, batches: 0, contended: 0 };
    for (;;) {
      const due = await this.#options.dueHolds.readDue(nowMs, HOLDS_READ_MAX);
      if (due.length > 0) await faultPoint('expiry.found');
      const before = total;
      for (const portion of portionsOf(due)) {
        if (this.#stopped) return total;
        total = added(total, await this.#expire(portion));
      }
      // Where none was expired, others are at it or in the way: reading the same holds again would not help.
      if (due.length < HOLDS_READ_MAX || total.expired === before.expired) return total;
    }
  }

  async #expire({ source, holds }: Portion): Promise<HoldSweep> {
    const { store, clock, logger, wakeProjector } = this.#options;
    try {
      const { expired, tenantIds } = await expireHolds({ store, clock }, source, holds);
      if (expired > 0) await faultPoint('expiry.booked');
      if (expired > 0) wakeProjector(tenantIds);
      return { expired, batches: expired > 0 ? 1 : 0, contended: 0 };
    } catch (error) {
      if (!isTollbookError(error) || !LOST_AGAINST_OTHERS.has(error.code)) throw error;
      logger.debug({ err: error, ...source }, 'expiring holds lost against another writer');
      return { expired: 0, batches: 0, contended: 1 };
    }
  }

  /** Never rejects. */
  async #runRound(): Promise<void> {
    const { logger } = this.#options;
    try {
      const swept = await this.sweep();
      if (swept.expired > 0) logger.info(swept, 'holds expired');
      if (this.#isAway) logger.info('holds are looked after again');
      this.#isAway = false;
    } catch (error) {
      this.#noteFailure(error);
    }
  }

  #noteFailure(error: unknown): void {
    const { logger, onFatal } = this.#options;
    if (!isTollbookError(error) || error.disposition === 'halt') {
      this.#stopped = true;
      onFatal(
        isTollbookError(error)
          ? error
          : new TollbookError('INVARIANT_BROKEN', 'expiring holds failed unexpectedly', { cause: error }),
      );
      return;
    }
    if (!this.#isAway) logger.warn({ err: error }, 'expiring holds waits');
    this.#isAway = true;
  }
}

/** Holds of one command stream that are expired in one database transaction. */
interface Portion {
  readonly source: StreamSource;
  readonly holds: readonly DueHold[];
}

/** Cuts holds into portions, keeping the order within a stream. */
function portionsOf(due: readonly DueHold[]): Portion[] {
  const open = new Map<number, Portion & { readonly holds: DueHold[] }>();
  const portions: Portion[] = [];
  for (const hold of due) {
    const source = commandSource(hold.entry.tenantId);
    let portion = open.get(source.partition);
    if (portion === undefined || portion.holds.length === HOLDS_BOOKED_MAX) {
      portion = { source, holds: [] };
      open.set(source.partition, portion);
      portions.push(portion);
    }
    portion.holds.push(hold);
  }
  return portions;
}

function added(left: HoldSweep, right: HoldSweep): HoldSweep {
  return {
    expired: left.expired + right.expired,
    batches: left.batches + right.batches,
    contended: left.contended + right.contended,
  };
}
