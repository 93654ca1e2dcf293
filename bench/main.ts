/**
 * Owns: the command line of the benchmarks: what is measured, how often, what is printed.
 * Invariants: every figure stands beside references measured in the same run on the same servers; results go to stdout,
 * progress to stderr.
 */
import 'reflect-metadata';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { wholeNumber } from '../src/cli/option-values.js';
import { measureGrowth } from './growth.js';
import { textOf, writeResult } from './report.js';
import { runSuite, type SuiteOptions } from './suite.js';
import { DUPLICATE_SHARES, type Workload, type WorkloadName, WORKLOADS } from './workloads.js';

interface SizeFlags {
  readonly requests: number;
  readonly partitions: number;
  readonly runs: number;
  readonly workloads: readonly Workload[];
  readonly json?: boolean;
}

interface SuiteFlags extends SizeFlags {
  readonly duplicates: readonly number[];
  readonly loads: readonly number[];
  readonly loadSeconds: number;
  readonly scaling: boolean;
  readonly references: boolean;
  readonly nodeArgs: string;
  readonly out: string;
}

const QUICK_REQUESTS = 125_000;

function report(line: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
}

function readWorkloads(text: string): Workload[] {
  return text.split(',').map((name) => {
    if (!(name in WORKLOADS)) {
      throw new InvalidArgumentError(`${JSON.stringify(name)} is none of ${Object.keys(WORKLOADS).join(', ')}.`);
    }
    return WORKLOADS[name as WorkloadName];
  });
}

/** A list of numbers from 0 to a maximum, such as 0,0.1,0.5; the empty text is the empty list. */
function readNumbers(max: number): (text: string) => number[] {
  return (text) =>
    (text === '' ? [] : text.split(',')).map((word) => {
      const value = /^\d+(\.\d+)?$/.test(word) ? Number(word) : Number.NaN;
      if (value >= 0 && value <= max) return value;
      throw new InvalidArgumentError(`${JSON.stringify(word)} is not a number from 0 to ${max}.`);
    });
}

function withSize(command: Command): Command {
  return command
    .option('--requests <n>', 'requests (about 1.6 messages each)', wholeNumber(1, 2_000_000), QUICK_REQUESTS)
    .option('--partitions <n>', 'partitions of each topic', wholeNumber(1, 64), 4)
    .option('--runs <n>', 'runs of each measurement', wholeNumber(1, 20), 3)
    .addOption(
      new Option('--workloads <names>', `of ${Object.keys(WORKLOADS).join(', ')}`)
        .argParser(readWorkloads)
        .default(Object.values(WORKLOADS), Object.keys(WORKLOADS).join(',')),
    )
    .option('--json', 'print the results as one JSON document');
}

function print(flags: { readonly json?: boolean }, result: object, text: string): void {
  process.stdout.write(flags.json === true ? `${JSON.stringify(result)}\n` : text);
}

async function suite(flags: SuiteFlags): Promise<void> {
  const options: SuiteOptions = { ...flags, nodeArgs: flags.nodeArgs.split(' ').filter(Boolean), report };
  const result = await runSuite(options);
  const files = await writeResult(result, flags.out);
  print(flags, result, textOf(result));
  report(`written: ${files.join(', ')}`);
}

const program = new Command('tollbook bench')
  .description('measure the ledger on real servers, beside references of the same run')
  .showHelpAfterError('(add --help for what is allowed)');

withSize(
  program.command('suite', { isDefault: true }).description('drain rate, cost, lag and scaling (about half an hour)'),
)
  .option('--duplicates <shares>', 'shares of messages published twice', readNumbers(1), [...DUPLICATE_SHARES])
  .option('--loads <rates>', 'offered loads for the lag, messages a second', readNumbers(1_000_000), [1e3, 5e3, 1e4])
  .option('--load-seconds <n>', 'how long each load lasts after the warm-up', wholeNumber(1, 3_600), 20)
  .option('--no-scaling', 'skip two consumers beside one')
  .option('--no-references', 'skip the references')
  .option('--node-args <args>', 'arguments of the measured node process, such as --cpu-prof', '')
  .option('--out <folder>', 'where to write the results and the chart', 'bench/results')
  .action(suite);

withSize(program.command('growth').description('the drain rate with many entries in the table beside few'))
  .option('--entries <n>', 'entries to grow the table to', wholeNumber(1, 1_000_000_000), 10_000_000)
  .action(async (flags: SizeFlags & { readonly entries: number }) => {
    const workload = flags.workloads[0] ?? WORKLOADS.spread;
    const result = await measureGrowth({ ...flags, workload, report });
    print(flags, result, `${JSON.stringify(result, null, 2)}\n`);
  });

for (const command of [program, ...program.commands]) command.exitOverride();
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
}
