/** Owns: at which concurrency the per-event baseline is fastest here, and how fast it then is. */
import type { Config } from '../src/runtime/config.js';
import { runMeasured } from './measured-child.js';
import type { BaselineFigures } from './per-event-baseline.js';
import { MESSAGES_PER_REQUEST, type PlanSize } from './workloads.js';

/** Events in flight at once that are tried. */
const CONCURRENCIES = [8, 16, 32, 64];
/** Messages of a trial, and of the measurement itself; its rate does not depend on how many follow. */
const TRIAL_MESSAGES = 4_000;
const MEASURED_MESSAGES = 20_000;

/** Tries every concurrency, then measures the best one. Throws CONSUMER_CRASHED. */
export async function measuredBaseline(
  config: Readonly<Config>,
  { requests }: PlanSize,
): Promise<{ readonly baselineRate: number; readonly baselineConcurrency: number }> {
  const most = Math.floor(requests * MESSAGES_PER_REQUEST * 0.9);
  let [baselineConcurrency, best] = [0, 0];
  for (const concurrency of CONCURRENCIES) {
    const rate = await rateAt(config, concurrency, Math.min(TRIAL_MESSAGES, most));
    if (rate > best) [baselineConcurrency, best] = [concurrency, rate];
  }
  const baselineRate = await rateAt(config, baselineConcurrency, Math.min(MEASURED_MESSAGES, most));
  return { baselineRate, baselineConcurrency };
}

async function rateAt(config: Readonly<Config>, concurrency: number, messages: number): Promise<number> {
  const figures = await runMeasured<BaselineFigures>({
    name: 'per-event-baseline',
    config,
    environment: { BENCH_CONCURRENCY: String(concurrency), BENCH_MESSAGES: String(messages) },
  });
  return (figures.messages * 1000) / figures.elapsedMs;
}
