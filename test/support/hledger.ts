/**
 * Owns: running hledger, a double-entry accounting program of somebody else, over an exported journal.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { TollbookError } from '../../src/runtime/errors.js';
import { ensureInstalled } from './debian-package.js';

const run = promisify(execFile);
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** As on a machine without any setting of language: hledger then refuses what is not ASCII. */
const LOCALE = { LC_ALL: 'C.UTF-8' };

/** How hledger ended. */
export interface HledgerResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `hledger -f JOURNAL …args`. Throws STACK_TOOL_MISSING when it is neither installed nor can be. */
export async function hledger(journal: string, ...args: readonly string[]): Promise<HledgerResult> {
  await ensureInstalled('hledger');
  try {
    const { stdout, stderr } = await run('hledger', ['-f', journal, ...args], {
      maxBuffer: OUTPUT_BYTES_MAX,
      env: { ...process.env, ...LOCALE },
    });
    return { exitCode: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { exitCode: code, stdout: stdout ?? '', stderr: stderr ?? '' };
  }
}

/** The balances of accounts by account, as `hledger balance` reports them: zero ones too, which it writes as `0`. */
export async function hledgerBalances(journal: string, ...query: readonly string[]): Promise<Record<string, string>> {
  const args = ['balance', ...query, '--flat', '--no-total', '--empty', '--output-format', 'csv'];
  const { stdout, stderr, exitCode } = await hledger(journal, ...args);
  if (exitCode !== 0) throw new TollbookError('LEDGER_CORRUPT', `hledger balance failed: ${stderr}`);
  const lines = stdout.trim().split('\n').slice(1);
  return Object.fromEntries(lines.map((line) => JSON.parse(`[${line}]`) as [string, string]));
}
