/**
 * Owns: the way of a publisher's batches into Kafka: which topics must exist, and the form of a message.
 * Does not own: buffering, numbering and the promises of callers (usage-publisher.ts), what is done when a broker fails
 * (durable-producer.ts).
 * Invariants: one batch at a time.
 */
import type { Kafka, TopicMessages } from 'kafkajs';
import type { Codec } from '../records/decompress.js';
import { compressionType } from '../records/kafkajs-codecs.js';
import { DurableProducer } from '../runtime/durable-producer.js';
import { requireTopics } from '../runtime/kafka-topics.js';
import type { Logger } from '../runtime/logger.js';
import type { EventTransport, OutgoingMessage } from './event-transport.js';

/** How to write to Kafka. */
export interface KafkaTransportOptions {
  readonly kafka: Kafka;
  /** Every topic that messages will name; they must exist. */
  readonly topics: readonly string[];
  readonly compression: Codec;
  readonly retries?: number;
  readonly logger?: Logger | undefined;
}

/**
 * Connects to Kafka and checks that the topics exist.
 * Throws KAFKA_UNAVAILABLE when no broker answers within the retries, TOPIC_MISSING when a topic does not exist.
 */
export async function connectKafkaTransport(options: KafkaTransportOptions): Promise<EventTransport> {
  await requireTopics(options.kafka, options.topics);
  const producer = new DurableProducer({ ...options, compression: compressionType(options.compression) });
  await producer.connect();
  return {
    send: (batch) => producer.send(byTopic(batch)),
    disconnect: () => producer.disconnect(),
  };
}

function byTopic(batch: readonly OutgoingMessage[]): TopicMessages[] {
  const topics = new Map<string, TopicMessages>();
  for (const { topic, key, value } of batch) {
    const messages = topics.get(topic)?.messages ?? [];
    if (messages.length === 0) topics.set(topic, { topic, messages });
    messages.push({ key, value });
  }
  return [...topics.values()];
}
