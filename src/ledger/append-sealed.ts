/**
 * Owns: sealing what a chunk or a command writes on top of its source's cursor: the last step before the commit.
 * Invariants: entries are hashed in the order given, which is (kafka offset, seq); the batch id is drawn while the
 * account locks are held; the batch continues the chain that the cursor names.
 */
import { type BatchCounts, seal, type SealedBatch } from './batch.js';
import { entryHash } from './entry.js';
import type { Cursor, LedgerAppend, LedgerTransaction } from './ledger-store.js';
import { merkleRoot } from './merkle.js';

/** What a batch writes, before it is sealed. */
export type BatchContent = Omit<LedgerAppend, 'batch' | 'cursorBefore' | 'entryHashes'> & { readonly counts: BatchCounts };

/** Seals the content and appends it, advancing the cursor to `nextOffset`. Throws FENCED. */
export async function appendSealed(
  transaction: LedgerTransaction,
  content: BatchContent,
  { cursor, nextOffset, sealedAtMs }: { cursor: Cursor; nextOffset: bigint; sealedAtMs: number },
): Promise<SealedBatch> {
  const entryHashes = content.entries.map(entryHash);
  const batch = seal({
    source: cursor.source,
    batchNo: cursor.batchNo + 1,
    batchId: await transaction.drawBatchId(),
    firstOffset: cursor.nextOffset,
    nextOffset,
    counts: content.counts,
    merkleRoot: merkleRoot(entryHashes),
    prevHash: cursor.head,
    sealedAt: new Date(sealedAtMs).toISOString(),
  });
  const { entries, accounts, holdsOpened, holdsClosed, deadLetters, skipped, unpriced } = content;
  await transaction.append({
    batch,
    cursorBefore: cursor,
    entries,
    entryHashes,
    accounts,
    holdsOpened,
    holdsClosed,
    deadLetters,
    skipped,
    unpriced,
  });
  return batch;
}
