/**
 * Owns: which measurements make up a benchmark, and in which order: all workloads once, then again, so that a slow minute
 * of the machine falls on one run of each and not on all runs of one.
 */
import { type DrainSample, measureDrain, type Reference } from './drain.js';
import { type LagSample, measureLag } from './lag.js';
import { type MachineFacts, machineFacts } from './machine.js';
import { measureScaling, type ScalingSample } from './two-consumers.js';
import { WORKLOADS, type Workload } from './workloads.js';

/** What is measured. */
export interface SuiteOptions {
  readonly requests: number;
  readonly runs: number;
  readonly partitions: number;
  readonly workloads: readonly Workload[];
  readonly duplicates: readonly number[];
  /** Offered loads, messages a second; none: no lag is measured. */
  readonly loads: readonly number[];
  readonly loadSeconds: number;
  readonly scaling: boolean;
  /** Without: no ratio can be told. */
  readonly references: boolean;
  readonly nodeArgs: readonly string[];
  readonly report: (line: string) => void;
}

/** All runs of one workload at one share of duplicates. */
export interface DrainCell {
  readonly workload: string;
  readonly tenants: number;
  readonly duplicates: number;
  readonly samples: readonly DrainSample[];
}

/** Everything a benchmark measured. */
export interface SuiteResult {
  readonly startedAt: string;
  readonly machine: MachineFacts;
  readonly requests: number;
  readonly partitions: number;
  readonly drains: readonly DrainCell[];
  readonly lags: readonly (LagSample & { readonly workload: string })[];
  readonly scaling?: ScalingSample;
}

/** Runs a benchmark. Throws what the servers throw, CONSUMER_CRASHED. */
export async function runSuite(options: SuiteOptions): Promise<SuiteResult> {
  const startedAt = new Date().toISOString();
  const machine = await machineFacts();
  const drains = await drainAll(options);
  const lags = await lagAll(options);
  const { requests, partitions, scaling } = options;
  const result = { startedAt, machine, requests, partitions, drains, lags };
  if (!scaling) return result;
  options.report('two consumers beside one');
  const workload = options.workloads[0] ?? WORKLOADS.spread;
  return { ...result, scaling: await measureScaling({ workload, size: { requests, duplicates: 0 }, partitions }) };
}

async function drainAll(options: SuiteOptions): Promise<DrainCell[]> {
  const cells = options.workloads.flatMap((workload) =>
    options.duplicates.map((duplicates) => ({ workload, duplicates, samples: [] as DrainSample[] })),
  );
  for (let run = 1; run <= options.runs; run += 1) {
    for (const { workload, duplicates, samples } of cells) {
      const title = `${workload.name}, ${duplicates * 100} % duplicates, run ${run} of ${options.runs}`;
      samples.push(
        await measureDrain({
          workload,
          size: { requests: options.requests, duplicates },
          partitions: options.partitions,
          references: referencesOf(options, duplicates),
          nodeArgs: options.nodeArgs,
          report: (line) => options.report(`${title}: ${line}`),
        }),
      );
    }
  }
  return cells.map(({ workload, duplicates, samples }) => {
    return { workload: workload.name, tenants: workload.tenants, duplicates, samples };
  });
}

/** The baseline and the bound are measured where nothing is repeated: a repeated event costs both a fraction. */
function referencesOf({ references }: SuiteOptions, duplicates: number): Reference[] {
  if (!references) return [];
  return duplicates === 0 ? ['consume', 'copy', 'bound', 'baseline'] : ['consume', 'copy'];
}

async function lagAll(options: SuiteOptions): Promise<(LagSample & { workload: string })[]> {
  const lags: (LagSample & { workload: string })[] = [];
  const workload = options.workloads[0] ?? WORKLOADS.spread;
  for (const offeredRate of options.loads) {
    options.report(`lag at ${offeredRate} messages a second`);
    const sample = await measureLag({
      workload,
      offeredRate,
      seconds: options.loadSeconds,
      partitions: options.partitions,
    });
    lags.push({ ...sample, workload: workload.name });
  }
  return lags;
}
