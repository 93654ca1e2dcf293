/**
 * Owns: a simulation from its files to its report: read trace and prices, plan, write the expectation, publish.
 * Does not own: the command line (src/cli/simulate-command.ts); giving credit to the tenants, which the caller does between
 * `planSimulation` and `publishPlan`.
 * Invariants: the expectation is written before the first message is sent, so that an interrupted run can still be judged.
 */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../runtime/clock.js';
import { TollbookError } from '../runtime/errors.js';
import type { SimulationExpectation } from './expectation.js';
import { createPlan, type SimulationPlan } from './plan.js';
import { readPriceMap } from './price-map.js';
import { publishPlan, type PublishReport, type PublishTarget } from './publish-plan.js';
import { resolveOptions, type SimulationOptions } from './simulation-options.js';
import { readTraceFile } from './trace-file.js';

/** A simulation to plan: its options (the defaults fill the rest) and its files, which default to the package's examples. */
export interface PlanRequest extends Partial<SimulationOptions> {
  readonly traceFile?: string;
  readonly pricesFile?: string;
}

/** A simulation to plan and publish. */
export interface SimulateRequest extends PublishTarget {
  readonly simulation: PlanRequest;
  /** Where to write the expectation as JSON; its folder is created. Nothing is written without it. */
  readonly out?: string;
}

/** What a simulation published, and what the ledger must make of it. */
export interface SimulationResult {
  readonly expectation: SimulationExpectation;
  readonly report: PublishReport;
}

const TRACE_EXAMPLE = 'azure-llm-2023-code.csv';
const PRICES_EXAMPLE = 'model-prices-litellm-subset.json';
const FOLDERS_TO_ROOT_MAX = 5;

/** The trace and price files used unless others are named. */
export function exampleFiles(): { readonly traceFile: string; readonly pricesFile: string } {
  return { traceFile: exampleFile(TRACE_EXAMPLE), pricesFile: exampleFile(PRICES_EXAMPLE) };
}

/**
 * Plans a simulation and returns its messages and expectation; nothing is sent yet.
 * Throws USAGE_INVALID for an option out of bounds, FILE_UNREADABLE for a file.
 */
export async function planSimulation(request: PlanRequest = {}): Promise<SimulationPlan> {
  const { traceFile, pricesFile, ...given } = request;
  const options = resolveOptions(given, systemClock.nowMs());
  const trace = await readTraceFile(traceFile ?? exampleFile(TRACE_EXAMPLE));
  const prices = await readPriceMap(pricesFile ?? exampleFile(PRICES_EXAMPLE));
  return createPlan(options, { trace, prices });
}

/** Writes an expectation as JSON and creates the folder; throws FILE_UNREADABLE when that is not possible. */
export async function writeExpectation(expectation: SimulationExpectation, path: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `${JSON.stringify(expectation, null, 2)}\n`);
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `expectation file ${path} cannot be written`, {
      cause,
      context: { path },
    });
  }
}

/** Plans, writes the expectation and publishes; throws what planSimulation, writeExpectation and publishPlan throw. */
export async function simulate(request: SimulateRequest): Promise<SimulationResult> {
  const { simulation, out, ...target } = request;
  const plan = await planSimulation(simulation);
  if (out !== undefined) await writeExpectation(plan.expectation, out);
  const report = await publishPlan(plan, target);
  return { expectation: plan.expectation, report };
}

/** The examples lie at the root of the package, some folders above this module: more of them in a build than in a checkout. */
function exampleFile(name: string): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let level = 0; level < FOLDERS_TO_ROOT_MAX; level += 1) {
    folder = dirname(folder);
    const path = join(folder, 'examples', 'data', name);
    if (existsSync(path)) return path;
  }
  throw new TollbookError('FILE_UNREADABLE', `the example file ${name} is missing from the package`, {
    context: { name },
  });
}
