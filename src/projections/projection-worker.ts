/**
 * Owns: the running of projection in a process: following what is sealed elsewhere, sweeping for what was missed,
 * sweeping stale in-flight items, auditing now and then, and starting and stopping all of it.
 * Does not own: the projection (projection.ts, projector.ts), the audit (audit-rounds.ts).
 * Invariants: at start, and whenever Redis comes back, every hash is compared with its ledger; no two rounds overlap.
 */
import type { Redis } from 'ioredis';
import type { StreamSource } from '../ledger/batch.js';
import type { LedgerReader } from '../ledger/ledger-reader.js';
import { type ErrorCode, isTollbookError } from '../runtime/errors.js';
import { GrowingPause } from '../runtime/growing-pause.js';
import type { Logger } from '../runtime/logger.js';
import { BatchTail } from './batch-tail.js';
import type { InflightSweep } from './inflight-sweeper.js';
import type { Projector } from './projector.js';

/** What the worker runs on; times in milliseconds. */
export interface ProjectionWorkerOptions {
  readonly projector: Projector;
  readonly reader: LedgerReader;
  readonly redis: Redis;
  readonly logger: Logger;
  /** Which sources this process does not hear of by itself. */
  readonly follows: (source: StreamSource) => boolean;
  readonly sweepInflight: () => Promise<InflightSweep>;
  readonly sweepIntervalMs: number;
  /** Audits the next tenants. */
  readonly audit: () => Promise<void>;
  /** How often; 0 never. */
  readonly auditIntervalMs: number;
}

const TAIL_INTERVAL_MS = 200;
/** A round that fails comes again at its next turn, or later when the turns are close. */
const RETRY_PAUSES = { firstMs: 200, longestMs: 5_000 };

/** What passes by itself, and is told by whom it keeps from work. */
const PASSES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['POSTGRES_UNAVAILABLE', 'POSTGRES_CONFLICT', 'POSTGRES_LOCKED'] as const),
  ...(['REDIS_UNAVAILABLE', 'REDIS_FAILED'] as const),
]);

/** Runs projection until it is stopped. */
export class ProjectionWorker {
  readonly #options: ProjectionWorkerOptions;
  readonly #tail: BatchTail;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #onReady = (): void => void this.#quietly('sweep', () => this.#sweepHashes());
  #stopped = false;

  constructor(options: ProjectionWorkerOptions) {
    this.#options = options;
    this.#tail = new BatchTail(options.reader, options.follows);
  }

  /** Starts following, then compares every hash with its ledger. Throws POSTGRES_*. */
  async start(): Promise<void> {
    await this.#tail.start();
    this.#options.redis.on('ready', this.#onReady);
    this.#every(TAIL_INTERVAL_MS, 'tail', () =>
      this.#tail.advance((tenantIds) => this.#options.projector.mark(tenantIds)),
    );
    this.#every(this.#options.sweepIntervalMs, 'sweep', async () => {
      await this.#sweepHashes();
      await this.#sweepOverlay();
    });
    if (this.#options.auditIntervalMs > 0) this.#every(this.#options.auditIntervalMs, 'audit', this.#options.audit);
    void this.#quietly('sweep', () => this.#sweepHashes());
  }

  /** Notices what was sealed last, projects it and stops. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#options.redis.off('ready', this.#onReady);
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#quietly('tail', () => this.#tail.advance((tenantIds) => this.#options.projector.mark(tenantIds)));
    await this.#options.projector.stop();
  }

  async #sweepHashes(): Promise<void> {
    const found = await this.#options.projector.sweep();
    if (found > 0) this.#options.logger.info({ tenants: found }, 'sweep found hashes behind their ledger');
  }

  async #sweepOverlay(): Promise<void> {
    const swept = await this.#options.sweepInflight();
    if (swept.tenants > 0) this.#options.logger.warn(swept, 'sweep dropped stale in-flight items');
  }

  #every(intervalMs: number, what: string, round: () => Promise<void>): void {
    const pause = new GrowingPause(RETRY_PAUSES);
    const schedule = (delayMs: number): void => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        void this.#quietly(what, round).then((succeeded) => {
          if (succeeded) pause.reset();
          if (!this.#stopped) schedule(succeeded ? intervalMs : Math.max(intervalMs, pause.afterFailure()));
        });
      }, delayMs);
      this.#timers.add(timer);
    };
    schedule(intervalMs);
  }

  /** Runs a round; false when it failed and is to be repeated: the log tells why. */
  async #quietly(what: string, round: () => Promise<void>): Promise<boolean> {
    try {
      await round();
      return true;
    } catch (error) {
      const level = isTollbookError(error) && PASSES.has(error.code) ? 'debug' : 'error';
      this.#options.logger[level]({ err: error }, `projection: ${what} failed, to be repeated`);
      return false;
    }
  }
}
