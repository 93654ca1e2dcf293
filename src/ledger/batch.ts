/**
 * Owns: the sealed batch: one row per committed chunk, and the hash that chains it to the batch before it.
 * Does not own: the entries it covers (merkle.ts makes their root), nor its storage.
 * Invariants: one chain per stream source; batch_no is gapless from 1; the counts add up to the messages in the range;
 * the hash covers everything in the row but itself.
 */
import { hash } from 'node:crypto';

/** One partition of one topic: the unit of order, of the cursor and of the batch chain. */
export interface StreamSource {
  readonly topic: string;
  readonly partition: number;
}

/** The name of a source, in keys of maps and for people: `topic/partition`. */
export function sourceName({ topic, partition }: StreamSource): string {
  return `${topic}/${partition}`;
}

/** What became of the messages of a batch: their sum, but for `openings`, is the number of messages. */
export interface BatchCounts {
  /** Messages that became a usage entry, or commands that became an entry. */
  readonly charged: number;
  /** Entries that open an account for a tenant seen for the first time; not messages. */
  readonly openings: number;
  readonly duplicates: number;
  /** Pending events that came after their trace had ended. */
  readonly superseded: number;
  readonly skipped: number;
  readonly unpriced: number;
  readonly deadLetters: number;
}

/** A batch before it is sealed. Offsets: `firstOffset` ≤ every message < `nextOffset`. */
export interface BatchFacts {
  readonly source: StreamSource;
  readonly batchNo: number;
  /** Drawn while the account locks are held: of two batches that share a tenant, the lower id was charged first. */
  readonly batchId: number;
  readonly firstOffset: bigint;
  readonly nextOffset: bigint;
  readonly counts: BatchCounts;
  /** RFC 6962 root over the entry hashes, ordered by (kafka offset, seq). */
  readonly merkleRoot: Buffer;
  /** Root over what the batch sets aside: set-aside.ts. */
  readonly asideRoot: Buffer;
  readonly prevHash: Buffer;
  readonly sealedAt: string;
}

/** What each entry of a batch carries of it: known before the batch is sealed. */
export type BatchStamp = Pick<BatchFacts, 'batchId' | 'sealedAt'>;

/** A sealed batch. */
export interface SealedBatch extends BatchFacts {
  readonly hash: Buffer;
}

/** What the first batch of a chain names as its predecessor: 32 zero bytes. */
export const CHAIN_GENESIS = Buffer.alloc(32);

const BATCH_DOMAIN = 'tollbook.batch.v1';

/** The canonical form of a batch: the text of a JSON array of strings. */
export function canonicalBatch(batch: BatchFacts): string {
  const { counts } = batch;
  return JSON.stringify([
    BATCH_DOMAIN,
    batch.source.topic,
    String(batch.source.partition),
    String(batch.batchNo),
    String(batch.batchId),
    batch.firstOffset.toString(),
    batch.nextOffset.toString(),
    String(counts.charged),
    String(counts.openings),
    String(counts.duplicates),
    String(counts.superseded),
    String(counts.skipped),
    String(counts.unpriced),
    String(counts.deadLetters),
    batch.merkleRoot.toString('hex'),
    batch.asideRoot.toString('hex'),
    batch.prevHash.toString('hex'),
    batch.sealedAt,
  ]);
}

/** SHA-256 (32 bytes) of the canonical form in UTF-8. */
export function batchHash(batch: BatchFacts): Buffer {
  return hash('sha256', canonicalBatch(batch), 'buffer');
}

/** Seals a batch with its hash. */
export function seal(batch: BatchFacts): SealedBatch {
  return { ...batch, hash: batchHash(batch) };
}
