/**
 * Owns: `tollbook topics create`: the usage topics, and the anchor topic where one is configured, with the settings the
 * ledger relies on.
 * Invariants: both usage topics have the same number of partitions, so that a tenant's pending and completed events meet
 * on the same partition number; an existing topic is left as it is.
 */
import type { Command } from 'commander';
import type { Kafka } from 'kafkajs';
import { loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createKafka } from '../runtime/kafka.js';
import { createReadyTopics } from '../runtime/kafka-topics.js';
import { wholeNumber } from './option-values.js';

interface TopicsFlags {
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly json?: boolean;
}

/** Room for the largest message that is to become a dead letter rather than a producer error. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const PARTITIONS_DEFAULT = 4;
const USAGE_SETTINGS = { 'max.message.bytes': String(MESSAGE_BYTES_MAX) };
/** The newest anchor of each chain stays for ever, every anchor for a week; without small segments, for months. */
const ANCHOR_SETTINGS = {
  'cleanup.policy': 'compact',
  'min.compaction.lag.ms': String(7 * 24 * 3_600_000),
  'segment.ms': String(24 * 3_600_000),
  'segment.bytes': String(16 * 1024 * 1024),
};

/** Adds `topics create` to the program. */
export function registerTopicsCommand(program: Command): void {
  program
    .command('topics')
    .description('manage the usage topics')
    .command('create')
    .description(
      'create the two usage topics, and the anchor topic if TOLLBOOK_ANCHOR_TOPIC names one, where they are missing',
    )
    .option('--partitions <n>', 'partitions of each usage topic', wholeNumber(1, 10_000), PARTITIONS_DEFAULT)
    .option('--replication-factor <n>', 'copies of each partition', wholeNumber(1, 9), 1)
    .option('--json', 'print the result as one JSON object')
    .action(async (flags: TopicsFlags) => {
      const config = loadConfig();
      const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-topics' });
      const created = await createTopics(kafka, [config.topicPending, config.topicCompleted], flags);
      const anchor = config.anchorTopic === '' ? [] : await createAnchorTopic(kafka, config.anchorTopic, flags);
      process.stdout.write(
        flags.json === true
          ? `${JSON.stringify({ created: [...created, ...anchor] })}\n`
          : told(created, anchor, flags),
      );
    });
}

function told(created: readonly string[], anchor: readonly string[], { partitions }: TopicsFlags): string {
  const usage = created.length === 0 ? [] : [`created ${created.join(', ')} with ${partitions} partitions`];
  const lines = [...usage, ...anchor.map((topic) => `created ${topic}, compacted`)];
  return lines.length === 0 ? 'every topic exists\n' : `${lines.join('\n')}\n`;
}

/** How topics are created. */
interface TopicLayout {
  readonly partitions: number;
  readonly replicationFactor?: number;
  readonly settings?: Readonly<Record<string, string>>;
}

/** Creates the anchor topic where it is missing; returns its name then. Throws KAFKA_UNAVAILABLE. */
export function createAnchorTopic(
  kafka: Kafka,
  topic: string,
  { replicationFactor = 1 }: Pick<TopicLayout, 'replicationFactor'> = {},
): Promise<string[]> {
  return createTopics(kafka, [topic], { partitions: 1, replicationFactor, settings: ANCHOR_SETTINGS });
}

/** Creates those of the topics that are missing; returns their names. Throws KAFKA_UNAVAILABLE. */
export async function createTopics(
  kafka: Kafka,
  topics: readonly string[],
  { partitions, replicationFactor = 1, settings = USAGE_SETTINGS }: TopicLayout,
): Promise<string[]> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const existing = new Set(await admin.listTopics());
    const missing = topics.filter((topic) => !existing.has(topic));
    await createReadyTopics(
      admin,
      missing.map((topic) => ({
        topic,
        numPartitions: partitions,
        replicationFactor,
        configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
      })),
    );
    return missing;
  } catch (error) {
    throw new TollbookError(
      'KAFKA_UNAVAILABLE',
      `topics cannot be created: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    );
  } finally {
    await admin.disconnect();
  }
}
