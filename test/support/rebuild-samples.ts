/**
 * Owns: what the tests of rebuilds and audits on the command line share: running a command against a world's servers, and a
 * command that is stopped by a signal while it waits.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ProtocolWorld } from './protocol-world.js';
import { type CliResult, runTollbook } from './tollbook-cli.js';
import { wireCompleted } from './wire-usage.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** The settings with which a command finds the servers of a world. */
export function settingsOf({ database, server }: ProtocolWorld): Readonly<Record<string, string>> {
  return { DATABASE_URL: database.url, TOLLBOOK_REDIS_PREFIX: server.prefix };
}

/** Runs `tollbook …args` against the servers of a world. */
export function runIn(world: ProtocolWorld, ...args: readonly string[]): Promise<CliResult> {
  return runTollbook(args, settingsOf(world));
}

/** Runs a command with `--json` and reads the one document it prints. */
export async function documentIn(
  world: ProtocolWorld,
  ...args: readonly string[]
): Promise<{ readonly exitCode: number | null; readonly document: Record<string, unknown> }> {
  const { stdout, stderr, exitCode } = await runIn(world, ...args, '--json');
  try {
    return { exitCode, document: JSON.parse(stdout) as Record<string, unknown> };
  } catch (cause) {
    throw new Error(`no JSON document: ${stdout} ${stderr}`, { cause });
  }
}

/** A command that runs while the test does something. */
export interface RunningCommand {
  kill(signal: NodeJS.Signals): void;
  readonly result: Promise<CliResult>;
}

/** Starts `tollbook …args` against the servers of a world. */
export function startIn(world: ProtocolWorld, ...args: readonly string[]): RunningCommand {
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...settingsOf(world) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const result = new Promise<CliResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
  return { kill: (signal) => void child.kill(signal), result };
}

/** Repeats a round, which hears its number from 0, until some work has ended; returns how many there were. Throws what either throws. */
export async function repeatDuring(work: Promise<unknown>, round: (number: number) => Promise<void>): Promise<number> {
  const state = { isOver: false };
  const ended = work.finally(() => (state.isOver = true));
  let rounds = 0;
  try {
    for (; !state.isOver; rounds += 1) await round(rounds);
  } finally {
    await Promise.allSettled([ended]);
  }
  await ended;
  return rounds;
}

/** Opens accounts for so many tenants, `NAME-0000` and on, each charged one unit; returns them. */
export async function manyTenants(world: ProtocolWorld, name: string, count: number): Promise<string[]> {
  const tenantIds = Array.from({ length: count }, (_, index) => `${name}-${String(index).padStart(4, '0')}`);
  const stream = world.stream('completed');
  for (let from = 0; from < count; from += CHUNK) {
    const events = tenantIds
      .slice(from, from + CHUNK)
      .map((tenantId) => wireCompleted({ tenantId, traceId: 'a', fields: { stream: true } }));
    await world.protocol().charge(stream.chunk(events));
  }
  return tenantIds;
}

const CHUNK = 1_000;
