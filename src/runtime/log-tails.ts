/**
 * Owns: what the log of a partition holds from a position on: its true end, the first record that a consumer is given, and
 * what an open transaction holds back.
 * Does not own: the positions (consumers/stream-backlog.ts).
 * Invariants: reads headers of batches alone, at most 64 KB a partition and round; markers and aborted records at the position
 * are passed over, so that a log that ends with them has nothing left.
 */
import type { Kafka } from 'kafkajs';
import { isTollbookError, TollbookError } from './errors.js';
import { type ClusterBroker, clusterOf, type KafkaCluster } from './kafka-cluster.js';
import { type FirstRecord, scanBatches } from './record-batches.js';
import { fetchTails, type Isolation, type TailAnswer, type TailRequest } from './tail-fetch.js';

/** A partition. */
export interface LogSource {
  readonly topic: string;
  readonly partition: number;
}

/** What a log holds from a position on. */
export interface LogTail extends LogSource {
  readonly start: bigint;
  /** The end of what was stored. */
  readonly end: bigint;
  /** The first record that is given to a consumer, or will be if its transaction is committed; undefined: nothing is left. */
  readonly first: { readonly offset: bigint; readonly timestampMs: number | undefined } | undefined;
  /** Whether nothing but an open transaction is left. */
  readonly isHeldBack: boolean;
}

/** How soon new partitions and leaders are noticed. */
const METADATA_AGE_MAX_MS = 10_000;
/** Rounds of 64 KB that markers and aborted records may fill before the next offset is taken for a record. */
const ROUNDS_MAX = 16;

/** Reads tails; close it when done. */
export class LogTails {
  readonly #cluster: KafkaCluster;
  readonly #topics: readonly string[];
  /** Brokers that have a connection for fetches. */
  readonly #fetchedFrom = new Set<string>();

  private constructor(cluster: KafkaCluster, topics: readonly string[]) {
    this.#cluster = cluster;
    this.#topics = topics;
  }

  /** Connects with the settings of a client. Throws KAFKA_UNAVAILABLE, INVARIANT_BROKEN with another kafkajs than 2.2. */
  static async open(kafka: Kafka, topics: readonly string[]): Promise<LogTails> {
    const cluster = clusterOf(kafka, METADATA_AGE_MAX_MS);
    try {
      await cluster.connect();
      await cluster.addMultipleTargetTopics(topics);
      return new LogTails(cluster, topics);
    } catch (error) {
      await cluster.disconnect();
      throw unavailable(error);
    }
  }

  /** The tails of all partitions from their positions on, or from the start of the log without one. Throws KAFKA_UNAVAILABLE. */
  async read(positionOf: (source: LogSource) => bigint | undefined): Promise<LogTail[]> {
    try {
      await this.#cluster.refreshMetadataIfNecessary();
      const sources = await this.#starts();
      await this.#openFetches(sources);
      return await Promise.all(sources.map(({ source, start }) => this.#tailOf(source, start, positionOf(source))));
    } catch (error) {
      await this.#cluster.refreshMetadata().catch(() => undefined);
      throw unavailable(error);
    }
  }

  async close(): Promise<void> {
    await this.#cluster.disconnect();
  }

  /** One fetch from each broker first: of several at once kafkajs opens a connection each, and closes only the last. */
  async #openFetches(sources: readonly { source: LogSource; start: bigint }[]): Promise<void> {
    for (const { source, start } of sources) {
      const nodeId = this.#leaderIdOf(source);
      if (this.#fetchedFrom.has(nodeId)) continue;
      await this.#fetch({ ...source, from: start }, 'committed');
      this.#fetchedFrom.add(nodeId);
    }
  }

  async #starts(): Promise<{ source: LogSource; start: bigint }[]> {
    const wanted = this.#topics.map((topic) => ({
      topic,
      partitions: this.#cluster
        .findTopicPartitionMetadata(topic)
        .map(({ partitionId }) => ({ partition: partitionId })),
      fromBeginning: true,
    }));
    const starts = await this.#cluster.fetchTopicsOffset(wanted);
    return starts
      .flatMap(({ topic, partitions }) =>
        partitions.map(({ partition, offset }) => ({ source: { topic, partition }, start: BigInt(offset) })),
      )
      .sort((left, right) => left.source.partition - right.source.partition);
  }

  async #tailOf(source: LogSource, start: bigint, position: bigint | undefined): Promise<LogTail> {
    let from = position === undefined || position < start ? start : position;
    for (let round = 1; ; round += 1) {
      const answer = await this.#fetch({ ...source, from }, 'committed');
      if (answer.isOutOfRange) return { ...source, start, end: start, first: undefined, isHeldBack: false };
      const { first, nextOffset } = scanBatches(answer.records, from, answer.aborted);
      const known = { ...source, start, end: answer.end };
      if (first !== undefined) return { ...known, first, isHeldBack: false };
      if (nextOffset >= answer.stableEnd) return { ...known, ...(await this.#heldBack(source, answer)) };
      if (nextOffset === from || round === ROUNDS_MAX) {
        return { ...known, first: { offset: nextOffset, timestampMs: undefined }, isHeldBack: false };
      }
      from = nextOffset;
    }
  }

  /** What is stored beyond the stable end: a transaction that is open, and whatever came after its first record. */
  async #heldBack(
    source: LogSource,
    { stableEnd, end }: TailAnswer,
  ): Promise<{ first: FirstRecord | undefined; isHeldBack: boolean }> {
    if (stableEnd >= end) return { first: undefined, isHeldBack: false };
    const { records } = await this.#fetch({ ...source, from: stableEnd }, 'uncommitted');
    const { first } = scanBatches(records, stableEnd, []);
    return { first, isHeldBack: first !== undefined };
  }

  async #fetch(request: TailRequest, isolation: Isolation): Promise<TailAnswer> {
    const [answer] = await fetchTails(await this.#leaderOf(request), [request], isolation);
    if (answer === undefined) throw noAnswer(request, 'no answer');
    return answer;
  }

  #leaderOf(source: LogSource): Promise<ClusterBroker> {
    return this.#cluster.findBroker({ nodeId: this.#leaderIdOf(source) });
  }

  #leaderIdOf(source: LogSource): string {
    const [nodeId] = Object.keys(this.#cluster.findLeaderForPartitions(source.topic, [source.partition]));
    if (nodeId === undefined) throw noAnswer(source, 'no leader');
    return nodeId;
  }
}

function noAnswer({ topic, partition }: LogSource, what: string): TollbookError {
  return new TollbookError('KAFKA_UNAVAILABLE', `${topic}/${partition} has ${what}`);
}

function unavailable(error: unknown): TollbookError {
  if (isTollbookError(error)) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new TollbookError('KAFKA_UNAVAILABLE', `Kafka does not answer: ${why}`, { cause: error });
}
