/**
 * Owns: `tollbook topics create`: the usage topics with the settings the ledger relies on.
 * Invariants: both topics have the same number of partitions, so that a tenant's pending and completed events meet on
 * the same partition number; an existing topic is left as it is.
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

/** Adds `topics create` to the program. */
export function registerTopicsCommand(program: Command): void {
  program
    .command('topics')
    .description('manage the usage topics')
    .command('create')
    .description('create the two usage topics where they are missing')
    .option('--partitions <n>', 'partitions of each topic', wholeNumber(1, 10_000), PARTITIONS_DEFAULT)
    .option('--replication-factor <n>', 'copies of each partition', wholeNumber(1, 9), 1)
    .option('--json', 'print the result as one JSON object')
    .action(async (flags: TopicsFlags) => {
      const config = loadConfig();
      const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-topics' });
      const created = await createTopics(kafka, [config.topicPending, config.topicCompleted], flags);
      process.stdout.write(
        flags.json === true
          ? `${JSON.stringify({ created })}\n`
          : created.length === 0
            ? 'both topics exist\n'
            : `created ${created.join(', ')} with ${flags.partitions} partitions\n`,
      );
    });
}

/** Creates those of the topics that are missing; returns their names. Throws KAFKA_UNAVAILABLE. */
export async function createTopics(
  kafka: Kafka,
  topics: readonly string[],
  { partitions, replicationFactor = 1 }: { partitions: number; replicationFactor?: number },
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
        configEntries: [{ name: 'max.message.bytes', value: String(MESSAGE_BYTES_MAX) }],
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
