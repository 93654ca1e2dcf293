/**
 * Owns: reading a broker's answer to a Fetch request, versions 4 to 11: where each partition stands, and its record batches
 * as bytes.
 * Does not own: what the bytes hold (fetched-log.ts), nor what an error code means (kafkajs).
 * Invariants: no record is touched here; an answer that is not laid out as the protocol says throws KAFKA_UNAVAILABLE, since
 * only a broken connection brings one, and another may be whole.
 * Source of the format: https://kafka.apache.org/protocol.html#The_Messages_Fetch
 */
import { TollbookError } from '../runtime/errors.js';
import { type AbortedTransaction, FetchedLog } from './fetched-log.js';

/** What a broker answers for one partition, with offsets as kafkajs writes them. */
export interface PartitionAnswer {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: string;
  readonly lastStableOffset: string;
  readonly preferredReadReplica: number;
  readonly bytes: Buffer;
  readonly aborted: readonly AbortedTransaction[];
}

/** What a broker answers to one Fetch request. */
export interface FetchAnswer {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly sessionId: number;
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly PartitionAnswer[] }[];
}

/** The oldest version that tells aborted transactions: that of Kafka 0.11. */
export const FETCH_VERSION_MIN = 4;
const VERSION_WITH_LOG_START = 5;
const VERSION_WITH_SESSION = 7;
const VERSION_WITH_REPLICA = 11;

/** Reads an answer of a version from 4 to 11. Throws KAFKA_UNAVAILABLE. */
export function readFetchAnswer(bytes: Buffer, version: number): FetchAnswer {
  try {
    const reader = new AnswerReader(bytes);
    const throttleTimeMs = reader.int32();
    const hasSession = version >= VERSION_WITH_SESSION;
    const [errorCode, sessionId] = hasSession ? [reader.int16(), reader.int32()] : [0, 0];
    const responses = reader.list(() => ({
      topicName: reader.text(),
      partitions: reader.list(() => readPartition(reader, version)),
    }));
    return { throttleTimeMs, errorCode, sessionId, responses };
  } catch (cause) {
    throw new TollbookError('KAFKA_UNAVAILABLE', 'a broker answered a fetch with bytes that are no answer', { cause });
  }
}

function readPartition(reader: AnswerReader, version: number): PartitionAnswer {
  const partition = reader.int32();
  const errorCode = reader.int16();
  const highWatermark = reader.int64().toString();
  const lastStableOffset = reader.int64().toString();
  if (version >= VERSION_WITH_LOG_START) reader.int64();
  const aborted = reader.list(() => ({ producerId: reader.int64(), firstOffset: reader.int64() }));
  const preferredReadReplica = version >= VERSION_WITH_REPLICA ? reader.int32() : -1;
  const bytes = reader.bytes();
  return { partition, errorCode, highWatermark, lastStableOffset, preferredReadReplica, bytes, aborted };
}

const NO_BYTES = Buffer.alloc(0);

/** Reads what follows; throws RangeError where nothing follows. */
class AnswerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  int16(): number {
    this.#at += 2;
    return this.#bytes.readInt16BE(this.#at - 2);
  }

  int32(): number {
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  int64(): bigint {
    this.#at += 8;
    return this.#bytes.readBigInt64BE(this.#at - 8);
  }

  text(): string {
    const length = Math.max(0, this.int16());
    return this.#take(length).toString('utf8');
  }

  /** A null, as a broker sends for no records, is empty. */
  bytes(): Buffer {
    const length = this.int32();
    return length <= 0 ? NO_BYTES : this.#take(length);
  }

  list<T>(read: () => T): T[] {
    const length = this.int32();
    const items: T[] = [];
    while (items.length < length) items.push(read());
    return items;
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) this.#bytes.readInt8(this.#bytes.length);
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

/** The log that a partition's answer brought, asked for from an offset on. */
export function logOf(
  { partition, bytes, aborted }: PartitionAnswer,
  { topic, from, broker }: { topic: string; from: bigint; broker?: number | undefined },
): FetchedLog {
  return FetchedLog.of(bytes, { topic, partition, from, broker }, aborted);
}
