/**
 * Owns: anchors in a Kafka topic, compacted by source, so that the newest of each chain stays for ever.
 * Invariants: published with acks from all in-sync replicas; read without a consumer group, up to where the topic ended when
 * reading began; a topic is one ledger's alone.
 */
import type { Kafka } from 'kafkajs';
import { DurableProducer } from '../runtime/durable-producer.js';
import { TollbookError } from '../runtime/errors.js';
import { type Anchor, type AnchorPlace, anchorText, type FoundAnchor, readAnchor } from './anchor.js';
import { readPortions } from './topic/topic-portions.js';
import { type LogBounds, TopicReader } from './topic/topic-reader.js';
import { sourceName } from './verify-chain.js';

/** A topic of anchors. */
export class AnchorTopic implements AnchorPlace {
  readonly name: string;
  readonly #kafka: Kafka;
  readonly #topic: string;
  readonly #producer: DurableProducer;

  constructor(kafka: Kafka, topic: string) {
    this.#kafka = kafka;
    this.#topic = topic;
    this.#producer = new DurableProducer({ kafka });
    this.name = `topic ${topic}`;
  }

  /** {@inheritDoc AnchorPlace.freeze} Throws TOPIC_MISSING. */
  async freeze(): Promise<AsyncIterable<FoundAnchor>> {
    const reader = await TopicReader.open(this.#kafka, [this.#topic]);
    try {
      return readAll(reader, await reader.bounds(this.#topic));
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  /** Publishes anchors, each under the name of its source. Throws KAFKA_UNAVAILABLE. */
  async publish(anchors: readonly Anchor[]): Promise<void> {
    if (anchors.length === 0) return;
    try {
      const messages = anchors.map((anchor) => ({ key: sourceName(anchor.source), value: anchorText(anchor) }));
      await this.#producer.send([{ topic: this.#topic, messages }]);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new TollbookError('KAFKA_UNAVAILABLE', `anchors cannot be published to ${this.#topic}: ${why}`, {
        cause: error,
      });
    }
  }

  async close(): Promise<void> {
    await this.#producer.disconnect();
  }
}

async function* readAll(reader: TopicReader, bounds: readonly LogBounds[]): AsyncGenerator<FoundAnchor> {
  try {
    for await (const { source, messages } of readPortions(reader, bounds)) {
      for (const { value, kafkaOffset } of messages) {
        // A tombstone takes an anchor back for good: whoever may write here may do so.
        if (value !== null) yield readAnchor(value.toString('utf8'), `${sourceName(source)}/${kafkaOffset}`);
      }
    }
  } finally {
    await reader.close();
  }
}
