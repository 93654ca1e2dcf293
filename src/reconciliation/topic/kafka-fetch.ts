/**
 * Owns: fetching the log of a partition from an offset on, without a consumer group: the requests that kafkajs makes
 * for its own consumers, since it offers no assign() (https://github.com/tulios/kafkajs/issues/853).
 * A throw-away group with seek was turned down: it needs rights on groups, rebalances, and never tells that the end of a
 * range holds nothing but transaction markers, which is how every range of a transactional producer ends.
 * Does not own: what the log holds (records/fetched-log.ts): it is read through the same gate as a consumer's.
 * Invariants: connects with the very settings of the client it is given; what can be mended by asking again is asked
 * again, and every error that leaves is a TollbookError.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import type { StreamSource } from '../../ledger/batch.js';
import type { FetchedLog } from '../../records/fetched-log.js';
import { gateFetches, type GatedAnswer } from '../../records/gated-kafka.js';
import { TollbookError } from '../../runtime/errors.js';
import { kafkaRetry } from '../../runtime/kafka.js';
import { clusterOf, type KafkaCluster } from '../../runtime/kafka-cluster.js';

/** What one fetch brought. */
export type Fetched =
  | { readonly kind: 'log'; readonly log: FetchedLog }
  /** Nothing more is there for now, or what is there belongs to a transaction that is still open. */
  | { readonly kind: 'end' }
  /** The log no longer, or not yet, holds the offset. */
  | { readonly kind: 'outOfRange' };

interface FetchRequest {
  readonly maxWaitTime: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly topics: readonly object[];
}

interface Broker {
  fetch(request: FetchRequest): Promise<{ responses: readonly { partitions: readonly GatedAnswer[] }[] }>;
}

const METADATA_AGE_MAX_MS = 300_000;
/** Long enough to wait for a broker that has to read from disk, short enough to notice an end. */
const FETCH_WAIT_MS = 100;

/** Fetches logs; close it when done. */
export class KafkaFetch {
  readonly #cluster: KafkaCluster;

  private constructor(cluster: KafkaCluster) {
    this.#cluster = cluster;
  }

  /** Connects with the settings of a client. Throws KAFKA_UNAVAILABLE, INVARIANT_BROKEN with another kafkajs than 2.2. */
  static async open(kafka: Kafka, topics: readonly string[]): Promise<KafkaFetch> {
    const cluster = clusterOf(gateFetches(kafka), METADATA_AGE_MAX_MS);
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
   * Fetches the log of a partition from an offset on, at least one batch if there is any.
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
    const broker = (await this.#cluster.findBroker({ nodeId })) as unknown as Broker;
    const fetchOffset = fromOffset.toString();
    const wanted = [{ topic, partitions: [{ partition, fetchOffset, maxBytes }] }];
    const { responses } = await broker.fetch({ maxWaitTime: FETCH_WAIT_MS, minBytes: 1, maxBytes, topics: wanted });
    const answer = responses[0]?.partitions[0];
    if (answer === undefined) throw new TollbookError('KAFKA_UNAVAILABLE', `no answer for ${topic}/${partition}`);
    const [carrier] = answer.messages;
    if (carrier !== undefined) return { kind: 'log', log: carrier.log };
    if (fromOffset >= BigInt(answer.lastStableOffset)) return { kind: 'end' };
    throw new TollbookError(
      'KAFKA_UNAVAILABLE',
      `nothing came of ${topic}/${partition} from ${fromOffset}, before its end`,
    );
  }
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
