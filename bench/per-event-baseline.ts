/**
 * Owns: the alternative that the ledger is compared with: the usual algorithm, one event at a time, as well as it can be
 * written, in a process of its own; the result is one line of JSON on stdout.
 *
 * For each message: SET NX of an idempotency key with a time to live; a look-up of the trace's earlier step; a Lua script
 * that deducts and counts the request; one statement that inserts the entry, updates the account and so commits (one round
 * trip instead of four); HSET of the quota hash. Many messages at once, on as many
 * connections; commands that are sent together share a packet (ioredis), statements are prepared once.
 * What it leaves out, so that it is rather too fast than too slow: validation, estimates with holds, chains, refusals for
 * quotas, dead letters, trimming of keys. What it cannot give: a key that has expired, or was lost with Redis, is charged
 * twice, and a crash between Redis and the commit leaves a deduction without an entry.
 */
import pg from 'pg';
import type { EachBatchPayload } from 'kafkajs';
import { loadConfig } from '../src/runtime/config.js';
import { createKafka } from '../src/runtime/kafka.js';
import { createRedis, waitForRedis } from '../src/runtime/redis.js';
import type { Redis } from 'ioredis';

/** What the child reports. */
export interface BaselineFigures {
  readonly messages: number;
  readonly elapsedMs: number;
  readonly cpuMs: number;
  readonly rssPeakBytes: number;
}

interface BaselineEvent {
  readonly trace_id: string;
  /** Absent in an event of an internal caller. */
  readonly tenant_id?: string;
  readonly model: string;
  readonly occurred_at: string;
  readonly pricing?: { readonly input_per_1k?: string; readonly output_per_1k?: string };
  readonly estimate?: { readonly input_tokens?: number; readonly max_output_tokens?: number };
  readonly usage?: { readonly input_tokens: number; readonly output_tokens: number };
}

const FETCH_BYTES = 2 * 1024 * 1024;
const KEY_TTL_SECONDS = 86_400;
const REDIS_WAIT_MS = 10_000;
const PARTITIONS_AT_ONCE = 4;

/** Deducts whole nano-units, given as a negative base-10 string, so that no Lua number touches money; counts the request. */
const DEDUCT = `
local left = redis.call('HINCRBY', KEYS[1], 'balance', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'daily_used', 1)
return left`;

const SCHEMA = `
CREATE TABLE baseline_accounts (tenant_id text PRIMARY KEY, balance numeric(28,9) NOT NULL, requests bigint NOT NULL);
CREATE TABLE baseline_entries (
  id bigserial PRIMARY KEY, tenant_id text NOT NULL, trace_id text NOT NULL, status text NOT NULL,
  amount numeric(28,9) NOT NULL, balance_after numeric(28,9) NOT NULL, input_tokens bigint, output_tokens bigint,
  input_price numeric, output_price numeric, model text, occurred_at timestamptz, recorded_at timestamptz DEFAULT now(),
  topic text, partition integer, kafka_offset bigint, UNIQUE (tenant_id, trace_id, status))`;

const LOOK_UP = {
  name: 'look-up',
  text: 'SELECT status, amount FROM baseline_entries WHERE tenant_id = $1 AND trace_id = $2',
};

const BOOK = {
  name: 'book',
  text: `WITH account AS (
    INSERT INTO baseline_accounts AS a VALUES ($1, -$4::numeric, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET balance = a.balance + EXCLUDED.balance, requests = a.requests + 1
    RETURNING balance)
  INSERT INTO baseline_entries (tenant_id, trace_id, status, amount, balance_after, input_tokens, output_tokens,
    input_price, output_price, model, occurred_at, topic, partition, kafka_offset)
  SELECT $1, $2, $3, $4, balance, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM account RETURNING balance_after`,
};

interface Shop {
  readonly pool: pg.Pool;
  readonly redis: Redis;
  readonly script: string;
  readonly prefix: string;
}

async function chargeOne(shop: Shop, payload: EachBatchPayload, offset: string, value: Buffer): Promise<void> {
  const event = JSON.parse(value.toString()) as BaselineEvent;
  if (event.tenant_id === undefined) return;
  const { topic, partition } = payload.batch;
  const status = event.usage === undefined ? 'PENDING' : 'COMMITTED';
  const { redis, pool, prefix } = shop;
  const isNew = await redis.set(`${prefix}:i:${event.trace_id}:${status}`, '1', 'EX', KEY_TTL_SECONDS, 'NX');
  if (isNew === null) return;
  const input = event.usage?.input_tokens ?? event.estimate?.input_tokens ?? 0;
  const output = event.usage?.output_tokens ?? event.estimate?.max_output_tokens ?? 0;
  const prices = [event.pricing?.input_per_1k ?? '0', event.pricing?.output_per_1k ?? '0'] as const;
  await pool.query({ ...LOOK_UP, values: [event.tenant_id, event.trace_id] });
  const nano = status === 'PENDING' ? 0n : nanoOf(input, prices[0]) + nanoOf(output, prices[1]);
  const hashKey = `${prefix}:q:${event.tenant_id}`;
  await redis.evalsha(shop.script, 1, hashKey, (-nano).toString());
  const amount = `${nano / 1_000_000_000n}.${(nano % 1_000_000_000n).toString().padStart(9, '0')}`;
  const booked = await pool.query<{ balance_after: string }>({
    ...BOOK,
    values: [
      ...[event.tenant_id, event.trace_id, status, amount, input, output, ...prices],
      ...[event.model, event.occurred_at, topic, partition, offset],
    ],
  });
  await redis.hset(hashKey, 'ledger_balance', booked.rows[0]?.balance_after ?? '');
}

/** Tokens times a price per thousand, in nano-units, cut off below: the baseline need not round as the ledger does. */
function nanoOf(tokens: number, per1k: string): bigint {
  const [whole = '0', fraction = ''] = per1k.split('.');
  return (BigInt(tokens) * BigInt(whole + fraction.padEnd(12, '0').slice(0, 12))) / 1_000_000n;
}

/** How many messages are to be charged, and how many were begun. */
interface Quota {
  readonly wanted: number;
  begun: number;
}

/** Charges the messages of a batch, at most `concurrency` at once; the connections bound all partitions together. */
async function chargeBatch(shop: Shop, payload: EachBatchPayload, concurrency: number, quota: Quota): Promise<void> {
  const messages = payload.batch.messages[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (const { offset, value } of messages) {
      if (quota.begun >= quota.wanted) return;
      quota.begun += 1;
      if (value !== null) await chargeOne(shop, payload, offset, value);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
}

async function run(): Promise<BaselineFigures> {
  const config = loadConfig();
  const concurrency = Number(process.env['BENCH_CONCURRENCY']);
  const topics = [config.topicPending, config.topicCompleted];
  const pool = new pg.Pool({ connectionString: config.databaseOwnerUrl, max: concurrency });
  await pool.query(`DROP TABLE IF EXISTS baseline_accounts, baseline_entries; ${SCHEMA}`);
  const redis = createRedis(config.redisUrl, { onError: () => undefined });
  await waitForRedis(redis, REDIS_WAIT_MS);
  const script = (await redis.script('LOAD', DEDUCT)) as string;
  const shop: Shop = { pool, redis, script, prefix: `${config.redisPrefix}-baseline-${Date.now()}` };
  const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-bench' });
  const consumer = kafka.consumer({
    groupId: `${config.consumerGroup}.baseline.${Date.now()}`,
    maxBytesPerPartition: FETCH_BYTES,
  });
  await consumer.connect();
  await consumer.subscribe({ topics, fromBeginning: true });
  const quota: Quota = { wanted: Number(process.env['BENCH_MESSAGES']), begun: 0 };
  let [startedMs, cpuAtStart] = [0, process.cpuUsage()];
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        autoCommit: false,
        partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
        eachBatch: async (payload) => {
          if (startedMs === 0) [startedMs, cpuAtStart] = [performance.now(), process.cpuUsage()];
          await chargeBatch(shop, payload, concurrency, quota);
          if (quota.begun >= quota.wanted) resolve();
        },
      })
      .catch(reject);
  });
  const elapsedMs = performance.now() - startedMs;
  const cpu = process.cpuUsage(cpuAtStart);
  await consumer.disconnect();
  await pool.query('DROP TABLE baseline_accounts, baseline_entries');
  await pool.end();
  redis.disconnect();
  const rssPeakBytes = process.resourceUsage().maxRSS * 1024;
  return { messages: quota.begun, elapsedMs, cpuMs: (cpu.user + cpu.system) / 1000, rssPeakBytes };
}

process.stdout.write(`${JSON.stringify(await run())}\n`);
