/**
 * Owns: fetching the records of a partition from an offset on, without a consumer group: the requests that kafkajs makes
 * for its own consumers, since it offers no assign() (https://github.com/tulios/kafkajs/issues/853).
 * A throw-away group with seek was turned down: it needs rights on groups, rebalances, and never tells that the end of a
 * range holds nothing but transaction markers, which is how every range of a transactional producer ends.
 * Invariants: connects with the very settings of the client it is given; aborted records and markers are passed over;
 * what can be mended by asking again is asked again, and every error that leaves is a TollbookError.
 */
import { createRequire } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import type { Kafka, KafkaMessage } from 'kafkajs';
import type { StreamSource } from '../../ledger/batch.js';
import { TollbookError } from '../../runtime/errors.js';
import { kafkaRetry } from '../../runtime/kafka.js';

/** What one fetch brought. */
export type Fetched =
  | { readonly kind: 'records'; readonly messages: readonly KafkaMessage[]; readonly nextOffset: bigint }
  /** Nothing more is there for now, or what is there belongs to a transaction that is still open. */
  | { readonly kind: 'end' }
  /** The log no longer, or not yet, holds the offset. */
  | { readonly kind: 'outOfRange' };

type RawMessage = KafkaMessage & {
  readonly batchContext?: { readonly firstOffset: string; readonly lastOffsetDelta: number };
};

interface PartitionAnswer {
  readonly highWatermark: string;
  readonly lastStableOffset?: string;
  readonly messages: readonly RawMessage[];
}

interface FetchRequest {
  readonly maxWaitTime: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly topics: readonly object[];
}

interface Broker {
  fetch(request: FetchRequest): Promise<{ responses: readonly { partitions: readonly PartitionAnswer[] }[] }>;
}

/** The part of kafkajs' cluster that is used here. */
interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  refreshMetadata(): Promise<void>;
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, number[]>>;
  findBroker(wanted: { nodeId: string }): Promise<Broker>;
}

type ClusterFactory = (options: { metadataMaxAge: number; allowAutoTopicCreation: boolean }) => Cluster;

/** kafkajs' own view of an answer: without aborted records and markers. */
type BatchClass = new (
  topic: string,
  fetchedOffset: string,
  answer: PartitionAnswer,
) => { readonly messages: readonly KafkaMessage[] };

const Batch = createRequire(import.meta.url)('kafkajs/src/consumer/batch.js') as BatchClass;

const METADATA_AGE_MAX_MS = 300_000;
/** Long enough to wait for a broker that has to read from disk, short enough to notice an end. */
const FETCH_WAIT_MS = 100;
const CREATE_CLUSTER = 'private:Kafka:createCluster';

/** Fetches records; close it when done. */
export class KafkaFetch {
  readonly #cluster: Cluster;

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Connects with the settings of a client. Throws KAFKA_UNAVAILABLE, INVARIANT_BROKEN with another kafkajs than 2.2. */
  static async open(kafka: Kafka, topics: readonly string[]): Promise<KafkaFetch> {
    const cluster = clusterOf(kafka);
    try {
      await cluster.connect();
      await cluster.addMultipleTargetTopics(topics);
    } catch (error) {
      await cluster.disconnect();
      throw unavailable(error);
    }
    return new KafkaFetch(cluster);
  }

  /**
   * Fetches records of a partition from an offset on, at least one if there is any.
   * Throws KAFKA_UNAVAILABLE once all retries have failed.
   */
  async fetch(source: StreamSource, fromOffset: bigint, bytesMax: number): Promise<Fetched> {
    const { retries, initialRetryTime, maxRetryTime } = kafkaRetry();
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#fetchOnce(source, fromOffset, bytesMax);
      } catch (error) {
        if (isOutOfRange(error)) return { kind: 'outOfRange' };
        if (attempt === retries) throw unavailable(error);
        await delay(Math.min(maxRetryTime, initialRetryTime * 2 ** attempt));
        await this.#cluster.refreshMetadata().catch(() => undefined);
      }
    }
  }

  async close(): Promise<void> {
    await this.#cluster.disconnect();
  }

  async #fetchOnce({ topic, partition }: StreamSource, fromOffset: bigint, maxBytes: number): Promise<Fetched> {
    const [nodeId] = Object.keys(this.#cluster.findLeaderForPartitions(topic, [partition]));
    if (nodeId === undefined) throw new TollbookError('KAFKA_UNAVAILABLE', `${topic}/${partition} has no leader`);
    const broker = await this.#cluster.findBroker({ nodeId });
    const fetchOffset = fromOffset.toString();
    const wanted = [{ topic, partitions: [{ partition, fetchOffset, maxBytes }] }];
    const { responses } = await broker.fetch({ maxWaitTime: FETCH_WAIT_MS, minBytes: 1, maxBytes, topics: wanted });
    const answer = responses[0]?.partitions[0];
    if (answer === undefined) throw new TollbookError('KAFKA_UNAVAILABLE', `no answer for ${topic}/${partition}`);
    return fetchedOf(topic, fromOffset, answer);
  }
}

/** An answer without a record below the stable end is a hole that compaction left: its length is not told. */
function fetchedOf(topic: string, fromOffset: bigint, answer: PartitionAnswer): Fetched {
  const last = answer.messages[answer.messages.length - 1];
  if (last === undefined) {
    const stableEnd = BigInt(answer.lastStableOffset ?? answer.highWatermark);
    return fromOffset >= stableEnd ? { kind: 'end' } : { kind: 'records', messages: [], nextOffset: fromOffset + 1n };
  }
  const { messages } = new Batch(topic, fromOffset.toString(), answer);
  return { kind: 'records', messages, nextOffset: offsetAfter(last) };
}

/** The end of the record batch, which may lie beyond its last record where compaction has removed some. */
function offsetAfter({ offset, batchContext }: RawMessage): bigint {
  const afterRecord = BigInt(offset) + 1n;
  if (batchContext === undefined) return afterRecord;
  const afterBatch = BigInt(batchContext.firstOffset) + BigInt(batchContext.lastOffsetDelta) + 1n;
  return afterBatch > afterRecord ? afterBatch : afterRecord;
}

function clusterOf(kafka: Kafka): Cluster {
  const symbol = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === CREATE_CLUSTER);
  if (symbol === undefined) {
    throw new TollbookError('INVARIANT_BROKEN', 'this version of kafkajs cannot be read without a group; needed: 2.2');
  }
  const create = (kafka as unknown as Readonly<Record<symbol, ClusterFactory>>)[symbol] as ClusterFactory;
  return create({ metadataMaxAge: METADATA_AGE_MAX_MS, allowAutoTopicCreation: false });
}

function isOutOfRange(error: unknown): boolean {
  return error instanceof Error && 'type' in error && error.type === 'OFFSET_OUT_OF_RANGE';
}

/** Whatever kafkajs threw, as ours. */
export function unavailable(cause: unknown): TollbookError {
  if (cause instanceof TollbookError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TollbookError('KAFKA_UNAVAILABLE', `Kafka does not answer: ${why}`, { cause });
}
