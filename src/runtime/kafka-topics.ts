/**
 * Owns: creating topics and waiting until they can be used, and the check that topics exist.
 * Why not kafkajs's own `waitForLeaders`: under KRaft a broker may for a moment not know a topic that the controller has
 * just created; kafkajs takes that answer (UNKNOWN_TOPIC_OR_PARTITION) for final and fails. And a leader that the metadata
 * names may not serve its partition yet (NOT_LEADER_FOR_PARTITION): a topic is ready once it tells its offsets.
 */
import { setTimeout as delay } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import type { Admin, ITopicConfig, Kafka } from 'kafkajs';
import { TollbookError } from './errors.js';

const READY_WAIT_MS = 30_000;
const READY_POLL_MS = 50;
/** What a broker says of a topic that is on its way. */
const NOT_YET: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
]);

/** Creates topics and returns once every partition is served. Throws KAFKA_UNAVAILABLE, kafkajs's errors. */
export async function createReadyTopics(admin: Admin, topics: ITopicConfig[]): Promise<void> {
  if (topics.length === 0) return;
  await admin.createTopics({ topics, waitForLeaders: false });
  const names = topics.map(({ topic }) => topic);
  const deadlineMs = performance.now() + READY_WAIT_MS;
  while (!(await areReady(admin, names))) {
    if (performance.now() > deadlineMs) {
      throw new TollbookError(
        'KAFKA_UNAVAILABLE',
        `${names.join(', ')} were not served after ${READY_WAIT_MS / 1000} s`,
      );
    }
    await delay(READY_POLL_MS);
  }
}

async function areReady(admin: Admin, names: string[]): Promise<boolean> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: names });
    if (topics.some(({ partitions }) => partitions.length === 0 || partitions.some(({ leader }) => leader < 0)))
      return false;
    await Promise.all(names.map((name) => admin.fetchTopicOffsets(name)));
    return true;
  } catch (error) {
    if (error instanceof kafkajs.KafkaJSProtocolError && NOT_YET.has(error.type)) return false;
    throw error;
  }
}

/** Throws TOPIC_MISSING unless the topics exist, KAFKA_UNAVAILABLE when no broker answers. */
export async function requireTopics(kafka: Kafka, topics: readonly string[]): Promise<void> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const present = new Set(await admin.listTopics());
    const missing = topics.filter((topic) => !present.has(topic));
    if (missing.length === 0) return;
    const sentence = `topic ${missing.join(', ')} does not exist, or this client may not see it`;
    throw new TollbookError('TOPIC_MISSING', sentence, { context: { missing } });
  } catch (cause) {
    if (cause instanceof TollbookError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TollbookError('KAFKA_UNAVAILABLE', `no Kafka broker answered: ${reason}`, { cause });
  } finally {
    await admin.disconnect();
  }
}
