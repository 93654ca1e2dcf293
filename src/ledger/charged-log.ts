/**
 * Owns: what tells the log that a source was charged from apart from another of the same name: the id that Kafka gave its
 * topic, and a digest of the last message that was charged.
 * Does not own: reading either from Kafka, nor what follows when they differ (consumers/stream-positions.ts).
 * Invariants: pure; a digest is kept with the offset of its message, since offsets after it may hold none; `base` is what a
 * position of the ledger is above Kafka's offset: 0, unless an operator accepted another log in the place of the first.
 */
import { createHash } from 'node:crypto';

/** One message of a log, by its position in the ledger and what it holds. */
export interface RecordMark {
  readonly position: bigint;
  /** SHA-256 (32 bytes), as `recordDigest` makes it. */
  readonly digest: Buffer;
}

/** The log a source was charged from, as far as the ledger knows it. */
export interface ChargedLog {
  /** Position in the ledger less offset in Kafka. */
  readonly base: bigint;
  /** The id that Kafka gave the topic; null where the brokers give none (before Kafka 2.8). */
  readonly topicId: string | null;
  /** The last message that was charged; null before the first, and where the last one could not be read. */
  readonly lastRecord: RecordMark | null;
}

/** The mark of a message at a position of the ledger. */
export function recordMark(position: bigint, base: bigint, record: DigestedRecord): RecordMark {
  return { position, digest: recordDigest(position - base, record) };
}

/** A log of which nothing is known yet. */
export const UNKNOWN_LOG: ChargedLog = { base: 0n, topicId: null, lastRecord: null };

/** What the digest of a message covers, beside its offset. */
export interface DigestedRecord {
  /** Milliseconds since the Unix epoch as Kafka tells them, in decimal. */
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

const RECORD_DOMAIN = 'tollbook.record.v1';
const LENGTH_BYTES = 8;

/** SHA-256 over the domain, Kafka's offset, the timestamp, and key and value, each after its length; null has length -1. */
export function recordDigest(kafkaOffset: bigint, { timestamp, key, value }: DigestedRecord): Buffer {
  const digest = createHash('sha256').update(`${RECORD_DOMAIN}\n${kafkaOffset}\n${timestamp}\n`);
  for (const bytes of [key, value]) {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeBigInt64BE(BigInt(bytes?.length ?? -1));
    digest.update(length);
    if (bytes !== null) digest.update(bytes);
  }
  return digest.digest();
}
