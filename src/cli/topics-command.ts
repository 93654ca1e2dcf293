/**
 * Owns: `tollbook topics create`: the usage topics, and the journal of commands and the anchor topic where they are
 * configured, with the settings the ledger relies on.
 * Invariants: both usage topics have the same number of partitions, so that a tenant's pending and completed events meet
 * on the same partition number; an existing topic is left as it is.
 */
import type { Command } from 'commander';
import type { Admin, Kafka } from 'kafkajs';
import { loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createKafka } from '../runtime/kafka.js';
import { createReadyTopics } from '../runtime/kafka-topics.js';
import { journalTopicSettings, usageTopicSettings } from '../runtime/topic-settings.js';
import { wholeNumber } from './option-values.js';
import { printText } from './output.js';

interface TopicsFlags {
  readonly partitions: number;
  readonly replicationFactor?: number;
  readonly json?: boolean;
}

const PARTITIONS_DEFAULT = 4;
/** More copies than this are for whoever asks for them. */
const REPLICAS_DEFAULT_MAX = 3;
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
      'create the two usage topics, and those that TOLLBOOK_COMMANDS_TOPIC and TOLLBOOK_ANCHOR_TOPIC name, where missing',
    )
    .option('--partitions <n>', 'partitions of each usage topic', wholeNumber(1, 10_000), PARTITIONS_DEFAULT)
    .option(
      '--replication-factor <n>',
      'copies of each partition (default: 3, or as many as there are brokers)',
      wholeNumber(1, 9),
    )
    .option('--json', 'print the result as one JSON object')
    .action(async (flags: TopicsFlags) => {
      const config = loadConfig();
      const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-topics' });
      const usage = await createTopics(kafka, [config.topicPending, config.topicCompleted], flags);
      const anchor = config.anchorTopic === '' ? NOTHING : await createAnchorTopic(kafka, config.anchorTopic, flags);
      const journal =
        config.commandsTopic === '' ? NOTHING : await createJournalTopic(kafka, config.commandsTopic, flags);
      const created = [...usage.created, ...journal.created, ...anchor.created];
      const differences = [...usage.differences, ...journal.differences, ...anchor.differences];
      printText(
        flags.json === true
          ? `${JSON.stringify({ created, differences })}\n`
          : told({ created: usage.created, differences }, { journal: journal.created, anchor: anchor.created }, flags),
      );
    });
}

function told(
  { created, differences }: CreatedTopics,
  { journal, anchor }: { readonly journal: readonly string[]; readonly anchor: readonly string[] },
  { partitions }: TopicsFlags,
): string {
  const usage = created.length === 0 ? [] : [`created ${created.join(', ')} with ${partitions} partitions`];
  const lines = [
    ...usage,
    ...journal.map((topic) => `created ${topic}, kept for ever`),
    ...anchor.map((topic) => `created ${topic}, compacted`),
  ];
  if (lines.length === 0) lines.push('every topic exists');
  const others = differences.map(
    ({ topic, partitions: found, asked }) =>
      `${topic} has ${found} partitions, not ${asked}: an existing topic is left as it is`,
  );
  return [...lines, ...others].map((line) => `${line}\n`).join('');
}

/** How topics are created. */
interface TopicLayout {
  readonly partitions: number;
  /** Copies of each partition; three unless given, or as many as there are brokers. */
  readonly replicationFactor?: number | undefined;
  readonly settings?: Readonly<Record<string, string>>;
  /** All settings, by the number of copies; default: those of a usage topic. */
  readonly settingsFor?: (replicas: number) => Readonly<Record<string, string>>;
}

/** A topic that has another number of partitions than was asked for. */
interface PartitionDifference {
  readonly topic: string;
  readonly partitions: number;
  readonly asked: number;
}

/** Which topics were missing, and which were there with another layout. */
export interface CreatedTopics {
  readonly created: readonly string[];
  readonly differences: readonly PartitionDifference[];
}

const NOTHING: CreatedTopics = { created: [], differences: [] };

/** Creates the anchor topic where it is missing. Throws KAFKA_UNAVAILABLE. */
export function createAnchorTopic(
  kafka: Kafka,
  topic: string,
  { replicationFactor }: Pick<TopicLayout, 'replicationFactor'> = {},
): Promise<CreatedTopics> {
  return createTopics(kafka, [topic], { partitions: 1, replicationFactor, settings: ANCHOR_SETTINGS });
}

/** Creates the journal of commands where it is missing: of one partition, in the order of booking. Throws KAFKA_UNAVAILABLE. */
export function createJournalTopic(
  kafka: Kafka,
  topic: string,
  { replicationFactor }: Pick<TopicLayout, 'replicationFactor'> = {},
): Promise<CreatedTopics> {
  return createTopics(kafka, [topic], { partitions: 1, replicationFactor, settingsFor: journalTopicSettings });
}

/** Creates those of the topics that are missing, as usage topics unless other settings are given. Throws KAFKA_UNAVAILABLE. */
export async function createTopics(
  kafka: Kafka,
  topics: readonly string[],
  { partitions, replicationFactor, settings, settingsFor = usageTopicSettings }: TopicLayout,
): Promise<CreatedTopics> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const existing = new Set(await admin.listTopics());
    const [created, present] = [
      topics.filter((topic) => !existing.has(topic)),
      topics.filter((topic) => existing.has(topic)),
    ];
    const replicas =
      replicationFactor ?? Math.min(REPLICAS_DEFAULT_MAX, (await admin.describeCluster()).brokers.length);
    const entries = { ...settingsFor(replicas), ...settings };
    await createReadyTopics(
      admin,
      created.map((topic) => ({
        topic,
        numPartitions: partitions,
        replicationFactor: replicas,
        configEntries: Object.entries(entries).map(([name, value]) => ({ name, value })),
      })),
    );
    return { created, differences: await differencesOf(admin, present, partitions) };
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

async function differencesOf(admin: Admin, topics: string[], asked: number): Promise<PartitionDifference[]> {
  if (topics.length === 0) return [];
  const found = await admin.fetchTopicMetadata({ topics });
  return found.topics
    .map(({ name, partitions }) => ({ topic: name, partitions: partitions.length, asked }))
    .filter(({ partitions }) => partitions !== asked);
}
