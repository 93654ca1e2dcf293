/**
 * Owns: `make test` after lint and build: brings up a stack of its own, runs mocha against it in child processes, and
 * takes the stack down in every ending.
 * How: the fault suite mostly waits for servers of its own, and three suites need hardly any. They run beside the others, and their
 * output follows; what measures a rate runs alone afterwards.
 * Does not own: how mocha is set up (mocha-child.ts).
 * Invariants: the last line is `N passed, N failed`, and what failed stands just above it, for of a long log often only the
 * end is kept; the exit code is 0 only when something passed and nothing failed.
 */
import { fork, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stackDown, stackUp } from '../src/stack/local-stack.js';
import { clusterStackDir } from './support/stack-folders.js';
import { countsFrom, type TestCounts } from './test-counts.js';

const SUITES_WITHOUT_SERVERS = ['unit', 'simulation'] as const;
/** On the servers that all of them share, which some tests stop and start again. */
const SHARING_SUITES = ['property', 'contract', 'integration'] as const;
/** Beside them, and about as long; of the shared servers it needs PostgreSQL alone, which nobody stops. */
const ASIDE_SUITES = ['fault', 'migration', ...SUITES_WITHOUT_SERVERS] as const;
const RATE_SUITES = ['speed', 'soak'] as const;
const SUITES = [...SHARING_SUITES, ...ASIDE_SUITES, ...RATE_SUITES] as const;
const STACK_DIR = path.resolve('.tollbook', 'test-stack');
/** Where the tests of the stack itself bring one up; known here, so that it goes down even if they are cut off. */
const STACK_UNDER_TEST_DIR = path.resolve('.tollbook', 'stack-under-test');
/** Where the fault tests and the soak run have the servers that they break. */
const FAULT_STACK_DIR = path.resolve('.tollbook', 'fault-stack');
/** A second one of them, with three brokers. */
const CLUSTER_STACK_DIR = clusterStackDir(FAULT_STACK_DIR);
const CHILD_PATH = fileURLToPath(new URL('mocha-child.js', import.meta.url));
const USAGE = `usage: node dist/test/run.js [--suite ${SUITES.join(',')}] [--grep TEXT] [--keep-stack]\n`;
const LINGER_MS = 5000;

interface RunOptions {
  readonly suites: readonly string[];
  readonly grep: string | undefined;
  /** Keeps data before and servers after the run, for a fast second run. */
  readonly keepStack: boolean;
}

interface Interruption {
  signal: NodeJS.Signals | undefined;
  readonly children: Set<ChildProcess>;
}

const NOTHING_RAN: TestCounts = { passed: 0, failed: 0, skipped: 0, failures: [], times: [] };
const CRASHED: TestCounts = { ...NOTHING_RAN, failed: 1 };
const SLOWEST_SHOWN = 15;

function readOptions(): RunOptions | undefined {
  const values = parseFlags();
  if (values === undefined) return undefined;
  const asked = values.suite?.split(',') ?? [...SUITES];
  const suites = SUITES.filter((suite) => asked.includes(suite));
  if (suites.length !== asked.length) return undefined;
  return { suites, grep: values.grep, keepStack: values['keep-stack'] === true };
}

function parseFlags(): { suite?: string; grep?: string; 'keep-stack'?: boolean } | undefined {
  try {
    return parseArgs({
      options: { suite: { type: 'string' }, grep: { type: 'string' }, 'keep-stack': { type: 'boolean' } },
    }).values;
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Remembers the first signal and passes it on to mocha; the run then ends by its normal way, which stops the stack. */
function watchSignals(): Interruption {
  const interruption: Interruption = { signal: undefined, children: new Set() };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      interruption.signal ??= signal;
      for (const child of interruption.children) endGroup(child);
    });
  }
  return interruption;
}

async function runWithStack(options: RunOptions, interruption: Interruption): Promise<TestCounts> {
  const stack = { dir: STACK_DIR, report: tell };
  try {
    if (!options.keepStack) await stackDown({ ...stack, purge: true });
    const { addresses } = await stackUp(stack);
    return await runLanes(options, { ...addresses, TOLLBOOK_STACK_DIR: STACK_DIR }, interruption);
  } finally {
    for (const dir of [STACK_UNDER_TEST_DIR, FAULT_STACK_DIR, CLUSTER_STACK_DIR])
      await stackDown({ dir, report: tell, purge: true });
    if (!options.keepStack) await stackDown(stack);
  }
}

/** Runs the suites on shared servers beside the others, then what measures a rate. */
async function runLanes(
  options: RunOptions,
  settings: Readonly<Record<string, string>>,
  interruption: Interruption,
): Promise<TestCounts> {
  const lane = (suites: readonly string[], folder: string, isAside = false): Promise<TestCounts> => {
    const asked = { ...options, suites: suites.filter((suite) => options.suites.includes(suite)), isAside };
    return runMocha(asked, { ...settings, TOLLBOOK_STACK_UNDER_TEST: folder }, interruption);
  };
  const isAside = SHARING_SUITES.some((suite) => options.suites.includes(suite));
  const sideBySide = await Promise.all([
    lane(SHARING_SUITES, STACK_UNDER_TEST_DIR),
    lane(ASIDE_SUITES, FAULT_STACK_DIR, isAside),
  ]);
  return addUp([...sideBySide, await lane(RATE_SUITES, FAULT_STACK_DIR)]);
}

function addUp(counts: readonly TestCounts[]): TestCounts {
  return counts.reduce((sum, { passed, failed, skipped, failures, times }) => ({
    passed: sum.passed + passed,
    failed: sum.failed + failed,
    skipped: sum.skipped + skipped,
    failures: [...sum.failures, ...failures],
    times: [...sum.times, ...times],
  }));
}

function runMocha(
  options: RunOptions & { readonly isAside?: boolean },
  settings: Readonly<Record<string, string>>,
  interruption: Interruption,
): Promise<TestCounts> {
  if (interruption.signal !== undefined || options.suites.length === 0) return Promise.resolve(NOTHING_RAN);
  const child = fork(CHILD_PATH, [JSON.stringify({ suites: options.suites, grep: options.grep })], {
    env: { ...process.env, ...settings, NODE_ENV: 'test' },
    execArgv: ['--enable-source-maps'],
    stdio: ['ignore', options.isAside === true ? 'pipe' : 'inherit', 'inherit', 'ipc'],
    detached: true, // a process group of its own, so that what tests start can be ended with it
  });
  interruption.children.add(child);
  const output: Buffer[] = [];
  child.stdout?.on('data', (data: Buffer) => output.push(data));
  return new Promise((resolve) => {
    let counts: TestCounts | undefined;
    child.on('message', (message) => {
      counts = countsFrom(message);
      setTimeout(() => endLingering(child), LINGER_MS).unref();
    });
    child.on('exit', () => {
      endGroup(child);
      interruption.children.delete(child);
      process.stdout.write(Buffer.concat(output));
      resolve(counts ?? CRASHED);
    });
  });
}

function endLingering(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null) return;
  tell('the tests are done but their process did not end by itself: a test left a connection or a timer open');
  endGroup(child);
}

/** Ends a mocha process and whatever the tests have started and not ended. */
function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    return; // ESRCH: nothing of the group is left, which is the normal case
  }
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options === undefined) {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  const interruption = watchSignals();
  const serverless = options.suites.every((suite) => SUITES_WITHOUT_SERVERS.some((name) => name === suite));
  const counts = await (serverless ? runMocha(options, {}, interruption) : runWithStack(options, interruption)).catch(
    (error: unknown) => {
      tell(error instanceof Error ? (error.stack ?? error.message) : String(error));
      return CRASHED;
    },
  );
  if (options.grep === undefined) process.stdout.write(slowest(counts));
  const skipped = counts.skipped === 0 ? '' : `, ${counts.skipped} skipped`;
  for (const { title, error } of counts.failures) process.stdout.write(`\nfailed: ${title}\n${error}\n`);
  process.exitCode = counts.failed === 0 && counts.passed > 0 && interruption.signal === undefined ? 0 : 1;
  process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
}

function slowest({ times }: TestCounts): string {
  const shown = [...times].sort((one, other) => other.ms - one.ms).slice(0, SLOWEST_SHOWN);
  return `\nslowest files:\n${shown.map(({ file, ms }) => `${(ms / 1000).toFixed(1).padStart(7)} s  ${file}\n`).join('')}`;
}

await main();
