/**
 * Owns: reading topics from the outside: where their logs start and end, which offset belongs to a time, and readers of
 * partitions.
 * Invariants: no consumer group, no committed offset, nothing that a live consumer could notice; every error that leaves
 * is a TollbookError.
 */
import type { Admin, Kafka } from 'kafkajs';
import { sourceName, type StreamSource } from '../../ledger/batch.js';
import type { Cursor } from '../../ledger/ledger-store.js';
import { TollbookError } from '../../runtime/errors.js';
import { KafkaFetch, unavailable } from './kafka-fetch.js';
import { PartitionReader } from './partition-reader.js';

/** What the log of a partition holds: from `start`, up to, not including, `end`. */
export interface LogBounds {
  readonly source: StreamSource;
  readonly start: bigint;
  readonly end: bigint;
}

/** Fetches of all readers together are held in about twice this much memory. */
const FETCH_BYTES_TOTAL = 8 * 1024 * 1024;
const FETCH_BYTES_MIN = 64 * 1024;
const FETCH_BYTES_MAX = 512 * 1024;

function basesOf(cursors: readonly Cursor[]): Map<string, bigint> {
  return new Map(cursors.map(({ source, log }) => [sourceName(source), log?.base ?? 0n]));
}

/** How many bytes a reader fetches at once when there are so many of them. */
export function fetchBytesFor(readers: number): number {
  const share = Math.floor(FETCH_BYTES_TOTAL / Math.max(1, readers));
  return Math.min(FETCH_BYTES_MAX, Math.max(FETCH_BYTES_MIN, share));
}

/** Reads topics; close it when done. */
export class TopicReader {
  readonly #admin: Admin;
  readonly #fetch: KafkaFetch;
  readonly #bases: ReadonlyMap<string, bigint>;
  /** The Kafka cluster that is read. */
  readonly clusterId: string;

  private constructor(
    admin: Admin,
    fetch: KafkaFetch,
    { clusterId, bases }: { readonly clusterId: string; readonly bases: ReadonlyMap<string, bigint> },
  ) {
    this.#admin = admin;
    this.#fetch = fetch;
    this.#bases = bases;
    this.clusterId = clusterId;
  }

  /**
   * Connects. Offsets in and out are positions of the ledger, which are Kafka's offsets unless its cursors say otherwise.
   * Throws KAFKA_UNAVAILABLE, TOPIC_MISSING.
   */
  static async open(kafka: Kafka, topics: readonly string[], cursors: readonly Cursor[] = []): Promise<TopicReader> {
    const admin = kafka.admin();
    try {
      await admin.connect();
      const existing = new Set(await admin.listTopics());
      const missing = topics.filter((topic) => !existing.has(topic));
      if (missing.length > 0) throw new TollbookError('TOPIC_MISSING', `topic ${missing.join(', ')} does not exist`);
      const { clusterId } = await admin.describeCluster();
      return new TopicReader(admin, await KafkaFetch.open(kafka, topics), { clusterId, bases: basesOf(cursors) });
    } catch (error) {
      await admin.disconnect();
      throw unavailable(error);
    }
  }

  /** The bounds of every partition of a topic now, by partition. Throws KAFKA_UNAVAILABLE. */
  async bounds(topic: string): Promise<LogBounds[]> {
    const partitions = await this.#admin.fetchTopicOffsets(topic).catch((error: unknown) => {
      throw unavailable(error);
    });
    return partitions
      .map(({ partition, low, high }) => {
        const source = { topic, partition };
        const base = this.#baseOf(source);
        return { source, start: BigInt(low) + base, end: BigInt(high) + base };
      })
      .sort((left, right) => left.source.partition - right.source.partition);
  }

  /** The first offset of each partition with a message of that time or later; the end of the log where there is none. */
  async offsetsAt(topic: string, atMs: number): Promise<ReadonlyMap<number, bigint>> {
    const offsets = await this.#admin.fetchTopicOffsetsByTimestamp(topic, atMs).catch((error: unknown) => {
      throw unavailable(error);
    });
    return new Map(
      offsets.map(({ partition, offset }) => [partition, BigInt(offset) + this.#baseOf({ topic, partition })]),
    );
  }

  /** A reader of a partition from an offset on. */
  partition(source: StreamSource, start: { from: bigint; bytesMax: number }): PartitionReader {
    const logStart = async ({ topic, partition }: StreamSource): Promise<bigint> =>
      (await this.bounds(topic)).find((each) => each.source.partition === partition)?.start ?? 0n;
    const base = this.#baseOf(source);
    return new PartitionReader({ fetch: this.#fetch, logStart }, source, { ...start, base });
  }

  #baseOf(source: StreamSource): bigint {
    return this.#bases.get(sourceName(source)) ?? 0n;
  }

  async close(): Promise<void> {
    await this.#admin.disconnect();
    await this.#fetch.close();
  }
}
