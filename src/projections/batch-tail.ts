/**
 * Owns: noticing what other processes have sealed: the tenants of every batch after the last one seen, per source.
 * Does not own: projecting them (projector.ts).
 * Invariants: nothing is missed: the batch numbers of a source are gapless and commit in order, because the cursor row is
 * locked while a batch is written (an identity column over all sources would not be: ids commit out of order).
 */
import type { StreamSource } from '../ledger/batch.js';
import type { LedgerReader } from '../ledger/ledger-reader.js';

/** Batches read per look-up, so that a long absence is caught up in bounded steps. */
const BATCHES_PER_LOOKUP = 20;

/** Follows the batch chains of all sources, or of some. */
export class BatchTail {
  readonly #reader: LedgerReader;
  readonly #follows: (source: StreamSource) => boolean;
  readonly #seen = new Map<string, number>();

  constructor(reader: LedgerReader, follows: (source: StreamSource) => boolean) {
    this.#reader = reader;
    this.#follows = follows;
  }

  /** Takes the chains as they are now for seen; what is not projected by then is for a sweep to find. Throws POSTGRES_*. */
  async start(): Promise<void> {
    for (const { source, batchNo } of await this.#reader.readCursors()) this.#seen.set(keyOf(source), batchNo);
  }

  /** Calls `mark` with the tenants of all batches sealed since the last call. Throws POSTGRES_*. */
  async advance(mark: (tenantIds: readonly string[]) => void): Promise<void> {
    for (const { source, batchNo } of await this.#reader.readCursors()) {
      if (!this.#follows(source)) continue;
      const seen = this.#seen.get(keyOf(source)) ?? 0;
      for (let from = seen; from < batchNo; from += BATCHES_PER_LOOKUP) {
        const to = Math.min(batchNo, from + BATCHES_PER_LOOKUP);
        mark(await this.#reader.tenantsOfBatches(source, from, to));
        this.#seen.set(keyOf(source), to);
      }
      if (batchNo < seen) this.#seen.set(keyOf(source), batchNo);
    }
  }
}

function keyOf({ topic, partition }: StreamSource): string {
  return `${topic}/${partition}`;
}
