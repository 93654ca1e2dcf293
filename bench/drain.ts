/**
 * Owns: one measured drain: a world of its own, a backlog published, references, the consumer, what it left on disk.
 * Invariants: references are measured in the same run, on the same servers and the same messages.
 */
import { enterRunWorld, type RunWorld } from '../src/cli/run-world.js';
import type { Config } from '../src/runtime/config.js';
import { publishPlan, type PublishReport } from '../src/simulator/publish-plan.js';
import type { DrainFigures } from './drain-child.js';
import { measuredBaseline } from './baseline.js';
import { runMeasured } from './measured-child.js';
import { consumeRate, copyCeiling, readAndAppendRate } from './references.js';
import { serverCpu } from './server-cpu.js';
import { type StorageFigures, storageOf } from './storage.js';
import { type PlanSize, planWorkload, type Workload } from './workloads.js';

/** How a drain is run. */
export interface DrainOptions {
  readonly workload: Workload;
  readonly size: PlanSize;
  /** Of each topic. */
  readonly partitions: number;
  readonly references: readonly Reference[];
  readonly nodeArgs?: readonly string[];
  readonly report: (line: string) => void;
}

/** What a run is compared with. */
export type Reference = 'consume' | 'copy' | 'bound' | 'baseline';

/** CPU seconds for a million events, by process. */
export interface CpuPerMillion {
  readonly node: number;
  readonly postgres: number;
  readonly redis: number;
  readonly kafka: number;
}

/** What one drain came to; rates in messages or rows a second. */
export interface DrainSample {
  readonly messages: number;
  readonly drainRate: number;
  readonly publishRate: number;
  readonly consumeRate?: number;
  readonly copyRate?: number;
  /** Reading, parsing and appending, with nothing between. */
  readonly boundRate?: number;
  readonly baselineRate?: number;
  readonly baselineConcurrency?: number;
  readonly cpuSecondsPerMillion: CpuPerMillion;
  readonly rssPeakBytes: number;
  readonly messagesPerCommit: number;
  readonly storage: StorageFigures;
}

/** Measures one drain. Throws what the servers throw, CONSUMER_CRASHED. */
export async function measureDrain(options: DrainOptions): Promise<DrainSample> {
  const { workload, size, partitions, report } = options;
  const world = await enterRunWorld({ name: 'bench', partitions, report: () => undefined });
  try {
    const config = spendable(world);
    const { messagesPerSecond: publishRate } = await publish(config, workload, size);
    report(`published at ${Math.round(publishRate)}/s`);
    const sample = await drainBacklog(config, options);
    report(`drained at ${Math.round(sample.drainRate)}/s`);
    return { ...sample, publishRate };
  } finally {
    await world.leave();
  }
}

/** The settings of a world in which every tenant may spend: requests are held and charged, not refused. */
export function spendable(world: RunWorld): Readonly<Config> {
  return { ...world.config, defaultCreditLimit: '1000000' };
}

/** Publishes a workload as fast as Kafka takes it. */
export async function publish(config: Readonly<Config>, workload: Workload, size: PlanSize): Promise<PublishReport> {
  const plan = await planWorkload(workload, size);
  return publishPlan(plan, {
    brokers: config.kafkaBrokers.split(','),
    topics: { pending: config.topicPending, completed: config.topicCompleted },
  });
}

/** Drains what was published, with its references before and after. */
async function drainBacklog(
  config: Readonly<Config>,
  { references, nodeArgs, size }: DrainOptions,
): Promise<Omit<DrainSample, 'publishRate'>> {
  const consumed = references.includes('consume') ? { consumeRate: await consumeRate(config) } : {};
  const baseline = references.includes('baseline') ? await measuredBaseline(config, size) : {};
  const before = serverCpu();
  const figures = await runMeasured<DrainFigures>({
    name: 'drain-child',
    config,
    ...(nodeArgs === undefined ? {} : { nodeArgs }),
  });
  const after = serverCpu();
  const perMillion = (ms: number): number => (ms * 1000) / figures.messages;
  const storage = await storageOf(config);
  const copied = references.includes('copy') ? { copyRate: await copyCeiling(config) } : {};
  const boundRate = references.includes('bound') ? await readAndAppendRate(config, figures.messages) : undefined;
  return {
    messages: figures.messages,
    drainRate: (figures.messages * 1000) / figures.elapsedMs,
    ...consumed,
    ...baseline,
    ...copied,
    ...(boundRate === undefined ? {} : { boundRate }),
    cpuSecondsPerMillion: {
      node: perMillion(figures.cpuMs),
      postgres: perMillion(after.postgres - before.postgres),
      redis: perMillion(after.redis - before.redis),
      kafka: perMillion(after.kafka - before.kafka),
    },
    rssPeakBytes: figures.rssPeakBytes,
    messagesPerCommit: figures.messages / figures.batches,
    storage,
  };
}
