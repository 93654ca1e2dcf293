/**
 * Owns: one fetch of several partitions whose records stay bytes: the request that kafkajs makes, and an answer that tells
 * what kafkajs keeps to itself (the stable and the true end, aborted transactions).
 * Does not own: what the bytes hold (record-batches.ts), nor when it is asked (log-tails.ts).
 */
import { createRequire } from 'node:module';
import { TollbookError } from './errors.js';
import type { ClusterBroker } from './kafka-cluster.js';
import type { AbortedTransaction } from './record-batches.js';

/** Where to fetch from. */
export interface TailRequest {
  readonly topic: string;
  readonly partition: number;
  readonly from: bigint;
}

/** What a broker answered for one partition. */
export interface TailAnswer {
  readonly topic: string;
  readonly partition: number;
  /** The offset asked for is not, or no longer, in the log; the other figures mean nothing then. */
  readonly isOutOfRange: boolean;
  /** The end of what was stored. */
  readonly end: bigint;
  /** The end of what a consumer is given: the first record of a transaction that is still open, or the end. */
  readonly stableEnd: bigint;
  readonly aborted: readonly AbortedTransaction[];
  readonly records: Buffer;
}

/** Whether records of transactions that are open, or were aborted, are handed out. */
export type Isolation = 'committed' | 'uncommitted';

interface Decoder {
  readInt16(): number;
  readInt32(): number;
  readInt64(): { toString(): string };
  readString(): string;
  readBytes(): Buffer | null;
  readArray<T>(read: (decoder: Decoder) => T): T[];
}

const load = createRequire(import.meta.url);
const DecoderClass = load('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => Decoder;
const fetchRequest = load('kafkajs/src/protocol/requests/fetch/v5/request.js') as (terms: object) => object;

const CONSUMER = -1;
const OUT_OF_RANGE = 1;
/** Tails have few bytes: a header for each batch would do. */
const FETCH_BYTES_PER_PARTITION = 64 * 1024;
const FETCH_BYTES_MAX = 2 * 1024 * 1024;

/** Fetches what stands at these offsets, at once, without waiting for more. Throws KAFKA_UNAVAILABLE, kafkajs' errors. */
export async function fetchTails(
  broker: ClusterBroker,
  wanted: readonly TailRequest[],
  isolation: Isolation,
): Promise<TailAnswer[]> {
  const topics = wanted.map(({ topic, partition, from }) => ({
    topic,
    partitions: [{ partition, fetchOffset: from.toString(), maxBytes: FETCH_BYTES_PER_PARTITION }],
  }));
  const terms = { replicaId: CONSUMER, maxWaitTime: 0, minBytes: 0, maxBytes: FETCH_BYTES_MAX };
  const request = fetchRequest({ ...terms, isolationLevel: isolation === 'committed' ? 1 : 0, topics });
  const response = {
    decode: (bytes: Buffer) => Promise.resolve(answersIn(bytes)),
    parse: (answers: unknown) => answers,
  };
  return (await broker.connectionPool.send({ request, response })) as TailAnswer[];
}

function answersIn(bytes: Buffer): TailAnswer[] {
  const decoder = new DecoderClass(bytes);
  decoder.readInt32(); // how long the broker throttled
  return decoder
    .readArray((topics) => {
      const topic = topics.readString();
      return topics.readArray((partitions) => partitionAnswer(topic, partitions));
    })
    .flat();
}

function partitionAnswer(topic: string, decoder: Decoder): TailAnswer {
  const partition = decoder.readInt32();
  const errorCode = decoder.readInt16();
  const [end, stableEnd] = [readOffset(decoder), readOffset(decoder)];
  readOffset(decoder); // the start of the log
  const aborted = decoder.readArray((each) => ({ producerId: readOffset(each), firstOffset: readOffset(each) }));
  const records = decoder.readBytes() ?? Buffer.alloc(0);
  if (errorCode !== 0 && errorCode !== OUT_OF_RANGE) {
    throw new TollbookError('KAFKA_UNAVAILABLE', `Kafka answers for ${topic}/${partition} with error ${errorCode}`);
  }
  return { topic, partition, isOutOfRange: errorCode === OUT_OF_RANGE, end, stableEnd, aborted, records };
}

function readOffset(decoder: Decoder): bigint {
  return BigInt(decoder.readInt64().toString());
}
