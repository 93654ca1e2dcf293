/**
 * Owns: `tollbook contract write | check | validate`: the generated contract files, and a check of events against them.
 * Does not own: the contract itself (src/contract).
 * Invariants: a difference or an invalid event sets exit code 1 and is no exception; results go to stdout, findings
 * to stderr.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { contractDifferences, writeContract } from '../contract/contract-files.js';
import { USAGE_KINDS } from '../contract/dto-kinds.js';
import type { UsageKind } from '../contract/dto-kinds.js';
import { decodeCompleted, decodePending } from '../contract/event-gate.js';
import type { GateLimits, GateResult } from '../contract/event-gate.js';
import type { UsageEvent } from '../ledger/events.js';
import { TollbookError } from '../runtime/errors.js';
import { printText } from './output.js';

const DIRECTORY_DEFAULT = 'contract';
const LIMITS: GateLimits = { eventBytesMax: 1_048_576 };

const DECODE: Readonly<Record<UsageKind, (bytes: Buffer, limits: GateLimits) => GateResult<UsageEvent>>> = {
  pending: decodePending,
  completed: decodeCompleted,
};

/** Adds `contract` and its three subcommands to a program. */
export function registerContractCommand(program: Command): void {
  const contract = program.command('contract').description('the published event contract (JSON Schema and AsyncAPI)');
  contract
    .command('write')
    .description('generate the contract files from the DTOs')
    .option('--dir <folder>', 'folder to write to', DIRECTORY_DEFAULT)
    .action(({ dir }: { dir: string }) => write(dir));
  contract
    .command('check')
    .description('exit with 1 when the contract files are not those the DTOs generate')
    .option('--dir <folder>', 'folder to compare', DIRECTORY_DEFAULT)
    .action(({ dir }: { dir: string }) => check(dir));
  contract
    .command('validate')
    .description('check a file of events: one JSON document, or one JSON object a line')
    .addOption(new Option('--topic <kind>', 'which event it is').choices(USAGE_KINDS).makeOptionMandatory())
    .argument('<file>', 'file to read')
    .action((file: string, { topic }: { topic: UsageKind }) => validate(file, topic));
}

async function write(folder: string): Promise<void> {
  for (const { name } of await writeContract(folder)) printText(`wrote ${join(folder, name)}\n`);
}

async function check(folder: string): Promise<void> {
  const differences = await contractDifferences(folder);
  for (const { name, state } of differences) {
    process.stderr.write(`${join(folder, name)} is ${state}; run \`tollbook contract write\`\n`);
  }
  if (differences.length > 0) process.exitCode = 1;
  else printText(`the contract files in ${folder} are current\n`);
}

async function validate(file: string, kind: UsageKind): Promise<void> {
  const documents = splitDocuments(await read(file));
  let invalid = 0;
  for (const { line, bytes } of documents) {
    const result = DECODE[kind](bytes, LIMITS);
    if (result.ok) continue;
    invalid += 1;
    process.stderr.write(`${file}:${line}: ${result.reason} ${result.detail}\n`);
  }
  printText(`${documents.length} events, ${documents.length - invalid} valid, ${invalid} invalid\n`);
  if (invalid > 0) process.exitCode = 1;
}

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `${file} cannot be read`, { cause, context: { file } });
  }
}

interface NumberedDocument {
  readonly line: number;
  readonly bytes: Buffer;
}

/** Takes a file as one document when it is JSON as a whole or its first line is not; else as one document a line. */
function splitDocuments(file: Buffer): NumberedDocument[] {
  const lines = splitLines(file);
  const first = lines[0];
  const isOneDocument = first === undefined || isJson(file) || !isJson(first.bytes);
  return isOneDocument ? [{ line: first?.line ?? 1, bytes: file }] : lines;
}

/** Splits bytes, not text, so that a line that is no UTF-8 is reported as such. */
function splitLines(file: Buffer): NumberedDocument[] {
  const lines: NumberedDocument[] = [];
  for (let start = 0, line = 1; start < file.length; line += 1) {
    const newline = file.indexOf('\n', start);
    const end = newline === -1 ? file.length : newline;
    const bytes = file.subarray(start, end);
    if (bytes.toString('latin1').trim() !== '') lines.push({ line, bytes });
    start = end + 1;
  }
  return lines;
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}
