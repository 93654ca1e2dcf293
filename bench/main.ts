/**
 * Owns: the command line of the benchmarks: workload, runs, what is printed.
 * Invariants: every figure stands beside references measured in the same run on the same servers.
 */
import 'reflect-metadata';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { plainTable } from '../src/cli/plain-table.js';
import { enterRunWorld } from '../src/cli/run-world.js';
import { wholeNumber } from '../src/cli/option-values.js';
import { environmentOf, type Config } from '../src/runtime/config.js';
import { TollbookError } from '../src/runtime/errors.js';
import { publishPlan } from '../src/simulator/publish-plan.js';
import { planSimulation } from '../src/simulator/simulate.js';
import type { DrainFigures } from './drain-child.js';
import { consumeRate, copyCeiling } from './references.js';
import { serverCpu, type ServerCpu } from './server-cpu.js';

interface DrainFlags {
  readonly requests: number;
  readonly tenants: number;
  readonly skew: string;
  readonly partitions: number;
  readonly duplicates: string;
  readonly runs: number;
  readonly json?: boolean;
  readonly nodeArgs: string;
  readonly references: boolean;
}

interface DrainRun extends DrainFigures {
  readonly eventsPerSecond: number;
  readonly publishPerSecond: number;
  readonly consumePerSecond: number;
  readonly copyRowsPerSecond: number;
  readonly serverCpuMs: ServerCpu;
}

const COMMAND = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
const CHILD = fileURLToPath(new URL('./drain-child.js', import.meta.url));

async function drainOnce(flags: DrainFlags): Promise<DrainRun> {
  const report = (line: string): void => void process.stderr.write(`${line}\n`);
  const world = await enterRunWorld({ name: 'bench', partitions: flags.partitions, report });
  try {
    const plan = await planSimulation({
      requests: flags.requests,
      tenants: flags.tenants,
      tenantSkew: Number(flags.skew),
      duplicates: Number(flags.duplicates),
      poison: 0,
      unfundedShare: 0,
      reorder: 'local',
    });
    // Every tenant may spend, so that requests are held and charged, as in production, and not refused.
    const config = { ...world.config, defaultCreditLimit: '1000000' };
    const published = await publishPlan(plan, {
      brokers: config.kafkaBrokers.split(','),
      topics: { pending: config.topicPending, completed: config.topicCompleted },
    });
    const consumePerSecond = flags.references ? await consumeRate(config, published.published) : 0;
    const before = serverCpu();
    const figures = await runChild(config, [...shippedNodeArgs(), ...flags.nodeArgs.split(' ').filter(Boolean)]);
    const after = serverCpu();
    const ceiling = flags.references ? await copyCeiling(config) : { rowsPerSecond: 0 };
    return {
      ...figures,
      eventsPerSecond: (figures.messages / figures.elapsedMs) * 1000,
      publishPerSecond: published.messagesPerSecond,
      consumePerSecond,
      copyRowsPerSecond: ceiling.rowsPerSecond,
      serverCpuMs: {
        kafka: after.kafka - before.kafka,
        postgres: after.postgres - before.postgres,
        redis: after.redis - before.redis,
      },
    };
  } finally {
    await world.leave();
  }
}

/** The arguments of node that the `tollbook` command itself is started with: those of its first line. */
function shippedNodeArgs(): string[] {
  const [firstLine = ''] = readFileSync(COMMAND, 'utf8').split('\n', 1);
  return firstLine.split(' ').filter((word) => word.startsWith('--'));
}

async function runChild(config: Readonly<Config>, nodeArgs: readonly string[]): Promise<DrainFigures> {
  const child = spawn(process.execPath, [...nodeArgs, CHILD], {
    env: { ...process.env, ...environmentOf(config) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  if (code !== 0) throw new TollbookError('CONSUMER_CRASHED', `the measured consumer ended with code ${String(code)}`);
  return JSON.parse(output) as DrainFigures;
}

function table(runs: readonly DrainRun[]): string {
  const rows = plainTable(['run', 'events/s', 'node µs', 'pg µs', 'redis µs', 'kafka µs', 'MB', 'consume/s', 'COPY/s']);
  for (const [index, run] of runs.entries()) {
    const perEvent = (ms: number): string => ((ms * 1000) / run.messages).toFixed(1);
    rows.push([
      index + 1,
      Math.round(run.eventsPerSecond),
      perEvent(run.cpuMs),
      perEvent(run.serverCpuMs.postgres),
      perEvent(run.serverCpuMs.redis),
      perEvent(run.serverCpuMs.kafka),
      Math.round(run.rssPeakBytes / 2 ** 20),
      Math.round(run.consumePerSecond),
      Math.round(run.copyRowsPerSecond),
    ]);
  }
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `${machine}\n${rows.toString()}\n`;
}

const program = new Command('bench').description('measure the ledger on real servers');
program
  .command('drain')
  .description('charge and project a backlog of the real pending + completed mix')
  .option('--requests <n>', 'requests (about 1.6 messages each)', wholeNumber(1, 2_000_000), 125_000)
  .option('--tenants <n>', 'tenants', wholeNumber(1, 100_000), 1_000)
  .option('--skew <exponent>', "exponent of Zipf's law over the tenants", '0.3')
  .option('--partitions <n>', 'partitions of each topic', wholeNumber(1, 64), 4)
  .option('--duplicates <share>', 'messages published twice', '0')
  .option('--runs <n>', 'runs', wholeNumber(1, 20), 1)
  .option('--no-references', 'skip the references')
  .option('--node-args <args>', 'arguments of the measured node process, such as --cpu-prof', '')
  .option('--json', 'print the runs as JSON')
  .action(async (flags: DrainFlags) => {
    const runs: DrainRun[] = [];
    for (let run = 0; run < flags.runs; run += 1) runs.push(await drainOnce(flags));
    process.stdout.write(flags.json === true ? `${JSON.stringify(runs)}\n` : table(runs));
  });

await program.parseAsync();
