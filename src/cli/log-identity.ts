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
    if (fetched.kind !== 'records') return undefined;
    const message = fetched.messages.find(({ offset }) => BigInt(offset) === kafkaOffset);
    return message === undefined ? undefined : recordDigest(kafkaOffset, message);
  }

  async close(): Promise<void> {
    await this.#ids.close();
    await this.#fetch.close();
  }
}
