/**
 * Owns: reading sealed batches, and the leaves of each, in the order of their batch ids, as lines.
 * Does not own: what a batch must be.
 * Invariants: memory is bounded by one batch; the leaves are the stored hashes in the order of the tree: whether they are
 * those of the rows is read from the rows themselves (leaf-lines.ts).
 * PostgreSQL joins the hashes of a batch to one value: a line an entry cost 1.2 µs more on either side.
 */
import type { SealedBatch } from '../batch.js';
import { unescapedField } from '../entry-fields.js';
import { entriesIn, type ProofScope, sourcesIn } from './proof-scope.js';
import { safeInteger } from './rows.js';

/** How PostgreSQL writes a time in the canonical form, in UTC. */
function timeOf(value: string): string {
  return `to_char(${value}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

/** The batches of a scope by batch id, for `batchOfLine`. */
export function batchStatement(scope: ProofScope): string {
  return `SELECT b.topic, b.partition, b.batch_no, b.batch_id, b.first_offset, b.next_offset, b.charged, b.openings,
      b.duplicates, b.superseded, b.skipped, b.unpriced, b.dead_letters, b.merkle_root, b.aside_root, b.prev_hash,
      b.hash,
      ${timeOf('b.sealed_at')}
    FROM ledger_batches b WHERE ${sourcesIn(scope, 'b')} ORDER BY b.batch_id`;
}

/** Reads a sealed batch from its line. */
export function batchOfLine(line: string): SealedBatch {
  const fields = line.split('\t');
  const text = (at: number): string => unescapedField(fields[at] ?? '') ?? '';
  const count = (at: number): number => safeInteger(text(at));
  return {
    source: { topic: text(0), partition: count(1) },
    batchNo: count(2),
    batchId: count(3),
    firstOffset: BigInt(text(4)),
    nextOffset: BigInt(text(5)),
    counts: {
      charged: count(6),
      openings: count(7),
      duplicates: count(8),
      superseded: count(9),
      skipped: count(10),
      unpriced: count(11),
      deadLetters: count(12),
    },
    merkleRoot: bytesOf(text(13)),
    asideRoot: bytesOf(text(14)),
    prevHash: bytesOf(text(15)),
    hash: bytesOf(text(16)),
    sealedAt: text(17),
  };
}

/** A bytea as PostgreSQL writes it in hexadecimal: `\x` and the digits. */
function bytesOf(text: string): Buffer {
  return Buffer.from(text.slice(2), 'hex');
}

/** The entries that name one batch as theirs: their leaves, and how far apart they lie in what they share. */
export interface BatchLeaves {
  readonly batchId: number;
  readonly entries: number;
  /** The stored hashes in the order of the tree, each as 64 hexadecimal digits. */
  readonly leaves: readonly string[];
  readonly recordedAt: readonly [first: string, last: string];
  readonly offsets: readonly [first: bigint, last: bigint];
  readonly topics: readonly [first: string, last: string];
  readonly partitions: readonly [first: number, last: number];
}

/** The leaves of a scope by batch id, for `leavesOfLine`. */
export function leavesStatement(scope: ProofScope): string {
  return `SELECT e.batch_id, count(*), string_agg(e.entry_hash, ''::bytea ORDER BY e.source_offset, e.seq),
      ${timeOf('min(e.recorded_at)')}, ${timeOf('max(e.recorded_at)')}, min(e.source_offset), max(e.source_offset),
      min(e.source_topic COLLATE "C"), max(e.source_topic COLLATE "C"), min(e.source_partition), max(e.source_partition)
    FROM ledger_entries e WHERE ${entriesIn(scope)} GROUP BY e.batch_id ORDER BY e.batch_id`;
}

const HASH_DIGITS = 64;
/** The digits come after `\\x`: COPY doubles the backslash. */
const HEX_AT = 3;

/** Reads the leaves of a batch from their line. */
export function leavesOfLine(line: string): BatchLeaves {
  const [batchId = '', entries = '', hashes = '', recordedFirst = '', recordedLast = '', ...more] = line.split('\t');
  const [offsetFirst = '', offsetLast = '', topicFirst = '', topicLast = '', ...partitions] = more;
  const leaves: string[] = [];
  for (let at = HEX_AT; at < hashes.length; at += HASH_DIGITS) leaves.push(hashes.slice(at, at + HASH_DIGITS));
  return {
    batchId: safeInteger(batchId),
    entries: safeInteger(entries),
    leaves,
    recordedAt: [recordedFirst, recordedLast],
    offsets: [BigInt(offsetFirst), BigInt(offsetLast)],
    topics: [unescapedField(topicFirst) ?? '', unescapedField(topicLast) ?? ''],
    partitions: [safeInteger(partitions[0] ?? ''), safeInteger(partitions[1] ?? '')],
  };
}

/** Hands out the lines of a stream one by one. */
export class LineReader {
  readonly #blocks: AsyncIterator<Buffer>;
  #lines: readonly string[] = [];
  #at = 0;

  constructor(blocks: AsyncIterable<Buffer>) {
    this.#blocks = blocks[Symbol.asyncIterator]();
  }

  /** The next line; undefined at the end. Throws what the stream throws. */
  async next(): Promise<string | undefined> {
    while (this.#at >= this.#lines.length) {
      const block = await this.#blocks.next();
      if (block.done === true) return undefined;
      this.#lines = block.value.toString('utf8', 0, block.value.length - 1).split('\n');
      this.#at = 0;
    }
    this.#at += 1;
    return this.#lines[this.#at - 1];
  }
}
