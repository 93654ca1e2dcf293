/**
 * Owns: the header of a record batch: where a batch lies in a log, what it claims, and whether its bytes are those that
 * were written.
 * Invariants: never throws; a header is read only where all its bytes are; the checksum covers everything from the
 * attributes on, so offsets, length and leader epoch are trusted only as far as they agree with the place of the batch.
 * Source of the format: https://kafka.apache.org/documentation/#recordbatch
 */
import { crc32, crc32c } from '@node-rs/crc32';

/** Offset and length: what every version of the format begins with. */
export const LENGTH_PREFIX_BYTES = 12;
/** Everything before the records. */
export const HEADER_BYTES = 61;
/** The version of the format since Kafka 0.11. */
export const MAGIC_BATCH = 2;

const MAGIC_AT = 16;
const OLD_CRC_AT = 12;
const CRC_AT = 17;
const CHECKED_FROM = 21;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const RECORD_COUNT_AT = 57;

const CODEC_BITS = 0x07;
const IS_APPEND_TIME = 0x08;
const IS_TRANSACTIONAL = 0x10;
const IS_CONTROL = 0x20;

/** A header as its bytes say it. */
export interface BatchHeader {
  readonly baseOffset: bigint;
  readonly lastOffset: bigint;
  /** Number of the codec, perhaps of none that is known. */
  readonly codec: number;
  readonly isTransactional: boolean;
  /** A marker of a transaction, not a message. */
  readonly isControl: boolean;
  /** All its records have `maxTimestampMs`: the time at which the broker appended them. */
  readonly isAppendTime: boolean;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  readonly producerId: bigint;
  readonly recordCount: number;
}

/** The length of the batch that begins `bytes`, its prefix included; undefined when the bytes end before it is told. */
export function batchLength(bytes: Buffer): number | undefined {
  return bytes.length < LENGTH_PREFIX_BYTES ? undefined : LENGTH_PREFIX_BYTES + bytes.readInt32BE(8);
}

/** The version of the format of a batch. */
export function magicOf(batch: Buffer): number | undefined {
  return batch[MAGIC_AT];
}

/** The offset that a batch of any version begins with: its first in this version, its last in the older ones. */
export function prefixOffset(batch: Buffer): bigint {
  return batch.readBigInt64BE(0);
}

/** Whether the bytes are those that the checksum was made of; never so for a version that does not exist. */
export function isIntact(batch: Buffer): boolean {
  const magic = magicOf(batch);
  if (magic === MAGIC_BATCH)
    return isWhole(batch) && crc32c(batch.subarray(CHECKED_FROM)) === batch.readUInt32BE(CRC_AT);
  return (magic === 0 || magic === 1) && crc32(batch.subarray(MAGIC_AT)) === batch.readUInt32BE(OLD_CRC_AT);
}

/** Whether a batch of the current version has all of its header. */
export function isWhole(batch: Buffer): boolean {
  return magicOf(batch) === MAGIC_BATCH && batch.length >= HEADER_BYTES;
}

/** Reads the header of a batch of at least HEADER_BYTES. */
export function readHeader(batch: Buffer): BatchHeader {
  const attributes = batch.readInt16BE(ATTRIBUTES_AT);
  const baseOffset = batch.readBigInt64BE(0);
  return {
    baseOffset,
    lastOffset: baseOffset + BigInt(batch.readInt32BE(LAST_OFFSET_DELTA_AT)),
    codec: attributes & CODEC_BITS,
    isTransactional: (attributes & IS_TRANSACTIONAL) !== 0,
    isControl: (attributes & IS_CONTROL) !== 0,
    isAppendTime: (attributes & IS_APPEND_TIME) !== 0,
    baseTimestampMs: Number(batch.readBigInt64BE(BASE_TIMESTAMP_AT)),
    maxTimestampMs: Number(batch.readBigInt64BE(MAX_TIMESTAMP_AT)),
    producerId: batch.readBigInt64BE(PRODUCER_ID_AT),
    recordCount: batch.readInt32BE(RECORD_COUNT_AT),
  };
}
