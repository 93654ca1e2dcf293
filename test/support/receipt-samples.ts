/** Owns: receipts made of nothing but the pure core: a chain of batches over given entries, and anchors on it. */
import { type BatchFacts, CHAIN_GENESIS, seal, type SealedBatch } from '../../src/ledger/batch.js';
import { entryHash } from '../../src/ledger/canonical-entry.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import { merklePath } from '../../src/ledger/merkle-path.js';
import { merkleRoot, ROOT_OF_NONE } from '../../src/ledger/merkle.js';
import type { Anchor } from '../../src/reconciliation/anchor.js';
import { type Receipt, receiptOf } from '../../src/reconciliation/receipt.js';

const SOURCE = { topic: 'usage.completed', partition: 3 };
const NO_COUNTS = { charged: 0, openings: 0, duplicates: 0, superseded: 0, skipped: 0, unpriced: 0, deadLetters: 0 };

/** Where a receipt leads, and which entry it is for. */
export interface ReceiptSample {
  /** The entries of the batch; their positions are set here. */
  readonly entries: readonly LedgerEntry[];
  readonly leafIndex: number;
  /** Batches after that of the entry that the receipt has. */
  readonly links: number;
  /** Batches of the chain after those. */
  readonly beyond: number;
  readonly isAnchored: boolean;
  readonly replacement?: Anchor['replacement'];
}

/** Makes the receipt. */
export function sampleReceipt(sample: ReceiptSample): Receipt {
  const entries = sample.entries.map((entry, index) => ({
    ...entry,
    source: { ...SOURCE, kafkaOffset: BigInt(41 + index) },
  }));
  const leaves = entries.map(entryHash);
  const chain = sampleChain(leaves, sample.links + sample.beyond);
  const [batch] = chain;
  const tip = chain[sample.links]!;
  const head = chain[chain.length - 1]!;
  return receiptOf({
    issuedAt: '2026-03-16T08:00:00.000Z',
    entry: entries[sample.leafIndex]!,
    path: merklePath(leaves, sample.leafIndex),
    batch: batch!,
    links: chain.slice(1, sample.links + 1),
    head: { batchNo: head.batchNo, hash: head.hash.toString('hex') },
    anchor: sample.isAnchored ? sampleAnchor(tip, sample.replacement) : undefined,
  });
}

/** A chain that begins with the batch over the leaves, the seventh of its source. */
export function sampleChain(leaves: readonly string[], after: number): SealedBatch[] {
  const facts: BatchFacts = {
    source: SOURCE,
    batchNo: 7,
    batchId: 17,
    firstOffset: 41n,
    nextOffset: 41n + BigInt(leaves.length + 2),
    counts: { ...NO_COUNTS, charged: leaves.length, duplicates: 2 },
    merkleRoot: merkleRoot(leaves),
    asideRoot: ROOT_OF_NONE,
    prevHash: CHAIN_GENESIS,
    sealedAt: '2026-03-15T10:00:01.000Z',
  };
  const chain = [seal(facts)];
  for (let link = 1; link <= after; link += 1) {
    const before = chain[chain.length - 1]!;
    chain.push(
      seal({
        ...before,
        batchNo: before.batchNo + 1,
        batchId: before.batchId + 3,
        firstOffset: before.nextOffset,
        nextOffset: before.nextOffset + 1n,
        counts: { ...NO_COUNTS, deadLetters: 1 },
        merkleRoot: merkleRoot([]),
        prevHash: before.hash,
        sealedAt: `2026-03-15T10:00:${String(1 + link).padStart(2, '0')}.000Z`,
      }),
    );
  }
  return chain;
}

/** The anchor of a batch. */
export function sampleAnchor(batch: SealedBatch, replacement?: Anchor['replacement']): Anchor {
  const { source, batchNo, nextOffset, sealedAt } = batch;
  return {
    ...{ source, batchNo, hash: batch.hash.toString('hex'), nextOffset, sealedAt },
    ...{ anchoredAt: '2026-03-15T10:01:00.000Z', clusterId: 'cluster-1' },
    ...(replacement === undefined ? {} : { replacement }),
  };
}
