/**
 * Owns: reading a trace of LLM requests (CSV: TIMESTAMP,ContextTokens,GeneratedTokens, as the Azure LLM inference traces
 * are published) into moments and token counts.
 * Does not own: who sent a request and how it ended; the trace says neither (simulated-request.ts assigns them).
 * Invariants: requests are in the order of their time; the first is at 0 ms; a problem names the file and the line.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { TollbookError } from '../runtime/errors.js';

/** One request of the trace; `atMs` counts from the first request. */
export interface TraceRequest {
  readonly atMs: number;
  readonly contextTokens: number;
  readonly generatedTokens: number;
}

/** A trace as read: its requests in the order of time, and the SHA-256 of the file's text in hexadecimal. */
export interface Trace {
  readonly digest: string;
  readonly requests: readonly [TraceRequest, ...TraceRequest[]];
}

const HEADER = 'TIMESTAMP,ContextTokens,GeneratedTokens';
const ROW = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:Z|\+00:00)?,(\d{1,9}),(\d{1,9})$/;

/** Reads a trace file; throws FILE_UNREADABLE naming the line that is not as expected. */
export async function readTraceFile(path: string): Promise<Trace> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `trace file ${path} cannot be read`, { cause, context: { path } });
  }
  return parseTrace(text, path);
}

/** Reads the text of a trace file; `path` is for messages only. Throws FILE_UNREADABLE naming the line. */
export function parseTrace(text: string, path: string): Trace {
  const [header, ...lines] = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  if (header !== HEADER) throw lineProblem({ path, line: 1, found: header ?? '', expected: `the header ${HEADER}` });
  const rows = lines.flatMap((line, place) => (line === '' ? [] : [parseRow(line, place + 2, path)]));
  rows.sort((one, other) => one.atMs - other.atMs);
  const [first, ...rest] = rows;
  if (first === undefined) throw lineProblem({ path, line: 2, found: '', expected: 'at least one request' });
  const fromFirst = (row: TraceRequest): TraceRequest => ({ ...row, atMs: row.atMs - first.atMs });
  return {
    digest: createHash('sha256').update(text).digest('hex'),
    requests: [fromFirst(first), ...rest.map(fromFirst)],
  };
}

function parseRow(text: string, line: number, path: string): TraceRequest {
  const match = ROW.exec(text);
  const [, day, time, fraction = '0', context, generated] = match ?? [];
  const atMs = Date.parse(`${day}T${time}.${fraction.padEnd(3, '0').slice(0, 3)}Z`);
  if (match === null || Number.isNaN(atMs)) {
    throw lineProblem({ path, line, found: text, expected: 'a UTC time and two token counts, as in the header' });
  }
  return { atMs, contextTokens: Number(context), generatedTokens: Number(generated) };
}

interface LineProblem {
  readonly path: string;
  readonly line: number;
  readonly found: string;
  readonly expected: string;
}

function lineProblem({ path, line, found, expected }: LineProblem): TollbookError {
  return new TollbookError(
    'FILE_UNREADABLE',
    `${path}:${line}: found ${JSON.stringify(found.slice(0, 80))}; expected ${expected}`,
    { context: { path, line } },
  );
}
