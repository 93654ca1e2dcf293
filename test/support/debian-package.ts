/**
 * Owns: programs of somebody else that a test runs: installed from the distribution where they are missing.
 * Invariants: only as root on a Debian-like system; else the test fails and says how.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { TollbookError } from '../../src/runtime/errors.js';

const run = promisify(execFile);
const installed = new Map<string, Promise<void>>();

/** Makes sure that a program answers; its package has its name. Throws STACK_TOOL_MISSING. */
export function ensureInstalled(program: string): Promise<void> {
  const known = installed.get(program) ?? install(program);
  installed.set(program, known);
  return known;
}

async function install(program: string): Promise<void> {
  if (await answers(program)) return;
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await aptGet(program).catch((error: unknown) => missing(program, error));
  if (!(await answers(program))) missing(program, undefined);
}

async function answers(program: string): Promise<boolean> {
  return run(program, ['--version']).then(
    () => true,
    () => false,
  );
}

async function aptGet(program: string): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const arrange = ['install', '-y', '-qq', '--no-install-recommends', program];
  await run('apt-get', arrange, { env }).catch(async () => {
    await run('apt-get', ['update', '-qq'], { env });
    await run('apt-get', arrange, { env });
  });
}

function missing(program: string, cause: unknown): never {
  throw new TollbookError(
    'STACK_TOOL_MISSING',
    `${program} is not installed; as root on a Debian-like system run: apt-get install -y ${program}`,
    { cause },
  );
}
