/**
 * Owns: the row locks of a simulated database: who holds what, who waits for whom, and that a circle of waiters is noticed.
 * Invariants: a lock is held by one session at a time, until it is released; a session that would close a circle fails with
 * POSTGRES_CONFLICT, as PostgreSQL lets one of them fail.
 */
import { TollbookError } from '../../src/runtime/errors.js';
import type { StepScheduler } from './step-scheduler.js';

/** Who locks. */
export interface LockHolder {
  /** Throws when the session is over. */
  assertOpen(): void;
}

const NOTHING: ReadonlySet<string> = new Set();

/** Locks by row. */
export class RowLocks {
  readonly #scheduler: StepScheduler;
  readonly #holders = new Map<string, LockHolder>();
  readonly #waiters = new Map<LockHolder, string>();
  #deadlocks = 0;

  constructor(scheduler: StepScheduler) {
    this.#scheduler = scheduler;
  }

  /** How many circles were noticed. */
  get deadlocks(): number {
    return this.#deadlocks;
  }

  /** Resolves when the holder has the lock; one step at least. Throws POSTGRES_CONFLICT, POSTGRES_UNAVAILABLE. */
  async lock(holder: LockHolder, row: string): Promise<void> {
    if (this.#closesCircle(holder, row)) {
      this.#deadlocks += 1;
      throw new TollbookError('POSTGRES_CONFLICT', `deadlock at ${row}`);
    }
    this.#waiters.set(holder, row);
    await this.#scheduler.step(() => (this.#holders.get(row) ?? holder) === holder);
    this.#waiters.delete(holder);
    holder.assertOpen();
    this.#holders.set(row, holder);
  }

  /** Releases one row. */
  unlock(row: string): void {
    this.#holders.delete(row);
  }

  /** Releases what a holder has, but for the rows it keeps. */
  release(holder: LockHolder, kept: ReadonlySet<string> = NOTHING): void {
    for (const [row, held] of this.#holders) if (held === holder && !kept.has(row)) this.#holders.delete(row);
  }

  /** Releases all that a holder has, and forgets what it waits for. */
  forget(holder: LockHolder): void {
    this.release(holder);
    this.#waiters.delete(holder);
  }

  #closesCircle(holder: LockHolder, row: string): boolean {
    const passed = new Set<string>();
    for (let wanted: string | undefined = row; wanted !== undefined && !passed.has(wanted);) {
      passed.add(wanted);
      const held: LockHolder | undefined = this.#holders.get(wanted);
      if (held === undefined) return false;
      if (held === holder) return wanted !== row;
      wanted = this.#waiters.get(held);
    }
    return false;
  }
}
