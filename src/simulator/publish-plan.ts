/**
 * Owns: publishing a plan to Kafka: batches, rate, progress.
 * Does not own: what is published (plan.ts). The gateway's publisher is not used, because it rightly refuses what a simulation
 * must send: malformed bytes and the same message twice.
 * Order: one batch is in flight at a time, so that messages of one key reach their partition in the order of the plan; the
 * next batch is made meanwhile.
 * Publishing a plan again adds every message again.
 */
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import type { Message } from 'kafkajs';
import { systemClock } from '../runtime/clock.js';
import { DurableProducer } from '../runtime/durable-producer.js';
import { createKafka } from '../runtime/kafka.js';
import { requireTopics } from '../runtime/kafka-topics.js';
import type { PlannedMessage } from './message-writer.js';
import type { SimulationPlan } from './plan.js';
import { TokenBucket } from './token-bucket.js';
import { TOPIC_ROLES, type TopicRole } from './wire-event.js';

/** Where a plan is published, and how fast. */
export interface PublishTarget {
  /** Addresses as host:port. */
  readonly brokers: readonly string[];
  readonly topics: Readonly<Record<TopicRole, string>>;
  /** Messages a second; 0 is as fast as Kafka takes them. */
  readonly ratePerSecond?: number;
  /** Called after every batch. */
  readonly onProgress?: (progress: PublishProgress) => void;
}

/** How far a publication is. */
export interface PublishProgress {
  readonly published: number;
  readonly total: number;
  readonly elapsedMs: number;
}

/** What a publication came to; every message was acknowledged by all in-sync replicas. */
export interface PublishReport {
  readonly published: number;
  readonly durationMs: number;
  readonly messagesPerSecond: number;
}

/** Of 500, 2,000 and 8,000 messages a batch, this took the least CPU time, by about a tenth. */
const BATCH_MESSAGES_MAX = 2_000;
/** Stays below the broker's request limit however large single messages are. */
const BATCH_BYTES_MAX = 2 * 1024 * 1024;
/** A limited rate is kept within a fiftieth of a second: larger bursts would be the lag that is measured with it. */
const BATCHES_PER_SECOND_MIN = 50;

/**
 * Publishes all messages of a plan and returns once Kafka has acknowledged them.
 * Throws TOPIC_MISSING before anything is sent, KAFKA_UNAVAILABLE when no broker answers, PUBLISH_FAILED otherwise.
 */
export async function publishPlan(plan: SimulationPlan, target: PublishTarget): Promise<PublishReport> {
  const kafka = createKafka({ brokers: target.brokers, clientId: 'tollbook-simulator' });
  await requireTopics(
    kafka,
    TOPIC_ROLES.map((role) => target.topics[role]),
  );
  const producer = new DurableProducer({ kafka });
  try {
    await producer.connect();
    return await publishAll(plan, target, producer);
  } finally {
    await producer.disconnect();
  }
}

async function publishAll(
  plan: SimulationPlan,
  target: PublishTarget,
  producer: DurableProducer,
): Promise<PublishReport> {
  const ratePerSecond = target.ratePerSecond ?? 0;
  const messagesMax = batchMessagesMax(ratePerSecond);
  const bucket = new TokenBucket({ ratePerSecond, burst: messagesMax, clock: systemClock });
  const { total } = plan.expectation.published;
  const startedMs = systemClock.nowMs();
  const elapsedMs = (): number => Math.max(1, systemClock.nowMs() - startedMs);
  const batches = batchesOf(plan.messages(), messagesMax);
  let published = 0;
  for (let batch = batches.next().value; batch !== undefined;) {
    if (ratePerSecond > 0) await delay(bucket.take(batch.length));
    const [, following] = await Promise.all([send(producer, target, batch), afterWriting(batches)]);
    published += batch.length;
    target.onProgress?.({ published, total, elapsedMs: elapsedMs() });
    batch = following;
  }
  const durationMs = elapsedMs();
  return { published, durationMs, messagesPerSecond: Math.round((published * 1000) / durationMs) };
}

type Batch = readonly PlannedMessage[];

/** Makes the next batch once the current one is on the socket, so that this process and the broker work side by side. */
async function afterWriting(batches: Iterator<Batch, undefined>): Promise<Batch | undefined> {
  await nextTurn();
  return batches.next().value;
}

function batchMessagesMax(ratePerSecond: number): number {
  if (ratePerSecond === 0) return BATCH_MESSAGES_MAX;
  return Math.min(BATCH_MESSAGES_MAX, Math.max(1, Math.floor(ratePerSecond / BATCHES_PER_SECOND_MIN)));
}

function* batchesOf(messages: Iterable<PlannedMessage>, messagesMax: number): Generator<Batch, undefined> {
  let batch: PlannedMessage[] = [];
  let bytes = 0;
  for (const message of messages) {
    const size = message.value?.length ?? 0;
    if (batch.length > 0 && (batch.length >= messagesMax || bytes + size > BATCH_BYTES_MAX)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(message);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
  return undefined;
}

async function send(producer: DurableProducer, { topics }: PublishTarget, batch: Batch): Promise<void> {
  const messagesOf = (role: TopicRole): Message[] =>
    batch.filter((message) => message.role === role).map(({ key, value }) => ({ key, value }));
  await producer.send(TOPIC_ROLES.map((role) => ({ topic: topics[role], messages: messagesOf(role) })));
}
