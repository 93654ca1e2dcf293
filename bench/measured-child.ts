/**
 * Owns: running a measured program in a process of its own, started with the arguments that `tollbook` ships with.
 * Invariants: what it measured is the one JSON document on its stdout; a child that fails fails the run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Config, environmentOf } from '../src/runtime/config.js';
import { TollbookError } from '../src/runtime/errors.js';

/** A program and what it is told besides the settings. */
export interface MeasuredProgram {
  /** Its file, beside this one, without its ending. */
  readonly name: string;
  readonly config: Readonly<Config>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Further arguments of node, such as --cpu-prof. */
  readonly nodeArgs?: readonly string[];
}

const COMMAND = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

/** Runs a program to its end and returns what it reports. Throws CONSUMER_CRASHED. */
export async function runMeasured<T>(program: MeasuredProgram): Promise<T> {
  return reportOf<T>(startMeasured(program), program.name);
}

/** Starts a program; its report is read by `reportOf`. */
export function startMeasured({ name, config, environment = {}, nodeArgs = [] }: MeasuredProgram): ChildProcess {
  const file = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  return spawn(process.execPath, [...shippedNodeArgs(), ...nodeArgs, file], {
    env: { ...process.env, ...environmentOf(config), ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Waits for a program's end and parses its report. Throws CONSUMER_CRASHED. */
export async function reportOf<T>(child: ChildProcess, name: string): Promise<T> {
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  if (code !== 0) throw new TollbookError('CONSUMER_CRASHED', `${name} ended with code ${String(code)}`);
  return JSON.parse(output) as T;
}

/** The arguments of node that the `tollbook` command itself is started with: those of its first line. */
function shippedNodeArgs(): string[] {
  const [firstLine = ''] = readFileSync(COMMAND, 'utf8').split('\n', 1);
  return firstLine.split(' ').filter((word) => word.startsWith('--'));
}
