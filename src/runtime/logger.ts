/**
 * Owns: the process's log: JSON lines (or readable text) on stderr, without secrets.
 * Does not own: the output of commands, which goes to stdout.
 * Invariants: fields named like secrets are replaced, and so is the password of every URL in a finished line, wherever
 * it came from (a message, a field, the stack of a foreign error).
 */
import { pino } from 'pino';
import type { Logger as PinoLogger, LoggerOptions as PinoOptions } from 'pino';
import pretty from 'pino-pretty';
import { visibleText } from './printable.js';

/** A structured logger; pass facts first and the sentence last: `logger.info({ topic }, 'topic created')`. */
export type Logger = Pick<PinoLogger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & {
  child(bindings: Record<string, unknown>): Logger;
};

/** How to log. */
export interface LoggerOptions {
  /** Lowest level that is written: trace, debug, info (default), warn, error, fatal or silent. */
  readonly level?: string;
  /** Name of the process or part, on every line. */
  readonly name?: string;
  /** Readable text instead of JSON lines. */
  readonly pretty?: boolean;
}

const STDERR = 2;
const SECRET_FIELDS = ['password', 'sasl', 'secret', 'token', 'authorization'];
const REDACTED = '[redacted]';
const URL_PASSWORD = /(:\/\/[^:@/\s"]*):[^/\s"]+@/g;

/** Replaces the password of every URL in a text: `redis://user:[redacted]@host`. */
export function redactUrls(text: string): string {
  return text.includes('://') ? text.replace(URL_PASSWORD, `$1:${REDACTED}@`) : text;
}

/** Creates a logger that writes to stderr, or to the given stream. */
export function createLogger(options: LoggerOptions = {}, stream?: { write(line: string): void }): Logger {
  const settings: PinoOptions = {
    level: options.level ?? 'info',
    base: options.name === undefined ? {} : { name: options.name },
    redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: REDACTED },
    hooks: { streamWrite: (line) => visibleText(redactUrls(line)) },
  };
  if (stream !== undefined) return pino(settings, stream);
  if (options.pretty === true) return pino(settings, pretty({ destination: STDERR, sync: true }));
  return pino(settings, pino.destination({ dest: STDERR, sync: true }));
}
