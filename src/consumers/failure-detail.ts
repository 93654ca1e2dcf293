/**
 * Owns: what a dead letter tells of an exception: its name, its message and its stack, and those of what caused it.
 * Does not own: whether the message was at fault (poison-hunt.ts).
 * Invariants: one line of bounded length, without characters that a text of PostgreSQL cannot hold.
 */
import { isTollbookError } from '../runtime/errors.js';

const LENGTH_MAX = 2_000;
const FRAMES_MAX = 8;
const CAUSES_MAX = 3;

/** Describes an exception. */
export function failureDetail(error: unknown): string {
  const parts: string[] = [];
  for (let cause: unknown = error; cause !== undefined && parts.length < CAUSES_MAX; cause = causeOf(cause)) {
    parts.push(describe(cause));
  }
  const text = parts.join('; caused by ').replaceAll(/\p{Cc}+/gu, ' ');
  return text.length <= LENGTH_MAX ? text : `${text.slice(0, LENGTH_MAX - 1)}…`;
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`;
  const name = isTollbookError(error) ? error.code : error.name;
  return [`${name}: ${error.message}`, ...framesOf(error)].join(' ');
}

/** The innermost calls, each as `at FUNCTION (FILE:LINE:COLUMN)`. */
function framesOf({ stack = '' }: Error): string[] {
  const frames = stack.split('\n').map((line) => line.trim());
  return frames.filter((line) => line.startsWith('at ')).slice(0, FRAMES_MAX);
}
