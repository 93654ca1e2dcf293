/**
 * Owns: `make chaos`: the command line of a soak run, on a stack of its own.
 * Invariants: the stack is taken down in every ending; with --json stdout holds one document; the exit code is 0 only when
 * nothing was lost, doubled or left adrift.
 */
import 'reflect-metadata';
import path from 'node:path';
import { Command } from 'commander';
import { wholeNumber } from '../../src/cli/option-values.js';
import { stackDown, stackUp } from '../../src/stack/local-stack.js';
import { killConsumers } from '../support/consume-child.js';
import { chaosDocument, chaosText, isClean } from './chaos-report.js';
import { runChaos } from './chaos-run.js';
import { followStatus } from './status-line.js';

interface ChaosFlags {
  readonly minutes: number;
  readonly seed?: number;
  readonly rate: number;
  readonly consumers: number;
  readonly json?: boolean;
}

const STACK_DIR = path.resolve('.tollbook', 'chaos-stack');
const SEED_SPAN = 2 ** 31;
const INTERRUPTED = 130;

async function soak(flags: ChaosFlags): Promise<void> {
  const seed = flags.seed ?? Date.now() % SEED_SPAN;
  const stack = { dir: STACK_DIR, report: tell };
  tell(`seed ${seed} (replay with --seed ${seed})`);
  await stackDown({ ...stack, purge: true });
  process.once('SIGINT', () => void giveUp());
  process.once('SIGTERM', () => void giveUp());
  try {
    const { addresses } = await stackUp(stack);
    Object.assign(process.env, addresses, { TOLLBOOK_STACK_UNDER_TEST: STACK_DIR });
    const line = followStatus();
    const { minutes, rate: ratePerSecond, consumers } = flags;
    const options = { seed, durationMs: minutes * 60_000, ratePerSecond, consumers };
    const report = await runChaos(options, line.follow).finally(line.stop);
    process.stdout.write(flags.json === true ? `${JSON.stringify(chaosDocument(report))}\n` : chaosText(report));
    process.exitCode = isClean(report) ? 0 : 1;
  } finally {
    await stackDown({ ...stack, purge: true });
  }
}

async function giveUp(): Promise<void> {
  tell('interrupted: ending the servers and the consumers');
  await stackDown({ dir: STACK_DIR, report: tell, purge: true });
  killConsumers(); // at the very end, since whoever is killed before is started again
  process.exit(INTERRUPTED);
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

const program = new Command('chaos')
  .description('charge events on real servers while consumers and servers are broken at random, then prove the ledger')
  .option('--minutes <n>', 'how long to publish', wholeNumber(1, 60), 10)
  .option('--seed <n>', 'draws the same faults and events again', wholeNumber(0, Number.MAX_SAFE_INTEGER - 100))
  .option('--rate <n>', 'events a second', wholeNumber(10, 20_000), 2_000)
  .option('--consumers <n>', 'consumer processes', wholeNumber(1, 8), 3)
  .option('--json', 'print the report as JSON')
  .addHelpText(
    'after',
    '\nBrings up a stack of its own below .tollbook/chaos-stack and removes it at the end.' +
      '\nExit code 0: lost 0, doubled 0, drift 0; 1: otherwise; 2: wrong usage.',
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .action(soak);

try {
  await program.parseAsync();
} catch (error) {
  tell(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
}
