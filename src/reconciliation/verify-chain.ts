/**
 * Owns: what must hold along the chains of batches: numbers without a gap, each batch naming the hash of the one before
 * it, offsets that continue each other, counts that fit, and the cursor at the end.
 * Does not own: reading the batches, nor their entries (chain-proof.ts).
 * Invariants: pure; memory is bounded by the number of chains; one fault gives few findings.
 */
import { batchHash, CHAIN_GENESIS, type SealedBatch, type StreamSource } from '../ledger/batch.js';
import type { Cursor } from '../ledger/ledger-store.js';
import type { AcceptedGap } from '../ledger/postgres/chain-rows.js';
import type { ProblemReport } from './verify-problem.js';

/** The end of a chain, as far as it has been followed. */
export interface ChainTip {
  readonly source: StreamSource;
  readonly batchNo: number;
  readonly head: Buffer;
  readonly nextOffset: bigint;
}

/** The name of a source in findings: `topic/partition`. */
export function sourceName({ topic, partition }: StreamSource): string {
  return `${topic}/${partition}`;
}

/** The name of a batch in findings. */
export function batchName({ source, batchNo }: Pick<SealedBatch, 'source' | 'batchNo'>): string {
  return `batch ${sourceName(source)}#${batchNo}`;
}

/** Follows the chains of many sources at once. */
export class ChainWalk {
  /** By source name. */
  readonly tips = new Map<string, ChainTip>();
  readonly #report: ProblemReport;
  readonly #gaps: ReadonlyMap<string, bigint>;

  constructor(gaps: readonly AcceptedGap[], report: ProblemReport) {
    this.#gaps = new Map(gaps.map(({ source, from, to }) => [`${sourceName(source)}@${from}`, to]));
    this.#report = report;
  }

  /** Takes the next batch of its chain. */
  add(batch: SealedBatch): void {
    const name = sourceName(batch.source);
    const tip = this.tips.get(name);
    this.#checkLink(batch, tip);
    this.#checkOffsets(batch, tip);
    const { source, batchNo, hash: head, nextOffset } = batch;
    this.tips.set(name, { source, batchNo, head, nextOffset });
  }

  /** Holds the cursors against the ends of their chains. */
  close(cursors: readonly Cursor[]): void {
    const left = new Map(this.tips);
    for (const cursor of cursors) {
      const name = sourceName(cursor.source);
      this.#checkCursor(cursor, left.get(name));
      left.delete(name);
    }
    for (const [name, { batchNo }] of left) this.#chain(`chain ${name} has ${batchNo} batches and no cursor`);
  }

  #checkLink(batch: SealedBatch, tip: ChainTip | undefined): void {
    const [before, head] = tip === undefined ? [0, CHAIN_GENESIS] : [tip.batchNo, tip.head];
    if (batch.batchNo !== before + 1) {
      this.#batch(
        batch,
        `follows batch ${before}: ${batch.batchNo > before ? 'a batch is missing' : 'it is out of order'}`,
      );
    } else if (!batch.prevHash.equals(head)) {
      this.#batch(batch, 'names another predecessor than the batch before it');
    }
    if (!batch.hash.equals(batchHash(batch))) this.#batch(batch, 'does not have the hash of its content');
  }

  #checkOffsets(batch: SealedBatch, tip: ChainTip | undefined): void {
    const { firstOffset, nextOffset } = batch;
    if (
      tip !== undefined &&
      firstOffset !== tip.nextOffset &&
      !this.#isAccepted(batch.source, tip.nextOffset, firstOffset)
    ) {
      const end = tip.nextOffset;
      const why = firstOffset < end ? 'which was covered before' : `and nobody accepted the loss from ${end} on`;
      this.#batch(batch, `starts at offset ${firstOffset}, ${why}`);
    }
    const messages = messagesOf(batch);
    if (messages > nextOffset - firstOffset) {
      this.#batch(batch, `counts ${messages} messages between offsets ${firstOffset} and ${nextOffset}`);
    }
  }

  /** Whether the offsets from one to another were lost with somebody's consent, in one gap or in several. */
  #isAccepted(source: StreamSource, from: bigint, to: bigint): boolean {
    let at = from;
    for (let next = this.#gaps.get(`${sourceName(source)}@${at}`); next !== undefined && at < to;) {
      at = next;
      next = this.#gaps.get(`${sourceName(source)}@${at}`);
    }
    return at === to;
  }

  #checkCursor(cursor: Cursor, tip: ChainTip | undefined): void {
    const name = sourceName(cursor.source);
    const [batches, head] = tip === undefined ? [0, CHAIN_GENESIS] : [tip.batchNo, tip.head];
    if (cursor.batchNo !== batches) {
      this.#chain(`the cursor of ${name} counts ${cursor.batchNo} batches, the chain has ${batches}`);
    }
    if (!cursor.head.equals(head)) {
      this.#chain(`the cursor of ${name} names another head than the last batch of the chain`);
    }
    if (tip === undefined || cursor.nextOffset === tip.nextOffset) return;
    if (this.#isAccepted(cursor.source, tip.nextOffset, cursor.nextOffset)) return;
    this.#chain(`the cursor of ${name} is at ${cursor.nextOffset}, the last batch ends at ${tip.nextOffset}`);
  }

  #batch(batch: SealedBatch, what: string): void {
    this.#report({ kind: 'batch', message: `${batchName(batch)} ${what}` });
  }

  #chain(message: string): void {
    this.#report({ kind: 'chain', message });
  }
}

function messagesOf({ counts }: SealedBatch): number {
  const { openings: _openings, ...messages } = counts;
  return Object.values(messages).reduce((sum, count) => sum + count, 0);
}
