/**
 * Owns: what a record batch holds: its messages, or why they cannot be read.
 * Does not own: where the batch lies in its log, markers and aborted transactions (fetched-log.ts).
 * Invariants: never throws, whatever the bytes; a batch is gone through as a whole before its first message is handed
 * out, so that it is charged whole or kept whole; messages are made one by one as they are asked for.
 */
import { createHash } from 'node:crypto';
import { BATCH_BYTES_MAX, BATCH_RECORDS_MAX, HEADER_BYTES_MAX, HEADERS_MAX, KEPT_BYTES_MAX } from './bounds.js';
import { type BatchHeader, HEADER_BYTES, isWhole, MAGIC_BATCH, magicOf, readHeader } from './batch-header.js';
import { CODECS, decompress } from './decompress.js';
import { type FetchedMessage, RecordMessage, type Unreadable } from './fetched-message.js';
import { RecordWalk } from './record-walk.js';

/** The records of a batch that can be read. */
export interface ReadableRecords {
  readonly header: BatchHeader;
  /** All of them as they lie one after the other, decompressed. */
  readonly bytes: Buffer;
}

/** What a batch holds. */
export type BatchContent = ReadableRecords | { readonly problem: string };

/** Reads an intact batch. */
export function readBatch(batch: Buffer): BatchContent {
  const magic = magicOf(batch);
  if (!isWhole(batch)) return { problem: `the format has version ${magic ?? 'none'}; allowed: ${MAGIC_BATCH}` };
  const header = readHeader(batch);
  const { recordCount } = header;
  if (recordCount < 0 || recordCount > BATCH_RECORDS_MAX) {
    return { problem: `the batch counts ${recordCount} records; allowed: 0 to ${BATCH_RECORDS_MAX}` };
  }
  const codec = CODECS[header.codec];
  if (codec === undefined)
    return { problem: `the codec is number ${header.codec}; allowed: 0 to ${CODECS.length - 1}` };
  const packed = batch.subarray(HEADER_BYTES);
  const records = recordCount === 0 ? { bytes: NO_BYTES } : decompress(codec, packed, BATCH_BYTES_MAX);
  if ('problem' in records) return { problem: codecProblem(codec, records.problem) };
  const { bytes } = records;
  return isWellFormed(header, bytes)
    ? { header, bytes }
    : { problem: `the ${recordCount} records do not fit the ${bytes.length} bytes that hold them` };
}

const NO_BYTES = Buffer.alloc(0);

function codecProblem(codec: string, problem: 'damaged' | 'tooLarge'): string {
  if (problem === 'damaged') return `the records are not ${codec}, as the batch says`;
  return `the records have more than ${BATCH_BYTES_MAX} bytes when decompressed (${codec}); allowed: ${BATCH_BYTES_MAX}`;
}

/** Whether the bytes are just so many records, in ascending order of their offsets, none beyond the last. */
function isWellFormed({ recordCount, baseOffset, lastOffset }: BatchHeader, bytes: Buffer): boolean {
  const walk = new RecordWalk(bytes);
  const lastDelta = Number(lastOffset - baseOffset);
  let before = -1;
  for (let count = 0; count < recordCount; count += 1) {
    if (!walk.next() || walk.offsetDelta <= before) return false;
    before = walk.offsetDelta;
  }
  return walk.isAtEnd && before <= lastDelta;
}

/** The messages of a batch from an offset on. */
export function* messagesOf({ header, bytes }: ReadableRecords, from: bigint): Generator<RecordMessage, void> {
  const walk = new RecordWalk(bytes);
  for (let count = 0; count < header.recordCount && walk.next(); count += 1) {
    const kafkaOffset = header.baseOffset + BigInt(walk.offsetDelta);
    if (kafkaOffset < from) continue;
    const timestampMs = header.isAppendTime ? header.maxTimestampMs : header.baseTimestampMs + walk.timestampDelta;
    const unreadable = walk.hasTooManyHeaders ? tooManyHeaders(walk) : undefined;
    yield new RecordMessage(bytes, walk, { kafkaOffset, timestampMs, unreadable });
  }
}

function tooManyHeaders({ headerCount, headerBytes }: RecordWalk): Unreadable {
  const allowed = `at most ${HEADERS_MAX} of ${HEADER_BYTES_MAX} bytes`;
  const detail = `the message has ${headerCount} headers of ${headerBytes} bytes; allowed: ${allowed}`;
  return { reason: 'TOO_MANY_HEADERS', detail };
}

/** The one message that stands for all offsets of a batch that cannot be read, from `from` to `lastOffset`. */
export function unreadableMessage(
  batch: Buffer,
  { from, lastOffset, problem }: { from: bigint; lastOffset: bigint; problem: string },
): FetchedMessage {
  const isKept = batch.length <= KEPT_BYTES_MAX;
  const digest = isKept ? '' : `, SHA-256 ${createHash('sha256').update(batch).digest('hex')}, not kept`;
  const detail = `offsets ${from} to ${lastOffset}: ${problem} (batch of ${batch.length} bytes${digest})`;
  return {
    kafkaOffset: from,
    timestampMs: 0,
    sizeBytes: isKept ? batch.length : 0,
    key: null,
    value: isKept ? batch : null,
    headers: {},
    unreadable: { reason: 'UNREADABLE_BATCH', detail },
  };
}
