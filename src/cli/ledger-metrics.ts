/**
 * Owns: where a ledger process's figures come from: its chunks, its projector and sweeps, the lag of its topics.
 * Does not own: the figures themselves (runtime/metrics.ts).
 * Invariants: a chunk is measured once, around the protocol; without an endpoint nothing is watched.
 */
import type { Charging, ChunkOutcome } from '../consumers/charge-protocol.js';
import type { StoppedPartition } from '../consumers/stopped-partitions.js';
import type { PartitionBacklog } from '../consumers/stream-backlog.js';
import type { ProcessWatch } from '../process/process-watch.js';
import { blockedSeconds, type ReadinessDocument } from '../process/readiness.js';
import type { Clock } from '../runtime/clock.js';
import type { Config } from '../runtime/config.js';
import type { Logger } from '../runtime/logger.js';
import type { Metrics } from '../runtime/metrics.js';
import { startMetricsEndpoint } from '../runtime/metrics-endpoint.js';

const BACKLOG_FRESH_MS = 1_000;

/** Serves what a process tells when TOLLBOOK_METRICS_PORT says so; returns what closes the endpoint. Throws CONFIG_INVALID. */
export async function serveMetrics(
  { metrics, watch }: { readonly metrics: Metrics; readonly watch: ProcessWatch },
  { config, logger }: { readonly config: Readonly<Config>; readonly logger: Logger },
): Promise<() => Promise<void>> {
  const { metricsHost: host, metricsPort } = config;
  if (metricsPort === undefined) return () => Promise.resolve();
  metrics.watchProcess();
  const readiness = (): Promise<ReadinessDocument> => watch.readiness();
  const { port, close } = await startMetricsEndpoint({ metrics, readiness, host, port: metricsPort });
  logger.info({ metricsPort: port, metricsHost: host }, 'serving /livez, /readyz and /metrics');
  return close;
}

/** Charging, measured: what was sealed, and how long it took; `onChunk` is told of every outcome. */
export function measured(
  charging: Charging,
  { metrics, onChunk }: { readonly metrics: Metrics; readonly onChunk?: ((outcome: ChunkOutcome) => void) | undefined },
): Charging {
  return {
    charge: async (chunk) => {
      const startedMs = performance.now();
      const outcome = await charging.charge(chunk);
      onChunk?.(outcome);
      if (outcome.kind === 'charged') {
        const { source, counts } = outcome.batch;
        metrics.addChunk({ topic: source.topic, counts, seconds: (performance.now() - startedMs) / 1000 });
      }
      return outcome;
    },
  };
}

/** What the figures of partitions are read from. */
export interface PartitionFigures {
  readonly backlog: () => Promise<readonly PartitionBacklog[]>;
  readonly stopped: () => readonly StoppedPartition[];
  readonly clock: Clock;
}

/** Tells what is not charged of each topic and partition, and which partitions are stopped; found out when somebody asks. */
export function watchPartitions(metrics: Metrics, { backlog, stopped, clock }: PartitionFigures): void {
  metrics.watchGauge(
    {
      name: 'tollbook_stream_lag',
      help: 'Messages stored and not charged, over all partitions of a topic; open transactions count, markers do not.',
      labelNames: ['topic'],
    },
    async () => {
      const byTopic = new Map<string, bigint>();
      for (const { source, messages } of await backlog())
        byTopic.set(source.topic, (byTopic.get(source.topic) ?? 0n) + messages);
      return [...byTopic].map(([topic, messages]) => ({ labels: { topic }, value: Number(messages) }));
    },
  );
  metrics.watchGauge(
    {
      name: 'tollbook_oldest_uncharged_seconds',
      help: "Age of a partition's oldest message that is stored and not charged, by its producer's time; 0 without one.",
      labelNames: ['topic', 'partition'],
    },
    async () =>
      (await backlog()).map(({ source, oldestMs }) => ({
        labels: { ...source },
        value: oldestMs === undefined ? 0 : Math.max(0, clock.nowMs() - oldestMs) / 1000,
      })),
  );
  metrics.watchGauge(
    {
      name: 'tollbook_partition_blocked_seconds',
      help: 'How long a partition has been stopped by an error; absent while it is charged. Each is a reason to look.',
      labelNames: ['topic', 'partition', 'code'],
    },
    () =>
      Promise.resolve(
        stopped().map((each) => ({
          labels: { ...each.source, code: each.code },
          value: blockedSeconds(each, clock.nowMs()),
        })),
      ),
  );
}

/** Reads the backlog once for all figures of a scrape: what was read within the last second is told again. */
export function sharedBacklog(read: () => Promise<readonly PartitionBacklog[]>): PartitionFigures['backlog'] {
  let readAtMs = Number.NEGATIVE_INFINITY;
  let last: Promise<readonly PartitionBacklog[]> = Promise.resolve([]);
  return () => {
    if (performance.now() - readAtMs < BACKLOG_FRESH_MS) return last;
    readAtMs = performance.now();
    last = read();
    return last;
  };
}
