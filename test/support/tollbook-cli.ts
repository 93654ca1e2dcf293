/** Owns: running the command line as a child process, from the build that the tests belong to. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** How a command ended. */
export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** Runs `tollbook …args` to its end, with these settings on top of the environment. */
export function runTollbook(args: readonly string[], settings: Readonly<Record<string, string>>): Promise<CliResult> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}

/** The bytes that `tollbook …args` writes to stdout, as they are; rejects when it does not end with exit code 0. */
export function tollbookBytes(args: readonly string[], settings: Readonly<Record<string, string>>): Promise<Buffer> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const parts: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode) => {
      if (exitCode === 0) resolve(Buffer.concat(parts));
      else reject(new Error(`tollbook ${args.join(' ')} ended with exit code ${exitCode}`));
    });
  });
}
