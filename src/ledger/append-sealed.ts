/**
 * Owns: sealing what a chunk or a command writes on top of its source's cursor: the last step before the commit.
 * Invariants: entries are hashed in the order given, which is (kafka offset, seq); the batch id is drawn while the
 * account locks are held; the batch continues the chain that the cursor names.
 */
import { type BatchCounts, seal, type SealedBatch } from './batch.js';
import { hashed, type HashedEntry, type LedgerEntry } from './entry.js';
import type { Cursor, LedgerAppend, LedgerTransaction } from './ledger-store.js';
import { merkleRoot } from './merkle.js';

/** What a batch writes, before it is sealed. */
export type BatchContent = Omit<LedgerAppend, 'batch' | 'cursorBefore' | 'entries'> & {
  readonly counts: BatchCounts;
  /** In the order of the tree: by (kafka offset, seq). */
  readonly entries: readonly LedgerEntry[];
};

/** Seals the content and appends it, advancing the cursor to `nextOffset`. Throws FENCED. */
export async function appendSealed(
  transaction: LedgerTransaction,
  content: BatchContent,
  { cursor, nextOffset, sealedAtMs }: { cursor: Cursor; nextOffset: bigint; sealedAtMs: number },
): Promise<SealedBatch> {
  const batchId = await transaction.drawBatchId();
  const { counts, entries: unhashed, ...written } = content;
  const entries = unhashed.map(hashed);
  const batch = seal({
    source: cursor.source,
    batchNo: cursor.batchNo + 1,
    batchId,
    firstOffset: cursor.nextOffset,
    nextOffset,
    counts,
    merkleRoot: merkleRoot(entries.map(leafOf)),
    prevHash: cursor.head,
    sealedAt: new Date(sealedAtMs).toISOString(),
  });
  await transaction.append({ ...written, batch, cursorBefore: cursor, entries });
  return batch;
}

function leafOf({ hashHex }: HashedEntry): string {
  return hashHex;
}
