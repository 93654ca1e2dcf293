/**
 * Owns: the end-to-end lag at a fixed offered load: from the moment a gateway hands a message to its Kafka client, to the
 * commit of its entry, to the projection of its tenant.
 * How: the producer's clock is the timestamp that kafkajs puts on each message; the consumer's child records when every
 * chunk was committed and when its last tenant was projected; one machine, so one clock.
 * Invariants: the messages of the first seconds do not count (joining the group, compiling); a message's projection is
 * that of the last tenant of its chunk, so the lag is told too long rather than too short.
 */
import { enterRunWorld } from '../src/cli/run-world.js';
import type { Config } from '../src/runtime/config.js';
import { createKafka } from '../src/runtime/kafka.js';
import { publishPlan } from '../src/simulator/publish-plan.js';
import { spendable } from './drain.js';
import type { ChunkTimes } from './lag-child.js';
import { reportOf, startMeasured } from './measured-child.js';
import { percentile } from './spread-of.js';
import { MESSAGES_PER_REQUEST, planWorkload, type Workload } from './workloads.js';

/** One offered load. */
export interface LagOptions {
  readonly workload: Workload;
  /** Messages a second. */
  readonly offeredRate: number;
  readonly seconds: number;
  readonly partitions: number;
}

/** What came of it; lags in milliseconds. */
export interface LagSample {
  readonly offeredRate: number;
  /** What the publisher reached: below the offered rate the load was not what it says. */
  readonly publishedRate: number;
  readonly messages: number;
  readonly committedP50: number;
  readonly committedP99: number;
  readonly projectedP50: number;
  readonly projectedP99: number;
}

const WARM_UP_MS = 5_000;

/** Measures the lag at one load. Throws what the servers throw, CONSUMER_CRASHED. */
export async function measureLag({ workload, offeredRate, seconds, partitions }: LagOptions): Promise<LagSample> {
  const world = await enterRunWorld({ name: 'bench', partitions, report: () => undefined });
  try {
    const config = spendable(world);
    const requests = Math.round((offeredRate * (seconds + WARM_UP_MS / 1000)) / MESSAGES_PER_REQUEST);
    const plan = await planWorkload(workload, { requests, duplicates: 0 });
    const { total } = plan.expectation.published;
    const child = startMeasured({ name: 'lag-child', config, environment: { BENCH_MESSAGES: String(total) } });
    const report = reportOf<ChunkTimes[]>(child, 'lag-child');
    const published = await publishPlan(plan, {
      brokers: config.kafkaBrokers.split(','),
      topics: { pending: config.topicPending, completed: config.topicCompleted },
      ratePerSecond: offeredRate,
    });
    const lags = lagsOf(await report, await readTimestamps(config, total));
    return { offeredRate, publishedRate: published.messagesPerSecond, ...lags };
  } finally {
    await world.leave();
  }
}

/** When each message was produced, by `topic/partition` and offset. */
type Timestamps = ReadonlyMap<string, readonly number[]>;

function lagsOf(
  chunks: readonly ChunkTimes[],
  timestamps: Timestamps,
): Omit<LagSample, 'offeredRate' | 'publishedRate'> {
  const firstAtMs = Math.min(...[...timestamps.values()].map(([first = Number.POSITIVE_INFINITY]) => first));
  const [committed, projected]: [number[], number[]] = [[], []];
  for (const { topic, partition, firstOffset, nextOffset, committedAtMs, projectedAtMs } of chunks) {
    const produced = timestamps.get(`${topic}/${partition}`) ?? [];
    for (let offset = firstOffset; offset < nextOffset; offset += 1) {
      const producedAtMs = produced[offset];
      if (producedAtMs === undefined || producedAtMs < firstAtMs + WARM_UP_MS) continue;
      committed.push(committedAtMs - producedAtMs);
      projected.push(projectedAtMs - producedAtMs);
    }
  }
  for (const lags of [committed, projected]) lags.sort((a, b) => a - b);
  return {
    messages: committed.length,
    committedP50: percentile(committed, 0.5),
    committedP99: percentile(committed, 0.99),
    projectedP50: percentile(projected, 0.5),
    projectedP99: percentile(projected, 0.99),
  };
}

async function readTimestamps(config: Readonly<Config>, total: number): Promise<Timestamps> {
  const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-bench' });
  const consumer = kafka.consumer({ groupId: `${config.consumerGroup}.timestamps.${Date.now()}` });
  await consumer.connect();
  await consumer.subscribe({ topics: [config.topicPending, config.topicCompleted], fromBeginning: true });
  const timestamps = new Map<string, number[]>();
  let seen = 0;
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        autoCommit: false,
        eachBatch: ({ batch }) => {
          const key = `${batch.topic}/${batch.partition}`;
          const known = timestamps.get(key) ?? [];
          for (const { offset, timestamp } of batch.messages) known[Number(offset)] = Number(timestamp);
          timestamps.set(key, known);
          seen += batch.messages.length;
          if (seen >= total) resolve();
          return Promise.resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return timestamps;
}
