/**
 * Owns: when tenants are projected: soon after their ledger moved, many per run, a hot tenant once per run.
 * Does not own: the projection itself (projection.ts), who tells it what moved (batch-tail.ts, the charge protocol).
 * Invariants: one run at a time; a tenant marked during a run is projected in the next; when Redis or PostgreSQL fails
 * the tenants stay marked and the run is repeated; the marks are bounded, and beyond the bound a sweep finds the rest.
 */
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import { faultPoint } from '../runtime/fault-points.js';
import { GrowingPause } from '../runtime/growing-pause.js';
import type { DropSpec } from '../lua/quota-scripts.js';
import type { LedgerAdvance } from '../ledger/ledger-reader.js';
import { CommittedFacts } from './committed-facts.js';
import { KnownVersions } from './known-versions.js';
import { type ProjectionPorts, projectTenants } from './projection.js';

/** What has been done since the start. */
export interface ProjectorStats {
  readonly projected: number;
  readonly failures: number;
  readonly ahead: number;
  /** Tenants marked and not yet projected. */
  readonly waiting: number;
}

/** The projector's settings. */
export interface ProjectorOptions extends ProjectionPorts {
  /** Called once when an error comes that no retry mends. */
  readonly onFatal: (error: TollbookError) => void;
  /** Called after every run with the version that the hash of each of its tenants now has; must not throw. */
  readonly onProjected?: (versions: readonly ProjectedVersion[]) => void;
}

/** A hash that equals its ledger at a version. */
export interface ProjectedVersion {
  readonly tenantId: string;
  readonly version: number;
}

/** Tenants in one run: one SQL statement and one pipeline of script calls. */
const RUN_TENANTS_MAX = 500;
/** Marks kept at most; a tenant name is about 100 bytes here, so about 10 MB. */
const MARKS_MAX = 100_000;
const RETRY_PAUSES = { firstMs: 250, longestMs: 4_000 };
const SWEEP_PAGE = 1_000;
/** Longest pause between runs while there is more to do; see `#restAfter`. */
const REST_MAX_MS = 100;
const STOP_WAIT_MAX_MS = 2_000;

/** Keeps quota hashes equal to the ledger. */
export class Projector {
  readonly #options: ProjectorOptions;
  readonly #known = new KnownVersions();
  readonly #committed = new CommittedFacts();
  readonly #marked = new Set<string>();
  readonly #idleWaiters: (() => void)[] = [];
  readonly #pause = new GrowingPause(RETRY_PAUSES);
  #running = false;
  #stopped = false;
  #needsSweep = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #projected = 0;
  #failures = 0;
  #ahead = 0;
  #isAway = false;

  constructor(options: ProjectorOptions) {
    this.#options = options;
  }

  /** Marks tenants whose ledger moved, and sees to it that they are projected soon. Never throws. */
  mark(tenantIds: readonly string[]): void {
    for (const tenantId of tenantIds) this.#marked.add(tenantId);
    if (this.#marked.size > MARKS_MAX) {
      this.#marked.clear();
      this.#needsSweep = true;
    }
    this.#schedule();
  }

  /** Marks tenants whose ledger this process has moved, and keeps what it knows of it. Never throws. */
  markAdvanced(advances: readonly LedgerAdvance[]): void {
    for (const advance of advances) this.#committed.add(advance);
    this.mark(advances.map(({ account }) => account.tenantId));
  }

  /** What has been done since the start. */
  stats(): ProjectorStats {
    const [projected, failures, ahead] = [this.#projected, this.#failures, this.#ahead];
    return { projected, failures, ahead, waiting: this.#marked.size };
  }

  /** Marks every tenant whose hash is not at its ledger's seq. Throws REDIS_*, POSTGRES_*. */
  async sweep(): Promise<number> {
    const { reader, scripts } = this.#options;
    let found = 0;
    for (let after = ''; ;) {
      const page = await reader.pageAccounts(after, SWEEP_PAGE);
      const versions = await scripts.versions(page.map(({ tenantId }) => tenantId));
      const stale = page.filter(({ seq }, index) => versions[index] !== seq).map(({ tenantId }) => tenantId);
      if (stale.length > 0) await faultPoint('sweep.compared');
      found += stale.length;
      this.#known.forget(stale);
      this.mark(stale);
      const last = page[page.length - 1];
      if (last === undefined || page.length < SWEEP_PAGE || this.#stopped) return found;
      after = last.tenantId;
      await this.idle();
    }
  }

  /** Drops in-flight items that will never reach the ledger, projecting their tenants on the way. */
  async drop(drops: ReadonlyMap<string, readonly DropSpec[]>): Promise<void> {
    const result = await projectTenants(this.#options, [...drops.keys()], { drops });
    this.mark(result.again);
  }

  /** Resolves when nothing is marked and no run is under way, or the projector has stopped. */
  async idle(): Promise<void> {
    if (this.#stopped || (!this.#running && this.#marked.size === 0)) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Projects what is marked, as far as it can be done within two seconds, and stops; a sweep finds the rest. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#wakeIdle(), STOP_WAIT_MAX_MS);
    if (!this.#isAway) await this.idle();
    clearTimeout(timer);
    this.#stopped = true;
    clearTimeout(this.#retryTimer);
    this.#wakeIdle();
  }

  #schedule(): void {
    if (this.#running || this.#stopped || this.#retryTimer !== undefined) return;
    if (this.#marked.size === 0 && !this.#needsSweep) {
      this.#wakeIdle();
      return;
    }
    this.#running = true;
    void this.#run().then((delayMs) => {
      this.#running = false;
      this.#scheduleLater(delayMs);
    });
  }

  #scheduleLater(delayMs: number): void {
    if (this.#stopped) return;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.#schedule();
    }, delayMs);
  }

  /** One run; returns how long to wait before the next, in milliseconds. Never rejects. */
  async #run(): Promise<number> {
    const startedMs = performance.now();
    const tenantIds = takeFrom(this.#marked, RUN_TENANTS_MAX);
    try {
      if (tenantIds.length > 0) {
        const committed = this.#committed.take(tenantIds);
        const result = await projectTenants({ ...this.#options, known: this.#known }, tenantIds, { committed });
        this.#projected += result.projected;
        this.#ahead += result.ahead.length;
        for (const tenantId of result.again) this.#marked.add(tenantId);
        this.#tellProjected(tenantIds);
      } else if (this.#needsSweep) {
        this.#needsSweep = false;
        void this.sweep().catch(() => void (this.#needsSweep = true));
      }
      if (this.#isAway) this.#options.logger.info('projection goes on');
      this.#isAway = false;
      this.#pause.reset();
      return this.#restAfter(performance.now() - startedMs);
    } catch (error) {
      for (const tenantId of tenantIds) this.#marked.add(tenantId);
      this.#noteFailure(error);
      return this.#pause.afterFailure();
    }
  }

  #tellProjected(tenantIds: readonly string[]): void {
    const { onProjected } = this.#options;
    if (onProjected === undefined) return;
    onProjected(
      tenantIds.flatMap((tenantId) => {
        const version = this.#known.get(tenantId);
        return version === undefined ? [] : [{ tenantId, version }];
      }),
    );
  }

  /** Under load, rests twice as long as it worked: marks of several chunks then cost one projection a tenant. */
  #restAfter(workedMs: number): number {
    return this.#marked.size === 0 ? 0 : Math.min(REST_MAX_MS, Math.ceil(2 * workedMs));
  }

  #noteFailure(error: unknown): void {
    this.#failures += 1;
    if (!isTollbookError(error) || error.disposition === 'halt') {
      this.#stopped = true;
      this.#options.onFatal(
        isTollbookError(error)
          ? error
          : new TollbookError('INVARIANT_BROKEN', 'projecting failed unexpectedly', { cause: error }),
      );
      return;
    }
    if (!this.#isAway) this.#options.logger.warn({ err: error }, 'projection waits');
    this.#isAway = true;
  }

  #wakeIdle(): void {
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }
}

/** Takes up to `max` members out of a set, oldest mark first. */
function takeFrom(marked: Set<string>, max: number): string[] {
  const taken: string[] = [];
  for (const tenantId of marked) {
    if (taken.length === max) break;
    taken.push(tenantId);
    marked.delete(tenantId);
  }
  return taken;
}
