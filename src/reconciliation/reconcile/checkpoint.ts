/**
 * Owns: the file that a run is kept in, so that it can go on after an interruption.
 * Invariants: a file is replaced as a whole or not at all; a run goes on only under the request and against the Kafka
 * cluster that it began with; a file of a finished run is removed.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { TollbookError } from '../../runtime/errors.js';
import type { NumberBounds } from './producer-gaps.js';
import { ProducerNumbers, type ProducerNumbersDocument } from './producer-numbers.js';
import type { RunState } from './run-state.js';

const FORMAT = 1;

/** What identifies a run: its request and what it reads. */
export interface RunIdentity {
  readonly clusterId: string;
  /** The request, in one string. */
  readonly request: string;
}

/** A run as it is kept. */
export interface KeptRun {
  readonly state: RunState;
  readonly numbers: ProducerNumbers;
  readonly bounds: NumberBounds;
}

interface KeptDocument extends RunIdentity {
  readonly format: number;
  readonly state: RunState;
  readonly numbers: ProducerNumbersDocument;
  readonly bounds: NumberBounds;
}

/** Reads a run back; undefined when there is no such file. Throws FILE_UNREADABLE, USAGE_INVALID for that of another run. */
export async function readCheckpoint(path: string, identity: RunIdentity): Promise<KeptRun | undefined> {
  const text = await textOf(path);
  if (text === undefined) return undefined;
  const document = parse(path, text);
  if (document.request !== identity.request || document.clusterId !== identity.clusterId) {
    throw new TollbookError(
      'USAGE_INVALID',
      `${path} keeps another run: ${document.request} on cluster ${document.clusterId}; allowed: the file of this one, ` +
        `${identity.request} on cluster ${identity.clusterId}, or a file that does not exist`,
    );
  }
  const { state, bounds } = document;
  return { state, bounds, numbers: ProducerNumbers.fromDocument(document.numbers) };
}

/** Keeps a run. Throws FILE_UNREADABLE. */
export async function writeCheckpoint(path: string, identity: RunIdentity, run: KeptRun): Promise<void> {
  const { state, bounds, numbers } = run;
  const document: KeptDocument = { format: FORMAT, ...identity, state, bounds, numbers: numbers.toDocument() };
  try {
    await writeFile(`${path}.new`, JSON.stringify(document, tagged));
    await rename(`${path}.new`, path);
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `${path} cannot be written`, { cause, context: { path } });
  }
}

/** Removes the file of a run that has finished. */
export async function removeCheckpoint(path: string): Promise<void> {
  await rm(path, { force: true });
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new TollbookError('FILE_UNREADABLE', `${path} cannot be read`, { cause, context: { path } });
  }
}

function parse(path: string, text: string): KeptDocument {
  try {
    const document = JSON.parse(text, untagged) as Partial<KeptDocument>;
    if (document.format === FORMAT && document.state !== undefined) return document as KeptDocument;
  } catch {
    // Told below, like any other file that is none of ours.
  }
  throw new TollbookError('FILE_UNREADABLE', `${path} is no file that a reconciliation was kept in`, {
    context: { path },
  });
}

/** JSON has no whole numbers of any size: they travel as `{ "bigint": "…" }`, and an endless one as a word. */
function tagged(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { bigint: value.toString() };
  return value === Number.POSITIVE_INFINITY ? { endless: true } : value;
}

function untagged(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('bigint' in value && typeof value.bigint === 'string') return BigInt(value.bigint);
  return 'endless' in value ? Number.POSITIVE_INFINITY : value;
}
