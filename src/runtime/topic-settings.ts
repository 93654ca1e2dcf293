/**
 * Owns: the settings that a topic must have for a ledger to rely on it: what new topics get, and what is wrong with one
 * that exists.
 * Does not own: creating topics (kafka-topics.ts).
 * Invariants: nothing is changed on a topic that exists; what would lose events is refused, what may is told.
 */
import kafkajs from 'kafkajs';
import type { Admin } from 'kafkajs';
import { TollbookError } from './errors.js';

/** Room for the largest message that is to become a dead letter rather than a producer error. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
/** From so many replicas on one may fail while two still hold whatever was acknowledged. */
const REPLICAS_FOR_TWO_IN_SYNC = 3;

/** No time and no size after which Kafka deletes. */
const KEPT_FOR_EVER = { 'retention.ms': '-1', 'retention.bytes': '-1' } as const;

/** How many replicas must hold a message before it is acknowledged. */
export function inSyncReplicasMin(replicas: number): number {
  return replicas >= REPLICAS_FOR_TWO_IN_SYNC ? 2 : 1;
}

/** The settings of a new usage topic. */
export function usageTopicSettings(replicas: number): Readonly<Record<string, string>> {
  return {
    'cleanup.policy': 'delete',
    'compression.type': 'producer',
    'max.message.bytes': String(MESSAGE_BYTES_MAX),
    'min.insync.replicas': String(inSyncReplicasMin(replicas)),
    'unclean.leader.election.enable': 'false',
  };
}

/** The settings of a new journal of commands: those of a usage topic, and nothing is ever deleted. */
export function journalTopicSettings(replicas: number): Readonly<Record<string, string>> {
  return { ...usageTopicSettings(replicas), ...KEPT_FOR_EVER };
}

/** A setting with which events may be lost when brokers fail. */
export interface RiskySetting {
  readonly topic: string;
  readonly setting: string;
  readonly found: string;
  readonly advised: string;
}

/**
 * Checks the settings of usage topics; returns those that are merely risky.
 * Throws TOPIC_MISCONFIGURED when Kafka may delete events that were not read, and the errors of kafkajs.
 */
export async function checkUsageTopics(admin: Admin, topics: readonly string[]): Promise<RiskySetting[]> {
  const { topics: found } = await admin.fetchTopicMetadata({ topics: [...topics] });
  const replicas = new Map(
    found.map(({ name, partitions }) => [name, Math.max(...partitions.map((partition) => partition.replicas.length))]),
  );
  const risks: RiskySetting[] = [];
  for (const [topic, settings] of await readSettings(admin, topics)) {
    refuseCompaction(topic, settings.get('cleanup.policy') ?? 'delete');
    risks.push(...risksOf(topic, settings, replicas.get(topic) ?? 1));
  }
  return risks;
}

/** The same for a journal of commands, which Kafka must keep whole. */
export async function checkJournalTopic(admin: Admin, topic: string): Promise<RiskySetting[]> {
  const risks = await checkUsageTopics(admin, [topic]);
  const settings = (await readSettings(admin, [topic])).get(topic);
  const limited = Object.entries(KEPT_FOR_EVER).flatMap(([setting, advised]) => {
    const found = settings?.get(setting) ?? advised;
    return found === advised ? [] : [{ topic, setting, found, advised }];
  });
  return [...risks, ...limited];
}

async function readSettings(admin: Admin, topics: readonly string[]): Promise<Map<string, Map<string, string>>> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map((name) => ({
      type: kafkajs.ConfigResourceTypes.TOPIC,
      name,
      configNames: [
        'cleanup.policy',
        'min.insync.replicas',
        'unclean.leader.election.enable',
        ...Object.keys(KEPT_FOR_EVER),
      ],
    })),
  });
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
    ]),
  );
}

function refuseCompaction(topic: string, policy: string): void {
  if (!policy.split(',').some((word) => word.trim() === 'compact')) return;
  const why = 'of each tenant all but the newest events would be deleted, charged or not';
  throw new TollbookError(
    'TOPIC_MISCONFIGURED',
    `topic ${topic}: cleanup.policy is ${policy}, allowed: delete; ${why}`,
    { context: { topic, setting: 'cleanup.policy', found: policy, allowed: 'delete' } },
  );
}

function risksOf(topic: string, settings: ReadonlyMap<string, string>, replicas: number): RiskySetting[] {
  const inSyncMin = settings.get('min.insync.replicas') ?? '1';
  const unclean = settings.get('unclean.leader.election.enable') ?? 'false';
  const advised = inSyncReplicasMin(replicas);
  return [
    ...(Number(inSyncMin) < advised
      ? [{ topic, setting: 'min.insync.replicas', found: inSyncMin, advised: String(advised) }]
      : []),
    ...(unclean === 'true'
      ? [{ topic, setting: 'unclean.leader.election.enable', found: unclean, advised: 'false' }]
      : []),
  ];
}
