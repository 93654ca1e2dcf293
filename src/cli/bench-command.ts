/**
 * Owns: `tollbook bench`: starting the benchmarks, which are a program of their own (bench/main.ts).
 * Why apart: they import the command line; and a package without them still has all other commands.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { TollbookError } from '../runtime/errors.js';

const BENCH = fileURLToPath(new URL('../../bench/main.js', import.meta.url));

/** Adds `bench` to the program; its options are those of the benchmarks' own help. */
export function registerBenchCommand(program: Command): void {
  program
    .command('bench')
    .description('measure the ledger on real servers, beside references of the same run')
    .argument('[arguments...]', 'see: tollbook bench --help')
    .helpOption(false)
    .allowUnknownOption()
    .action(async (given: string[]) => {
      process.exitCode = await run(given);
    });
}

async function run(given: readonly string[]): Promise<number> {
  if (!existsSync(BENCH)) {
    throw new TollbookError('USAGE_INVALID', `the benchmarks are not part of this package: ${BENCH} does not exist`);
  }
  const child = spawn(process.execPath, ['--enable-source-maps', BENCH, ...given], { stdio: 'inherit' });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return code ?? 1;
}
