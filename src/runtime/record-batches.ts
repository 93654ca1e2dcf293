/**
 * Owns: the headers of Kafka's record batches (format 2): where a batch begins and ends, whose it is, and whether it holds
 * anything that a consumer is given.
 * Does not own: the records inside: nothing is decompressed or decoded.
 */

/** A transaction that was given up: what its producer wrote from there on, up to its marker, counts for nothing. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

/** The first record that a consumer is given. */
export interface FirstRecord {
  readonly offset: bigint;
  /** The time of the first record of its batch, in milliseconds since the Unix epoch. */
  readonly timestampMs: number;
}

/** What a run of batches holds. */
export interface BatchScan {
  readonly first: FirstRecord | undefined;
  /** The offset after the last whole batch; where it began when there is none. */
  readonly nextOffset: bigint;
}

const HEADER_BYTES = 61;
/** Offset and length, which the length does not count. */
const PREFIX_BYTES = 12;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

interface BatchHeader {
  readonly bytes: number;
  readonly baseOffset: bigint;
  readonly nextOffset: bigint;
  readonly attributes: number;
  readonly timestampMs: number;
  readonly producerId: bigint;
}

/** Finds the first record at or after an offset that is neither a marker nor aborted. */
export function scanBatches(records: Buffer, from: bigint, aborted: readonly AbortedTransaction[]): BatchScan {
  const starts = [...aborted].sort((left, right) => (left.firstOffset < right.firstOffset ? -1 : 1));
  const open = new Set<bigint>();
  let nextOffset = from;
  for (let at = 0; at + HEADER_BYTES <= records.length;) {
    const batch = headerAt(records, at);
    at += batch.bytes;
    while (starts[0] !== undefined && starts[0].firstOffset < batch.nextOffset) takeStart(starts, open);
    const isControl = (batch.attributes & CONTROL) !== 0;
    // The first marker of a producer after the start of an aborted transaction is the one that aborts it.
    if (isControl) open.delete(batch.producerId);
    const isAborted = (batch.attributes & TRANSACTIONAL) !== 0 && open.has(batch.producerId);
    if (!isControl && !isAborted && batch.nextOffset > from) {
      const offset = batch.baseOffset > from ? batch.baseOffset : from;
      return { first: { offset, timestampMs: batch.timestampMs }, nextOffset };
    }
    if (batch.nextOffset > nextOffset) nextOffset = batch.nextOffset;
  }
  return { first: undefined, nextOffset };
}

function takeStart(starts: AbortedTransaction[], open: Set<bigint>): void {
  const start = starts.shift();
  if (start !== undefined) open.add(start.producerId);
}

function headerAt(records: Buffer, at: number): BatchHeader {
  const baseOffset = records.readBigInt64BE(at);
  return {
    bytes: PREFIX_BYTES + records.readInt32BE(at + 8),
    baseOffset,
    attributes: records.readInt16BE(at + 21),
    nextOffset: baseOffset + BigInt(records.readInt32BE(at + 23)) + 1n,
    timestampMs: Number(records.readBigInt64BE(at + 27)),
    producerId: records.readBigInt64BE(at + 43),
  };
}
