/** Owns: two consumers of one group on this machine beside one, on backlogs of the same size. */
import { enterRunWorld } from '../src/cli/run-world.js';
import type { DrainFigures } from './drain-child.js';
import { publish, spendable } from './drain.js';
import { runMeasured } from './measured-child.js';
import { copyCeiling } from './references.js';
import type { PlanSize, Workload } from './workloads.js';

/** What came of it; messages a second of all processes together. */
export interface ScalingSample {
  readonly one: number;
  readonly two: number;
  /** Messages that the two charged between them, and that were published: equal, or something is wrong. */
  readonly charged: number;
  readonly published: number;
  /** Rows a second of the append ceiling, of the same ledger. */
  readonly copyRate: number;
}

/** Measures one process, then two, on fresh backlogs. Throws what the servers throw, CONSUMER_CRASHED. */
export async function measureScaling(options: {
  readonly workload: Workload;
  readonly size: PlanSize;
  readonly partitions: number;
}): Promise<ScalingSample> {
  const { workload, size, partitions } = options;
  const world = await enterRunWorld({ name: 'bench', partitions, report: () => undefined });
  try {
    const config = spendable(world);
    await publish(config, workload, { ...size, seed: 1 });
    const alone = await runMeasured<DrainFigures>({ name: 'drain-child', config });
    const { published } = await publish(config, workload, { ...size, seed: 2 });
    const both = await Promise.all([1, 2].map(() => runMeasured<DrainFigures>({ name: 'drain-child', config })));
    const busy = both.filter(({ startedAtMs }) => startedAtMs > 0);
    const startedAtMs = Math.min(...busy.map((figures) => figures.startedAtMs));
    const endedAtMs = Math.max(...busy.map((figures) => figures.startedAtMs + figures.elapsedMs));
    const charged = both.reduce((sum, { messages }) => sum + messages, 0);
    return {
      one: (alone.messages * 1000) / alone.elapsedMs,
      two: (charged * 1000) / (endedAtMs - startedAtMs),
      charged,
      published,
      copyRate: await copyCeiling(config),
    };
  } finally {
    await world.leave();
  }
}
