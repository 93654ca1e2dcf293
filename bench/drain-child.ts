/**
 * Owns: one measured drain in a process of its own: a consumer with its projector, from the first chunk to the last
 * projection; the result is one line of JSON on stdout. Settings come from the environment, as for every process.
 * Invariants: the clock starts before the first message is fetched and stops when no offset and no projection is left; a
 * drain that does not get on fails and says what is left.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Admin } from 'kafkajs';
import { connectAdmin, startLedgerProcess } from '../src/cli/ledger-process.js';
import type { LedgerReader } from '../src/ledger/ledger-reader.js';
import { PostgresLedgerReader } from '../src/ledger/postgres/postgres-ledger-reader.js';
import { loadConfig } from '../src/runtime/config.js';
import { TollbookError } from '../src/runtime/errors.js';
import { createKafka } from '../src/runtime/kafka.js';
import { createLogger } from '../src/runtime/logger.js';
import { createPostgresPool } from '../src/runtime/postgres.js';

/** What the child reports. */
export interface DrainFigures {
  /** Messages charged or otherwise accounted for. */
  readonly messages: number;
  readonly batches: number;
  /** From the start of the first chunk's fetch to the last projection. */
  readonly elapsedMs: number;
  /** CPU time of this process in the same span. */
  readonly cpuMs: number;
  readonly rssPeakBytes: number;
  /** When the span began, in milliseconds since the Unix epoch; 0 when nothing was fetched. */
  readonly startedAtMs: number;
}

/** How often the cursors are read: the measured process pays for it. */
const CURSOR_POLL_MS = 50;
/** Longer than a rebalance that waits for a member which has died. */
const STANDSTILL_MAX_MS = 120_000;

async function drain(): Promise<DrainFigures> {
  const config = loadConfig();
  const topics = [config.topicPending, config.topicCompleted];
  const pool = createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: 'tollbook-bench',
    connectionsMax: 1,
  });
  const { admin } = await connectAdmin(
    createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-bench' }),
    topics,
  );
  const reader = new PostgresLedgerReader(pool);
  const ends = await endsOf(admin, topics);
  let [messages, batches, startedMs, cpuAtStart] = [0, 0, 0, process.cpuUsage()];
  let failure: Error | undefined;
  const ledger = await startLedgerProcess({
    config,
    logger: createLogger({ level: 'warn', name: 'bench' }),
    consumes: true,
    projects: process.env['BENCH_NO_PROJECT'] === undefined,
    sweepIntervalMs: 3_600_000,
    onFetch: () => {
      if (startedMs !== 0) return;
      [startedMs, cpuAtStart] = [performance.now(), process.cpuUsage()];
    },
    onChunk: (outcome) => {
      if (outcome.kind !== 'charged') return;
      const { openings: _openings, ...counts } = outcome.batch.counts;
      messages += Object.values(counts).reduce((sum, count) => sum + count, 0);
      batches += 1;
    },
    onFatal: (error) => void (failure = error),
  });
  await untilDrained(
    () => offsetsLeft(reader, ends),
    () => failure,
  );
  await ledger.projector.idle();
  const elapsedMs = startedMs === 0 ? 0 : performance.now() - startedMs;
  const startedAtMs = startedMs === 0 ? 0 : Date.now() - elapsedMs;
  const cpu = process.cpuUsage(cpuAtStart);
  const rssPeakBytes = process.resourceUsage().maxRSS * 1024;
  await ledger.stop();
  await admin.disconnect();
  await pool.end();
  return { messages, batches, elapsedMs, cpuMs: (cpu.user + cpu.system) / 1000, rssPeakBytes, startedAtMs };
}

/** The end of every partition of the topics that holds a message, by `topic/partition`: nothing is published meanwhile. */
async function endsOf(admin: Admin, topics: readonly string[]): Promise<ReadonlyMap<string, bigint>> {
  const ends = new Map<string, bigint>();
  for (const topic of topics) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      if (BigInt(high) > BigInt(low)) ends.set(`${topic}/${partition}`, BigInt(high));
    }
  }
  return ends;
}

/** How many offsets the cursors are away from the ends. */
async function offsetsLeft(reader: LedgerReader, ends: ReadonlyMap<string, bigint>): Promise<bigint> {
  const positions = new Map<string, bigint>();
  for (const { source, nextOffset } of await reader.readCursors()) {
    positions.set(`${source.topic}/${source.partition}`, nextOffset);
  }
  let left = 0n;
  for (const [key, end] of ends) left += end - (positions.get(key) ?? 0n);
  return left;
}

/** Waits until nothing is left. Throws the failure of the process; CONSUMER_CRASHED when nothing moves any more. */
async function untilDrained(lagNow: () => Promise<bigint>, failure: () => Error | undefined): Promise<void> {
  let [left, movedAtMs] = [-1n, performance.now()];
  for (let lag = await lagNow(); lag > 0n; lag = await lagNow()) {
    const failed = failure();
    if (failed !== undefined) throw failed;
    if (lag !== left) [left, movedAtMs] = [lag, performance.now()];
    if (performance.now() - movedAtMs > STANDSTILL_MAX_MS) {
      throw new TollbookError('CONSUMER_CRASHED', `${lag} offsets are left and none was charged for 120 s`);
    }
    await delay(CURSOR_POLL_MS);
  }
}

process.stdout.write(`${JSON.stringify(await drain())}\n`);
