/**
 * Owns: what a demo or a benchmark runs in: the local stack, a database, topics and a key prefix of its own.
 * Invariants: every run starts from nothing; what an earlier run of the same name left is removed first; a stack that was
 * up before stays up, one that was started here is stopped at the end.
 */
import pg from 'pg';
import { type Config, loadConfig } from '../runtime/config.js';
import { createKafka } from '../runtime/kafka.js';
import { migrate } from '../runtime/migrations.js';
import { translatePostgresError } from '../runtime/postgres.js';
import { createRedis, waitForRedis } from '../runtime/redis.js';
import { stackDown, stackUp } from '../stack/local-stack.js';
import { createJournalTopic, createTopics } from './topics-command.js';

/** Where a run takes place. */
export interface RunWorld {
  readonly config: Readonly<Config>;
  /** Stops the stack if it was started for this run. */
  leave(): Promise<void>;
}

const REDIS_WAIT_MS = 10_000;

/** How a world is made: `name` (letters only) names its database, topics and keys. */
export interface RunWorldOptions {
  readonly name: string;
  /** Of each of the two usage topics. */
  readonly partitions: number;
  /** Whether commands are published to a journal. */
  readonly keepsJournal?: boolean;
  readonly report: (line: string) => void;
}

/** Prepares everything; `report` hears each step. Throws STACK_*, POSTGRES_*, KAFKA_UNAVAILABLE, REDIS_*. */
export async function enterRunWorld({
  name,
  partitions,
  keepsJournal = false,
  report,
}: RunWorldOptions): Promise<RunWorld> {
  const [databaseName, prefix] = [`tollbook_${name}`, `tollbook-${name}`];
  const { addresses, started } = await stackUp({ report });
  const leave = async (): Promise<void> => {
    if (started.length > 0) await stackDown({ report });
  };
  try {
    const database = new URL(addresses.DATABASE_URL);
    await recreateDatabase(addresses.DATABASE_URL, databaseName);
    database.pathname = `/${databaseName}`;
    const run = Date.now().toString(36);
    const config = loadConfig({
      ...process.env,
      ...addresses,
      DATABASE_URL: database.href,
      DATABASE_OWNER_URL: database.href,
      TOLLBOOK_TOPIC_PENDING: `${name}.${run}.usage.pending`,
      TOLLBOOK_TOPIC_COMPLETED: `${name}.${run}.usage.completed`,
      TOLLBOOK_COMMANDS_TOPIC: keepsJournal ? `${name}.${run}.ledger.commands` : '',
      TOLLBOOK_CONSUMER_GROUP: `${name}.${run}`,
      TOLLBOOK_REDIS_PREFIX: prefix,
    });
    await migrate({ ownerUrl: config.databaseOwnerUrl });
    report(`postgres: database ${databaseName} is new, and migrated`);
    await renewTopics(config, { name, partitions });
    report(`kafka: topics ${config.topicPending} and ${config.topicCompleted}, ${partitions} partitions each`);
    await clearKeys(config.redisUrl, prefix);
    return { config, leave };
  } catch (error) {
    await leave();
    throw error;
  }
}

async function recreateDatabase(ownerUrl: string, databaseName: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  try {
    await client.connect();
    await client.query(`DROP DATABASE IF EXISTS ${databaseName} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${databaseName}`);
  } catch (error) {
    throw translatePostgresError(error);
  } finally {
    await client.end();
  }
}

async function renewTopics(
  config: Readonly<Config>,
  { name, partitions }: { name: string; partitions: number },
): Promise<void> {
  const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: `tollbook-${name}` });
  const admin = kafka.admin();
  try {
    await admin.connect();
    const old = (await admin.listTopics()).filter((topic) =>
      new RegExp(`^${name}\\.\\w+\\.(usage|ledger)\\.`).test(topic),
    );
    if (old.length > 0) await admin.deleteTopics({ topics: old });
  } finally {
    await admin.disconnect();
  }
  await createTopics(kafka, [config.topicPending, config.topicCompleted], { partitions });
  if (config.commandsTopic !== '') await createJournalTopic(kafka, config.commandsTopic);
}

async function clearKeys(redisUrl: string, prefix: string): Promise<void> {
  const redis = createRedis(redisUrl, { onError: () => undefined });
  try {
    await waitForRedis(redis, REDIS_WAIT_MS);
    for await (const keys of redis.scanStream({ match: `${prefix}:*`, count: 1000 }) as AsyncIterable<string[]>) {
      if (keys.length > 0) await redis.unlink(keys);
    }
  } finally {
    redis.disconnect();
  }
}
