/**
 * Owns: `tollbook simulate`: its options, their spelling, and what it prints.
 * Does not own: the bounds of the options (simulation-options.ts), the simulation (src/simulator), the exit code of a
 * failure (the entry point).
 * Invariants: stdout carries the summary alone, with --json exactly one JSON object; progress goes to stderr.
 */
import { type Command, Option } from 'commander';
import { systemClock } from '../runtime/clock.js';
import { loadConfig } from '../runtime/config.js';
import type { SimulationExpectation } from '../simulator/expectation.js';
import { publishPlan, type PublishReport } from '../simulator/publish-plan.js';
import { exampleFiles, type PlanRequest, planSimulation, writeExpectation } from '../simulator/simulate.js';
import {
  REORDERINGS,
  resolveOptions,
  SIMULATION_DEFAULTS,
  type Reordering,
  type SimulationOptions,
  usageProblem,
} from '../simulator/simulation-options.js';
import { plainTable } from './plain-table.js';
import { startProgress } from './progress.js';
import { reportedText } from './reported-text.js';

type NumericOption = Exclude<keyof SimulationOptions, 'tenantPrefix' | 'reorder' | 'endAtMs'>;

/** The numeric options as the command line shows them; bounds and defaults are those of the simulation. */
const NUMERIC_OPTIONS: readonly (readonly [name: NumericOption, flags: string, description: string])[] = [
  ['requests', '--requests <n>', 'requests to send; the trace is repeated as often as needed'],
  ['tenants', '--tenants <n>', 'tenants to spread them over'],
  ['seed', '--seed <n>', 'seed of everything that is drawn'],
  ['tenantSkew', '--tenant-skew <exponent>', 'how uneven the tenants are: 0 equal, 1 strongly'],
  ['unfundedShare', '--unfunded-share <share>', 'tenants that never get credit, 0 to 1'],
  ['streamShare', '--stream-share <share>', 'requests that stream, 0 to 1'],
  ['meteredShare', '--metered-share <share>', 'requests that use a cache, and those that reason, 0 to 1'],
  ['cancelledShare', '--cancelled-share <share>', 'requests that are cancelled, 0 to 1'],
  ['failedShare', '--failed-share <share>', 'requests that fail, 0 to 1'],
  ['abandonedShare', '--abandoned-share <share>', 'requests whose gateway dies before they complete, 0 to 1'],
  ['unpricedShare', '--unpriced-share <share>', 'requests without a usable price, 0 to 1'],
  ['skippedShare', '--skipped-share <share>', 'requests that are not billable, 0 to 1'],
  ['duplicates', '--duplicates <share>', 'messages published a second time, 0 to 1'],
  ['poison', '--poison <share>', 'malformed messages, as a share of the well-formed, 0 to 1'],
  ['poisonLarge', '--poison-large <n>', 'messages of 10 MB'],
];

/** What commander hands over: every value as it was typed. */
interface SimulateFlags extends Partial<Record<NumericOption, string>> {
  readonly trace: string;
  readonly prices: string;
  readonly tenantPrefix: string;
  readonly reorder: Reordering;
  readonly rate: string;
  readonly endAt?: string;
  readonly out: string;
  readonly topicPending?: string;
  readonly topicCompleted?: string;
  readonly planOnly?: boolean;
  readonly json?: boolean;
}

const OUT_DEFAULT = '.tollbook/simulation.json';
const PLAIN_NUMBER = /^\d{1,17}(?:\.\d{1,17})?$/;
const RATE_MAX = 1_000_000;
/** RFC 3339 with an offset, to the second or finer. */
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

/** Adds `simulate` to the program. */
export function registerSimulateCommand(program: Command): void {
  const { traceFile, pricesFile } = exampleFiles();
  const command = program
    .command('simulate')
    .description('publish a trace of LLM requests as usage events, and write what the ledger must make of them')
    .option('--trace <file>', 'trace to replay (CSV: TIMESTAMP,ContextTokens,GeneratedTokens)', traceFile)
    .option('--prices <file>', 'price map (JSON: model → prices per token)', pricesFile);
  for (const [name, flags, description] of NUMERIC_OPTIONS) {
    command.option(flags, description, String(SIMULATION_DEFAULTS[name]));
  }
  command
    .option('--tenant-prefix <text>', 'what tenant ids begin with', SIMULATION_DEFAULTS.tenantPrefix)
    .addOption(
      new Option('--reorder <how>', `order of arrival: ${REORDERINGS.join(', ')}`).default(SIMULATION_DEFAULTS.reorder),
    )
    .option('--rate <n>', 'messages per second; 0 is as fast as possible', '0')
    .option('--end-at <time>', 'when the last event occurred, RFC 3339 (default: ten seconds ago)')
    .option('--out <file>', 'where to write what every tenant must have paid', OUT_DEFAULT)
    .option('--topic-pending <name>', 'topic of usage.pending (default: TOLLBOOK_TOPIC_PENDING)')
    .option('--topic-completed <name>', 'topic of usage.completed (default: TOLLBOOK_TOPIC_COMPLETED)')
    .option('--plan-only', 'write the expectation and send nothing')
    .option('--json', 'print the summary as one JSON object')
    .action(runSimulate);
}

async function runSimulate(flags: SimulateFlags, command: Command): Promise<void> {
  const ratePerSecond = readNumber('rate', flags.rate);
  if (ratePerSecond > RATE_MAX) throw usageProblem('rate', flags.rate, `a number from 0 to ${RATE_MAX}`);
  const request = readPlanRequest(flags);
  const target = flags.planOnly === true ? undefined : readTarget(flags);
  const plan = await planSimulation(request);
  const { expectation } = plan;
  await writeExpectation(expectation, flags.out);
  const report = target === undefined ? undefined : await publish(plan, { ...target, ratePerSecond }, flags);
  const print = flags.json === true ? summaryJson : summaryText;
  command.configureOutput().writeOut?.(`${print(expectation, report, flags.out)}\n`);
}

type Target = Pick<Parameters<typeof publishPlan>[1], 'brokers' | 'topics'>;

function readTarget(flags: SimulateFlags): Target {
  const config = loadConfig();
  const topics = {
    pending: flags.topicPending ?? config.topicPending,
    completed: flags.topicCompleted ?? config.topicCompleted,
  };
  return { brokers: config.kafkaBrokers.split(','), topics };
}

async function publish(
  plan: Parameters<typeof publishPlan>[0],
  target: Target & { ratePerSecond: number },
  flags: SimulateFlags,
): Promise<PublishReport> {
  const { total } = plan.expectation.published;
  const progress = startProgress({ label: 'publishing', total, unit: 'messages', silent: flags.json === true });
  try {
    return await publishPlan(plan, { ...target, onProgress: ({ published }) => progress.set(published) });
  } finally {
    progress.stop();
  }
}

/** Reads and checks all options, so that a wrong one is refused before a file is read or a broker asked. */
function readPlanRequest(flags: SimulateFlags): PlanRequest {
  const numbers = NUMERIC_OPTIONS.map(([name]) => [name, readNumber(name, flags[name] ?? '')] as const);
  const given: Partial<SimulationOptions> = {
    ...Object.fromEntries(numbers),
    tenantPrefix: flags.tenantPrefix,
    reorder: flags.reorder,
    ...(flags.endAt === undefined ? {} : { endAtMs: readInstant('endAt', flags.endAt) }),
  };
  return { ...resolveOptions(given, systemClock.nowMs()), traceFile: flags.trace, pricesFile: flags.prices };
}

function readNumber(option: string, text: string): number {
  if (!PLAIN_NUMBER.test(text))
    throw usageProblem(option, JSON.stringify(text), 'a non-negative number such as 20 or 0.05');
  return Number(text);
}

function readInstant(option: string, text: string): number {
  const atMs = INSTANT.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs))
    throw usageProblem(option, JSON.stringify(text), 'an RFC 3339 time such as 2026-03-31T09:30:00Z');
  return atMs;
}

function summaryJson(expectation: SimulationExpectation, report: PublishReport | undefined, out: string): string {
  const { tenants, ...rest } = expectation;
  return JSON.stringify({ ...rest, tenants: Object.keys(tenants).length, report: report ?? null, out });
}

function summaryText(expectation: SimulationExpectation, report: PublishReport | undefined, out: string): string {
  const { totals, expected, published } = expectation;
  const table = plainTable(['what the ledger must say', ''], ['left', 'right']);
  table.push(
    ['requests', totals.requests],
    ['charged (committed)', `${totals.charged} USD (${totals.committed})`],
    ['not collected (failed)', `${totals.uncollected} USD (${totals.failed})`],
    ['held by open requests', `${totals.held} USD (${totals.open})`],
    ['voided', totals.voided],
    ['skipped', expected.skipped.traces],
    ['unpriced', expected.unpriced.traces],
    ['repeated messages', expected.repeats],
    ['dead letters', expected.deadLettersTotal],
    ...Object.entries(expected.deadLetters).map(([reason, count]) => [`  ${reason}`, count]),
  );
  const told =
    report === undefined
      ? `planned ${published.total} messages, sent none`
      : `published ${report.published} messages in ${(report.durationMs / 1000).toFixed(1)} s (${report.messagesPerSecond}/s)`;
  return `${table.toString()}\n${reportedText(expectation.reported)}\n${told}\nper tenant, with the opening credit each one needs: ${out}`;
}
