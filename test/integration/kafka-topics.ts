/** Owns: topics of a test's own on the Kafka of KAFKA_BROKERS, and reading them whole. */
import { randomBytes } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import { TollbookError } from '../../src/runtime/errors.js';
import { createKafka } from '../../src/runtime/kafka.js';
import { createReadyTopics } from '../../src/runtime/kafka-topics.js';

/** A message as it lies in a topic. */
export interface TopicMessage {
  readonly partition: number;
  readonly kafkaOffset: bigint;
  readonly key: string;
  readonly value: string;
}

/** The brokers to test against; throws CONFIG_INVALID when none are named, so that a test fails instead of skipping. */
export function testBrokers(): string[] {
  const brokers = process.env['KAFKA_BROKERS'] ?? '';
  if (brokers === '')
    throw new TollbookError('CONFIG_INVALID', 'KAFKA_BROKERS is not set: start the local stack first');
  return brokers.split(',');
}

/** A Kafka client for tests. */
export function testKafka(): Kafka {
  return createKafka({ brokers: testBrokers(), clientId: 'tollbook-test' });
}

/** A topic name that no other test uses. */
export function uniqueTopic(prefix: string): string {
  return `${prefix}.${randomBytes(6).toString('hex')}`;
}

/** Creates topics with some partitions each. */
export async function createTopics(kafka: Kafka, topics: readonly string[], numPartitions: number): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  await createReadyTopics(
    admin,
    topics.map((topic) => ({ topic, numPartitions })),
  );
  await admin.disconnect();
}

/** Deletes topics. */
export async function deleteTopics(kafka: Kafka, topics: readonly string[]): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [...topics] });
  await admin.disconnect();
}

/** How many messages lie in a topic, all partitions together. */
export async function countMessages(kafka: Kafka, topic: string): Promise<number> {
  const admin = kafka.admin();
  await admin.connect();
  const partitions = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return partitions.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
}

/** Reads a whole topic, as many messages as it holds now; each partition in its order. */
export async function readTopic(kafka: Kafka, topic: string): Promise<TopicMessage[]> {
  const expected = await countMessages(kafka, topic);
  const messages: TopicMessage[] = [];
  if (expected === 0) return messages;
  const consumer = kafka.consumer({ groupId: uniqueTopic('reader'), maxWaitTimeInMs: 50 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    const eachMessage = ({ partition, message }: { partition: number; message: MessageOfKafka }): Promise<void> => {
      messages.push(topicMessage(partition, message));
      if (messages.length === expected) resolve();
      return Promise.resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  return messages;
}

interface MessageOfKafka {
  readonly offset: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

function topicMessage(partition: number, { offset, key, value }: MessageOfKafka): TopicMessage {
  return { partition, kafkaOffset: BigInt(offset), key: String(key), value: String(value) };
}
