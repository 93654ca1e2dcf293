/**
 * Owns: record batches as a producer, a broker or a hostile hand writes them, byte by byte.
 * Invariants: what is not asked for otherwise is right: lengths, counts and the checksum.
 */
import { crc32c } from '@node-rs/crc32';
import { CODECS, type Codec, compress } from '../../src/records/decompress.js';

/** A record as it is written. */
export interface WrittenRecord {
  readonly key?: Buffer | null;
  readonly value?: Buffer | null;
  readonly headers?: readonly (readonly [name: string, value: Buffer | null])[];
  /** Its offset within the batch; by default its place. */
  readonly offsetDelta?: number;
  readonly timestampDelta?: number;
}

/** What a batch is written from. */
export interface WrittenBatch {
  readonly baseOffset?: bigint;
  readonly records?: readonly WrittenRecord[];
  readonly codec?: Codec;
  /** The records as they stand in the batch, compressed or not. */
  readonly packed?: Buffer;
  /** Number of the codec in the attributes, for one that does not exist. */
  readonly codecNumber?: number;
  readonly recordCount?: number;
  readonly lastOffsetDelta?: number;
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  readonly producerId?: bigint;
  readonly baseTimestampMs?: number;
  /** Set: the time at which the broker appended it. */
  readonly appendedAtMs?: number;
}

const HEADER_BYTES = 61;

/** A zigzag varint. */
export function varint(value: number): Buffer {
  if (value >= 0 && value < 64) return Buffer.of(value * 2);
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

function sized(bytes: Buffer | null | undefined): Buffer {
  return bytes === null || bytes === undefined ? varint(-1) : Buffer.concat([varint(bytes.length), bytes]);
}

/** One record, its length included. */
export function writeRecord({ key, value, headers = [], offsetDelta = 0, timestampDelta = 0 }: WrittenRecord): Buffer {
  const parts = [Buffer.of(0), varint(timestampDelta), varint(offsetDelta), sized(key), sized(value)];
  parts.push(varint(headers.length));
  for (const [name, each] of headers) parts.push(sized(Buffer.from(name)), sized(each));
  return sized(Buffer.concat(parts));
}

/** Records one after the other. */
export function writeRecords(records: readonly WrittenRecord[]): Buffer {
  return Buffer.concat(records.map((record, index) => writeRecord({ offsetDelta: index, ...record })));
}

/** A batch. zstd needs `zstdReady` to have resolved. */
export function writeBatch(written: WrittenBatch): Buffer {
  const { records = [], codec = 'none', baseTimestampMs = 0, appendedAtMs } = written;
  const packed = written.packed ?? packedAs(codec, writeRecords(records));
  const count = written.recordCount ?? records.length;
  const batch = Buffer.alloc(HEADER_BYTES + packed.length);
  batch.writeBigInt64BE(written.baseOffset ?? 0n, 0);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt8(2, 16);
  batch.writeInt16BE(attributesOf(written, codec), 21);
  batch.writeInt32BE(written.lastOffsetDelta ?? count - 1, 23);
  batch.writeBigInt64BE(BigInt(baseTimestampMs), 27);
  batch.writeBigInt64BE(BigInt(appendedAtMs ?? baseTimestampMs), 35);
  batch.writeBigInt64BE(written.producerId ?? -1n, 43);
  batch.writeInt16BE(-1, 51);
  batch.writeInt32BE(-1, 53);
  batch.writeInt32BE(count, 57);
  packed.copy(batch, HEADER_BYTES);
  return withChecksum(batch);
}

function packedAs(codec: Codec, records: Buffer): Buffer {
  return codec === 'none' ? records : compress(codec, records);
}

function attributesOf({ codecNumber, appendedAtMs, isTransactional, isControl }: WrittenBatch, codec: Codec): number {
  return (
    (codecNumber ?? CODECS.indexOf(codec)) |
    (appendedAtMs === undefined ? 0 : 0x08) |
    (isTransactional === true ? 0x10 : 0) |
    (isControl === true ? 0x20 : 0)
  );
}

/** Writes the checksum that belongs to the bytes; changes them in place. */
export function withChecksum(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

/** The marker that ends a transaction. */
export function writeMarker(baseOffset: bigint, producerId: bigint, isCommit: boolean): Buffer {
  const key = Buffer.of(0, 0, 0, isCommit ? 1 : 0);
  const records = [{ key, value: Buffer.alloc(6) }];
  return writeBatch({ baseOffset, producerId, records, isTransactional: true, isControl: true });
}

const XERIAL_HEADER = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00, 0, 0, 0, 1, 0, 0, 0, 1]);

/** Snappy in the framing of Java's SnappyOutputStream. */
export function xerial(bytes: Buffer, blockBytes = 32 * 1024): Buffer {
  const parts: Buffer[] = [XERIAL_HEADER];
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const block = compress('snappy', bytes.subarray(at, at + blockBytes));
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}
