/**
 * Owns: running a tool to its end (java, mvn, apt-get, initdb) with its output in a log file.
 * Does not own: which tools there are (java-tools.ts) or long-lived servers (server-process.ts).
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import path from 'node:path';
import type { ServerUser } from './server-process.js';
import { serverFailure } from './server-failure.js';

/** A tool to run, and where its output goes. */
export interface ToolRun {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly logPath: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: ServerUser | undefined;
  /** What failed, for the message: "Maven could not resolve the jars of Kafka". */
  readonly failure: string;
}

/**
 * Runs a tool and waits for its end.
 *
 * @throws STACK_SERVER_FAILED with the last lines of the log when it cannot be run or ends with another code than 0
 */
export async function runTool(run: ToolRun): Promise<void> {
  const logFile = openSync(run.logPath, 'a');
  try {
    const outcome = await exitOf(run, logFile);
    if (outcome !== 0) throw serverFailure(`${run.failure} (${run.command}: ${String(outcome)})`, run.logPath);
  } finally {
    closeSync(logFile);
  }
}

/** What a short command prints on both streams, or undefined when it cannot be run or fails. */
export function outputOf(command: string, args: readonly string[]): string | undefined {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  return result.error === undefined && result.status === 0 ? `${result.stdout}${result.stderr}` : undefined;
}

/** The path of a program on the PATH, or undefined; far cheaper than running it (Maven's own `--version` takes 0.3 s). */
export function findOnPath(program: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => path.join(folder, program)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // not in this folder
  }
}

function exitOf(run: ToolRun, logFile: number): Promise<number | string> {
  return new Promise((resolve) => {
    const child = spawn(run.command, run.args, {
      cwd: run.cwd,
      env: { ...process.env, ...run.env },
      stdio: ['ignore', logFile, logFile],
      ...(run.user === undefined ? {} : { uid: run.user.uid, gid: run.user.gid }),
    });
    child.once('error', (error) => {
      resolve(error.message);
    });
    child.once('exit', (code, signal) => {
      resolve(code ?? signal ?? 'ended');
    });
  });
}
