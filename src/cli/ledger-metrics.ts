/**
 * Owns: where a ledger process's figures come from: its chunks, its projector and sweeps, the lag of its topics.
 * Does not own: the figures themselves (runtime/metrics.ts).
 * Invariants: a chunk is measured once, around the protocol; without an endpoint nothing is watched.
 */
import type { Admin } from 'kafkajs';
import type { ChargeProtocol } from '../consumers/charge-protocol.js';
import { streamLag } from '../consumers/stream-lag.js';
import type { LedgerReader } from '../ledger/ledger-reader.js';
import type { Config } from '../runtime/config.js';
import type { Logger } from '../runtime/logger.js';
import type { Metrics } from '../runtime/metrics.js';
import { startMetricsEndpoint } from '../runtime/metrics-endpoint.js';

/** Serves the figures when TOLLBOOK_METRICS_PORT says so; returns what closes the endpoint. Throws CONFIG_INVALID. */
export async function serveMetrics(
  metrics: Metrics,
  { config, logger }: { readonly config: Readonly<Config>; readonly logger: Logger },
): Promise<() => Promise<void>> {
  if (config.metricsPort === undefined) return () => Promise.resolve();
  metrics.watchProcess();
  const { port, close } = await startMetricsEndpoint(metrics, config.metricsPort);
  logger.info({ metricsPort: port }, 'serving /metrics and /healthz');
  return close;
}

/** The protocol, measured: what was sealed, and how long it took. */
export function measured(protocol: Pick<ChargeProtocol, 'charge'>, metrics: Metrics): Pick<ChargeProtocol, 'charge'> {
  return {
    charge: async (chunk) => {
      const startedMs = performance.now();
      const outcome = await protocol.charge(chunk);
      if (outcome.kind === 'charged') {
        const { source, counts } = outcome.batch;
        metrics.addChunk({ topic: source.topic, counts, seconds: (performance.now() - startedMs) / 1000 });
      }
      return outcome;
    },
  };
}

/** Tells how far each topic is ahead of the ledger, found out when somebody asks. */
export function watchStreamLag(
  metrics: Metrics,
  { admin, reader, topics }: { admin: Admin; reader: LedgerReader; topics: readonly string[] },
): void {
  metrics.watchLag(async () => {
    const lags = await Promise.all(topics.map((topic) => streamLag(admin, reader, [topic])));
    return new Map(topics.map((topic, index) => [topic, lags[index] ?? 0n]));
  });
}
