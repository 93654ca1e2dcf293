/**
 * Owns: asking Kafka what tells the log of a source from another: the id of its topic, and a message of it.
 * Does not own: the comparison (consumers/log-identity.ts).
 * Invariants: what cannot be read is nothing to compare with; only Kafka being away is an error.
 */
import type { Kafka } from 'kafkajs';
import type { LogReader } from '../consumers/log-identity.js';
import type { StreamSource } from '../ledger/batch.js';
import { recordDigest } from '../ledger/charged-log.js';
import { KafkaFetch } from '../reconciliation/topic/kafka-fetch.js';
import type { FetchedLog } from '../records/fetched-log.js';
import { TopicIds } from '../runtime/topic-ids.js';

/** A batch is brought whole, however small this is. */
const FETCH_BYTES = 1;

/** Reads identities; close it when done. */
export class KafkaLogReader implements LogReader {
  readonly #ids: TopicIds;
  readonly #fetch: KafkaFetch;

  private constructor(ids: TopicIds, fetch: KafkaFetch) {
    this.#ids = ids;
    this.#fetch = fetch;
  }

  /** Connects. Throws KAFKA_UNAVAILABLE. */
  static async open(kafka: Kafka, topics: readonly string[]): Promise<KafkaLogReader> {
    const ids = await TopicIds.open(kafka, topics);
    try {
      return new KafkaLogReader(ids, await KafkaFetch.open(kafka, topics));
    } catch (error) {
      await ids.close();
      throw error;
    }
  }

  topicId(source: StreamSource): Promise<string | null> {
    return this.#ids.of(source);
  }

  async digestAt(source: StreamSource, kafkaOffset: bigint): Promise<Buffer | undefined> {
    const fetched = await this.#fetch.fetch(source, kafkaOffset, FETCH_BYTES);
    return fetched.kind === 'log' ? digestIn(fetched.log, kafkaOffset) : undefined;
  }

  async close(): Promise<void> {
    await this.#ids.close();
    await this.#fetch.close();
  }
}

/** The digest of a message of a log, read up to where it cannot be read. */
function digestIn(log: FetchedLog, kafkaOffset: bigint): Buffer | undefined {
  for (const stretch of log.stretches()) {
    if (stretch.kind !== 'read') return undefined;
    if (stretch.nextOffset <= kafkaOffset) continue;
    for (const { kafkaOffset: found, timestampMs, key, value } of stretch.messages) {
      if (found === kafkaOffset) return recordDigest(kafkaOffset, { timestamp: String(timestampMs), key, value });
    }
    return undefined;
  }
  return undefined;
}
