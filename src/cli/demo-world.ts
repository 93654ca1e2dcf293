/**
 * Owns: what a demo run runs in: the local stack, a database, topics and a key prefix of its own.
 * Invariants: every run starts from nothing; what an earlier run left is removed first; a stack that was up before stays
 * up, one that the demo started is stopped at its end.
 */
import pg from 'pg';
import { type Config, loadConfig } from '../runtime/config.js';
import { createKafka } from '../runtime/kafka.js';
import { migrate } from '../runtime/migrations.js';
import { translatePostgresError } from '../runtime/postgres.js';
import { createRedis, waitForRedis } from '../runtime/redis.js';
import { stackDown, stackUp } from '../stack/local-stack.js';
import { createTopics } from './topics-command.js';

/** Where a demo runs. */
export interface DemoWorld {
  readonly config: Readonly<Config>;
  /** Stops the stack if the demo started it. */
  leave(): Promise<void>;
}

const DATABASE = 'tollbook_demo';
const PREFIX = 'tollbook-demo';
const REDIS_WAIT_MS = 10_000;

/** Prepares everything; `report` hears each step. Throws STACK_*, POSTGRES_*, KAFKA_UNAVAILABLE, REDIS_*. */
export async function enterDemoWorld(partitions: number, report: (line: string) => void): Promise<DemoWorld> {
  const { addresses, started } = await stackUp({ report });
  const leave = async (): Promise<void> => {
    if (started.length > 0) await stackDown({ report });
  };
  try {
    const database = new URL(addresses.DATABASE_URL);
    await recreateDatabase(addresses.DATABASE_URL);
    database.pathname = `/${DATABASE}`;
    const run = Date.now().toString(36);
    const config = loadConfig({
      ...process.env,
      ...addresses,
      DATABASE_URL: database.href,
      DATABASE_OWNER_URL: database.href,
      TOLLBOOK_TOPIC_PENDING: `demo.${run}.usage.pending`,
      TOLLBOOK_TOPIC_COMPLETED: `demo.${run}.usage.completed`,
      TOLLBOOK_CONSUMER_GROUP: `demo.${run}`,
      TOLLBOOK_REDIS_PREFIX: PREFIX,
    });
    await migrate({ ownerUrl: config.databaseOwnerUrl });
    report(`postgres: database ${DATABASE} is new, and migrated`);
    await renewTopics(config, partitions);
    report(`kafka: topics ${config.topicPending} and ${config.topicCompleted}, ${partitions} partitions each`);
    await clearKeys(config.redisUrl);
    return { config, leave };
  } catch (error) {
    await leave();
    throw error;
  }
}

async function recreateDatabase(ownerUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  try {
    await client.connect();
    await client.query(`DROP DATABASE IF EXISTS ${DATABASE} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${DATABASE}`);
  } catch (error) {
    throw translatePostgresError(error);
  } finally {
    await client.end();
  }
}

async function renewTopics(config: Readonly<Config>, partitions: number): Promise<void> {
  const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-demo' });
  const admin = kafka.admin();
  try {
    await admin.connect();
    const old = (await admin.listTopics()).filter((topic) => /^demo\.\w+\.usage\./.test(topic));
    if (old.length > 0) await admin.deleteTopics({ topics: old });
  } finally {
    await admin.disconnect();
  }
  await createTopics(kafka, [config.topicPending, config.topicCompleted], { partitions });
}

async function clearKeys(redisUrl: string): Promise<void> {
  const redis = createRedis(redisUrl, { onError: () => undefined });
  try {
    await waitForRedis(redis, REDIS_WAIT_MS);
    for await (const keys of redis.scanStream({ match: `${PREFIX}:*`, count: 1000 }) as AsyncIterable<string[]>) {
      if (keys.length > 0) await redis.unlink(keys);
    }
  } finally {
    redis.disconnect();
  }
}
