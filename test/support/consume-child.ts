/** Owns: `tollbook consume` as a child process: its log, its exit, and ending it in every case. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Environment } from '../../src/runtime/config.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** A running or ended child. */
export interface ConsumeChild {
  /** Everything written to stderr so far. */
  log(): string;
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the exit code, or with the signal that ended the process. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

const running = new Set<ChildProcess>();

/** Starts `tollbook consume` with nothing in its environment but these settings and the PATH. */
export function startConsume(environment: Environment, flags: readonly string[] = []): ConsumeChild {
  return startTollbook(['consume', ...flags], environment);
}

/** Starts another command of tollbook, likewise; `nodeFlags` are those of Node itself. */
export function startTollbook(
  args: readonly string[],
  environment: Environment,
  nodeFlags: readonly string[] = [],
): ConsumeChild {
  return startNode([...nodeFlags, MAIN, ...args], environment);
}

/** Starts Node on a script and its arguments, likewise. */
export function startNode(args: readonly string[], environment: Environment): ConsumeChild {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.add(child);
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      running.delete(child);
      resolve(code ?? signal ?? 'SIGKILL');
    });
  });
  return { log: () => log, kill: (signal) => void child.kill(signal), ended };
}

/** Kills every child that is still running. */
export function killConsumers(): void {
  for (const child of running) child.kill('SIGKILL');
}
