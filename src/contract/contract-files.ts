/**
 * Owns: the generated files of the published contract: their names, their text, and whether a folder holds them.
 * Invariants: the text is a function of the DTOs alone, so a difference means that someone forgot to write them anew.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TollbookError } from '../runtime/errors.js';
import { asyncApiDocument, schemaFileName } from './asyncapi.js';
import { USAGE_KINDS } from './dto-kinds.js';
import { eventSchema } from './json-schema.js';

/** One generated file: its name below the contract folder and its whole text. */
export interface ContractFile {
  readonly name: string;
  readonly text: string;
}

/** A generated file whose copy in a folder is missing or differs. */
export interface ContractDifference {
  readonly name: string;
  readonly state: 'missing' | 'different';
}

function jsonFile(name: string, document: object): ContractFile {
  return { name, text: `${JSON.stringify(document, null, 2)}\n` };
}

/** Generates every file of the published contract. */
export function contractFiles(): ContractFile[] {
  const schemas = USAGE_KINDS.map((kind) => jsonFile(schemaFileName(kind), eventSchema(kind)));
  return [...schemas, jsonFile('asyncapi.json', asyncApiDocument())];
}

/** Writes the contract files into a folder, which is created when missing; FILE_UNREADABLE when it cannot be written. */
export async function writeContract(folder: string): Promise<ContractFile[]> {
  const files = contractFiles();
  try {
    await mkdir(folder, { recursive: true });
    for (const file of files) await writeFile(join(folder, file.name), file.text);
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `the contract cannot be written to ${folder}`, { cause });
  }
  return files;
}

/** Names the contract files that a folder lacks or holds in another form; an empty list means that all are current. */
export async function contractDifferences(folder: string): Promise<ContractDifference[]> {
  const differences: ContractDifference[] = [];
  for (const file of contractFiles()) {
    const found = await readIfPresent(join(folder, file.name));
    if (found === undefined) differences.push({ name: file.name, state: 'missing' });
    else if (found !== file.text) differences.push({ name: file.name, state: 'different' });
  }
  return differences;
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new TollbookError('FILE_UNREADABLE', `${path} cannot be read`, { cause });
  }
}
