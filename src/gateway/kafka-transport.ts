/**
 * Owns: the way of a batch into Kafka: one idempotent producer, acks from all in-sync replicas.
 * Does not own: buffering, numbering and the promises of callers (usage-publisher.ts).
 * Invariants: one request at a time. After a batch that failed, the producer is thrown away and the next batch gets a
 * fresh one with a new producer id. That is not cosmetic: on failure kafkajs takes its sequence numbers back, although
 * the broker may have stored the batch; another batch of the same length would then carry the same numbers, and the
 * broker would acknowledge it as a duplicate without storing it. It would be lost with an acknowledgement.
 * What remains: within one send, kafkajs may store a batch twice when one of several brokers fails while another is
 * still writing. Charging is idempotent by trace, so a second copy changes nothing.
 */
import kafkajs from 'kafkajs';
import type { Kafka, Producer, TopicMessages } from 'kafkajs';
import { TollbookError } from '../runtime/errors.js';
import { kafkaRetry } from '../runtime/kafka.js';
import type { Logger } from '../runtime/logger.js';
import type { EventTransport, OutgoingMessage } from './event-transport.js';

/** How to write to Kafka. */
export interface KafkaTransportOptions {
  readonly kafka: Kafka;
  /** Every topic that messages will name; they must exist. */
  readonly topics: readonly string[];
  readonly compression: 'none' | 'gzip';
  readonly retries?: number;
  readonly logger?: Logger | undefined;
}

const ALL_IN_SYNC_REPLICAS = -1;

/** The EventTransport on kafkajs; made by `connectKafkaTransport`. */
class KafkaTransport implements EventTransport {
  readonly #options: KafkaTransportOptions;
  #producer: Producer | undefined;

  constructor(options: KafkaTransportOptions) {
    this.#options = options;
  }

  async connect(): Promise<Producer> {
    if (this.#producer !== undefined) return this.#producer;
    const producer = this.#options.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      retry: kafkaRetry(this.#options.retries),
    });
    try {
      await producer.connect();
    } catch (error) {
      await this.#release(producer);
      throw error;
    }
    this.#producer = producer;
    return producer;
  }

  async send(batch: readonly OutgoingMessage[]): Promise<void> {
    const producer = await this.connect();
    const { CompressionTypes } = kafkajs;
    try {
      await producer.sendBatch({
        acks: ALL_IN_SYNC_REPLICAS,
        compression: this.#options.compression === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None,
        topicMessages: byTopic(batch),
      });
    } catch (error) {
      this.#producer = undefined;
      await this.#release(producer);
      throw error;
    }
  }

  async disconnect(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    if (producer !== undefined) await this.#release(producer);
  }

  async #release(producer: Producer): Promise<void> {
    try {
      await producer.disconnect();
    } catch (error) {
      this.#options.logger?.warn({ err: error }, 'a Kafka producer did not disconnect cleanly');
    }
  }
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

async function requireTopics({ kafka, topics }: KafkaTransportOptions): Promise<void> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const present = new Set(await admin.listTopics());
    const missing = topics.filter((topic) => !present.has(topic));
    if (missing.length === 0) return;
    const sentence = `topic ${missing.join(', ')} does not exist, or this client may not see it`;
    throw new TollbookError('TOPIC_MISSING', sentence, { context: { missing } });
  } finally {
    await admin.disconnect();
  }
}

/**
 * Connects to Kafka and checks that the topics exist.
 * Throws KAFKA_UNAVAILABLE when no broker answers within the retries, TOPIC_MISSING when a topic does not exist.
 */
export async function connectKafkaTransport(options: KafkaTransportOptions): Promise<EventTransport> {
  const transport = new KafkaTransport(options);
  try {
    await requireTopics(options);
    await transport.connect();
  } catch (cause) {
    if (cause instanceof TollbookError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TollbookError('KAFKA_UNAVAILABLE', `no Kafka broker answered: ${reason}`, { cause });
  }
  return transport;
}
