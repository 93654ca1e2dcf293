/**
 * Owns: one mocha run over the suites named by the parent process, and telling it the counts.
 * Does not own: the servers; their addresses arrive in the environment.
 * Invariants: the counts are mocha's own; a file that cannot be loaded ends the process without counts, which the
 * parent counts as a failure.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Mocha from 'mocha';
import type { FileTime, TestCounts, TestFailure } from './test-counts.js';

const TIMEOUT_MS = 60_000;
const SLOW_MS = 2000;
const IN_CI = process.env['CI'] !== undefined;

interface MochaOrder {
  readonly suites: readonly string[];
  readonly grep?: string;
}

function readOrder(): MochaOrder {
  return JSON.parse(process.argv[2] ?? '{"suites":[]}') as MochaOrder;
}

function testFilesOf(suite: string): string[] {
  const folder = fileURLToPath(new URL(suite, import.meta.url));
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith('.test.js'))
    .sort()
    .map((name) => path.join(folder, name));
}

async function main(): Promise<void> {
  const order = readOrder();
  const mocha = new Mocha({
    timeout: TIMEOUT_MS,
    slow: SLOW_MS,
    // A log of CI is read for what failed: there the titles of what passed would only hide it.
    reporter: IN_CI ? 'dot' : 'spec',
    forbidOnly: IN_CI,
    ...(order.grep === undefined ? {} : { grep: order.grep }),
  });
  for (const file of order.suites.flatMap(testFilesOf)) mocha.addFile(file);
  await mocha.loadFilesAsync();
  const failures: TestFailure[] = [];
  const msOf = new Map<string, number>();
  const runner = mocha.run(() => {
    const { passes, failures: failed, pending } = runner.stats ?? { passes: 0, failures: 1, pending: 0 };
    const counts: TestCounts = { passed: passes, failed, skipped: pending, failures, times: timesOf(msOf) };
    process.send?.(counts, () => process.disconnect());
  });
  runner.on('fail', (test, error: Error) => {
    failures.push({ title: test.fullTitle(), error: error.stack ?? error.message });
  });
  const addTime = ({ file = '', duration = 0 }: Mocha.Runnable): void => {
    msOf.set(file, (msOf.get(file) ?? 0) + duration);
  };
  runner.on('test end', addTime);
  runner.on('hook end', addTime);
}

function timesOf(msOf: ReadonlyMap<string, number>): FileTime[] {
  const root = fileURLToPath(new URL('.', import.meta.url));
  return [...msOf].map(([file, ms]) => ({ file: path.relative(root, file), ms }));
}

await main();
