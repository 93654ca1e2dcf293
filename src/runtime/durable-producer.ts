/**
 * Owns: the one way of messages into Kafka: an idempotent producer, acks from all in-sync replicas, and the check that
 * every partition which was sent to has an answer.
 * Does not own: buffers and batches (the callers), topics (kafka-topics.ts).
 * Why: kafkajs 2.2.4 resolves although a partition was never sent, when its leader moves between two tries to a broker
 * that has answered already (tulios/kafkajs #1303, #1798). So kafkajs tries once here, and this module tries again.
 * Invariants:
 * - `send` resolves only when a broker has named each partition, at an offset beyond all that this producer was told.
 * - Within one `send` a partition always gets the same messages: a broker that calls them a duplicate is right.
 * - After a failure the kafkajs producer serves no other `send`. It takes its sequence numbers back, although the broker
 *   may have stored the batch; another batch of that length would be acknowledged as a duplicate and lost.
 * What remains: a partition may be stored twice. Charging is idempotent by trace, so a second copy changes nothing.
 */
import { setTimeout as delay } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import type { Kafka, Message, PartitionerArgs, Producer, RecordMetadata, TopicMessages } from 'kafkajs';
import { TollbookError } from './errors.js';
import { kafkaRetry } from './kafka.js';
import type { Logger } from './logger.js';

/** How to write to Kafka. */
export interface DurableProducerOptions {
  readonly kafka: Kafka;
  /** By its number in kafkajs; default none. A codec that kafkajs lacks must be registered there. */
  readonly compression?: kafkajs.CompressionTypes;
  /** How often what was not stored is sent again; default 8, about 16 seconds in all. */
  readonly retries?: number | undefined;
  readonly logger?: Logger | undefined;
}

const {
  CompressionTypes,
  KafkaJSError,
  KafkaJSNonRetriableError,
  KafkaJSNumberOfRetriesExceeded,
  KafkaJSProtocolError,
  Partitioners,
} = kafkajs;
const CONNECTION_ERRORS = [kafkajs.KafkaJSConnectionError, kafkajs.KafkaJSBrokerNotFound];
const ALL_IN_SYNC_REPLICAS = -1;
/** kafkajs refuses 0 for an idempotent producer. It retries while `retryCount < retries`, which is never true of NaN. */
const NO_RETRIES = Number.NaN;
/** What a broker says to sequence numbers that it does not expect: a fresh producer begins with new ones. */
const SEQUENCE_ERRORS: ReadonlySet<string> = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
]);

/** What became of one try: what no broker has, why, and what is to be done about it. */
interface Attempt {
  readonly unstored: readonly TopicMessages[];
  readonly failure?: unknown;
  readonly next: 'done' | 'again' | 'againAfresh' | 'giveUp';
}

const DONE: Attempt = { unstored: [], next: 'done' };

/** Writes messages so that what is acknowledged is stored. */
export class DurableProducer {
  readonly #options: DurableProducerOptions;
  readonly #retry: ReturnType<typeof kafkaRetry>;
  /** The end of each partition as the current kafkajs producer was told, by topic and partition. */
  readonly #toldEnds = new Map<string, bigint>();
  #connection: Promise<Producer> | undefined;

  constructor(options: DurableProducerOptions) {
    this.#options = options;
    this.#retry = kafkaRetry(options.retries);
  }

  /** Connects, which `send` also does by itself. Throws KAFKA_UNAVAILABLE when no broker answers within the retries. */
  async connect(): Promise<void> {
    for (let retry = 0; ; retry += 1) {
      try {
        await this.#connected();
        return;
      } catch (error) {
        if (retry === this.#retry.retries || nextAfterConnecting(error) === 'giveUp') throw translate(error);
        await this.#pause(retry);
      }
    }
  }

  /**
   * Resolves when every message is stored on all in-sync replicas. Messages without a partition get the one of their key,
   * by the murmur2 hash that Kafka's own clients use; it is written into the message.
   * Order: messages of a partition are stored in their order; call again only when the last call has settled.
   * Throws KAFKA_UNAVAILABLE or PUBLISH_FAILED when it gave up; any message may then be stored or not.
   */
  async send(batch: readonly TopicMessages[]): Promise<void> {
    const sent = batch.filter(({ messages }) => messages.length > 0);
    if (sent.length === 0) return;
    const first = await this.#attempt(sent);
    if (first.next === 'done') return;
    try {
      await this.#sendAgain(first);
    } finally {
      await this.disconnect();
    }
  }

  /** Lets go of the connections; never rejects. A later `send` connects afresh. */
  async disconnect(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#toldEnds.clear();
    try {
      await (await connection)?.disconnect();
    } catch (error) {
      this.#options.logger?.warn({ err: error }, 'a Kafka producer did not disconnect cleanly');
    }
  }

  /** Sends what has failed, now each partition by itself: then it is known of each whether it is stored. */
  async #sendAgain(failed: Attempt): Promise<void> {
    let last = failed;
    for (let retry = 0; last.next !== 'done'; retry += 1) {
      if (last.next === 'giveUp' || retry === this.#retry.retries) throw translate(last.failure);
      const facts = { err: last.failure, partitions: last.unstored.length, retry };
      this.#options.logger?.info(facts, 'Kafka has not stored everything: sending the rest again');
      if (last.next === 'againAfresh') await this.disconnect();
      await this.#pause(retry);
      last = together(await Promise.all(last.unstored.map((portion) => this.#attempt([portion]))));
    }
  }

  /** Sends messages once; never rejects. */
  async #attempt(batch: readonly TopicMessages[]): Promise<Attempt> {
    let nextAfter = nextAfterConnecting;
    try {
      const producer = await this.#connected();
      nextAfter = nextAfterSending;
      const records = await producer.sendBatch({
        acks: ALL_IN_SYNC_REPLICAS,
        compression: this.#options.compression ?? CompressionTypes.None,
        topicMessages: [...batch],
      });
      const unstored = this.#unstored(batch, records);
      const failure = new TollbookError('PUBLISH_FAILED', 'Kafka acknowledged a batch without each of its partitions');
      return unstored.length === 0 ? DONE : { unstored, failure, next: 'againAfresh' };
    } catch (failure) {
      return { unstored: byPartition(batch), failure, next: nextAfter(failure) };
    }
  }

  /** The partitions of a batch that no record speaks of, or only a record of something older. */
  #unstored(batch: readonly TopicMessages[], records: readonly RecordMetadata[]): TopicMessages[] {
    const offsets = new Map(
      records.map(({ topicName, partition, baseOffset }) => [`${topicName}/${partition}`, BigInt(baseOffset ?? -1)]),
    );
    return byPartition(batch).filter(({ topic, messages }) => {
      const name = `${topic}/${messages[0]?.partition ?? ''}`;
      const offset = offsets.get(name) ?? -1n;
      if (offset < (this.#toldEnds.get(name) ?? 0n)) return true;
      this.#toldEnds.set(name, offset + BigInt(messages.length));
      return false;
    });
  }

  /** One producer for all who ask at once: asking twice for a producer id would mix two. Throws the errors of kafkajs. */
  #connected(): Promise<Producer> {
    return (this.#connection ??= this.#connectAfresh());
  }

  async #connectAfresh(): Promise<Producer> {
    const producer = this.#options.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: createStickyPartitioner,
      retry: { retries: NO_RETRIES },
    });
    try {
      await producer.connect();
      return producer;
    } catch (error) {
      this.#connection = undefined;
      await producer.disconnect().catch(() => undefined); // what is wrong is in the error of connecting
      throw error;
    }
  }

  async #pause(retry: number): Promise<void> {
    const { initialRetryTime, maxRetryTime } = this.#retry;
    // Producers that failed together do not come back together.
    const jitter = 0.8 + Math.random() * 0.4;
    await delay(Math.min(initialRetryTime * 2 ** retry, maxRetryTime) * jitter);
  }
}

/** Chooses as Kafka's own clients do, and keeps to it: sent again, a message goes to where it went first. */
function createStickyPartitioner(): (args: PartitionerArgs) => number {
  const choose = Partitioners.DefaultPartitioner();
  return (args) => (args.message.partition ??= choose(args));
}

/** Splits a batch by partition; messages that have none yet, because no metadata came, stay together. */
function byPartition(batch: readonly TopicMessages[]): TopicMessages[] {
  return batch.flatMap(({ topic, messages }) => {
    const portions = new Map<number | undefined, Message[]>();
    for (const message of messages) {
      const portion = portions.get(message.partition);
      if (portion === undefined) portions.set(message.partition, [message]);
      else portion.push(message);
    }
    return [...portions.values()].map((portion) => ({ topic, messages: portion }));
  });
}

/** kafkajs has tried to connect for as long as its own retries last when it says so. */
function nextAfterConnecting(failure: unknown): Attempt['next'] {
  return failure instanceof KafkaJSNumberOfRetriesExceeded ? 'giveUp' : 'again';
}

function nextAfterSending(failure: unknown): Attempt['next'] {
  if (failure instanceof KafkaJSNumberOfRetriesExceeded) return 'again';
  if (failure instanceof KafkaJSProtocolError) return SEQUENCE_ERRORS.has(failure.type) ? 'againAfresh' : 'giveUp';
  // Anything that is not an error of kafkajs is a state that it did not expect, such as a pool without brokers.
  return rootOf(failure) instanceof KafkaJSError ? 'giveUp' : 'againAfresh';
}

const URGENCY: readonly Attempt['next'][] = ['done', 'again', 'againAfresh', 'giveUp'];

/** What became of tries that were made side by side: the worst of them decides. */
function together(attempts: readonly Attempt[]): Attempt {
  const worst = attempts.reduce((a, b) => (URGENCY.indexOf(b.next) > URGENCY.indexOf(a.next) ? b : a), DONE);
  return { ...worst, unstored: attempts.flatMap(({ unstored }) => unstored) };
}

function rootOf(failure: unknown): unknown {
  const isWrapper = failure instanceof KafkaJSNonRetriableError;
  return isWrapper && failure.cause instanceof Error ? failure.cause : failure;
}

/** The one place where an error of a producer becomes ours. */
function translate(cause: unknown): TollbookError {
  if (cause instanceof TollbookError) return cause;
  const root = rootOf(cause);
  const reason = root instanceof Error ? root.message : String(root);
  return CONNECTION_ERRORS.some((type) => root instanceof type)
    ? new TollbookError('KAFKA_UNAVAILABLE', `no Kafka broker answered: ${reason}`, { cause })
    : new TollbookError('PUBLISH_FAILED', `Kafka did not take all messages: ${reason}`, { cause });
}
