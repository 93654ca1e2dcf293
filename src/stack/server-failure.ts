/** Owns: the error that says which server failed, where its log is, and what the log says last. */
import { readFileSync } from 'node:fs';
import { TollbookError } from '../runtime/errors.js';

const TAIL_LINES = 12;
const LINE_LENGTH_MAX = 300;

/** Builds a STACK_SERVER_FAILED that names the log and shows its last 12 lines. */
export function serverFailure(what: string, logPath: string, cause?: unknown): TollbookError {
  const tail = tailOf(logPath);
  const shown = tail === '' ? 'The log is empty.' : `Its last lines:\n${tail}`;
  const message = `${what}. Log: ${logPath}. ${shown}`;
  return new TollbookError('STACK_SERVER_FAILED', message, { cause, context: { logPath } });
}

/** The last lines of a log file, indented; empty when there is none. */
export function tailOf(logPath: string): string {
  try {
    const lines = readFileSync(logPath, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES);
    return lines.map((line) => (line === '' ? '' : `    ${line.trimEnd().slice(0, LINE_LENGTH_MAX)}`)).join('\n');
  } catch {
    return ''; // the server ended before it wrote anything
  }
}
