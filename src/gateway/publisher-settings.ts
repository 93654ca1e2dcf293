/**
 * Owns: the settings of a publisher, their defaults and bounds.
 * Invariants: all problems are reported together, each with the value found and what is allowed.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { IDENTIFIER } from '../ledger/identifier.js';
import { TollbookError } from '../runtime/errors.js';
import type { Logger } from '../runtime/logger.js';

/** Which topic each kind of event goes to. */
export interface PublisherTopics {
  readonly pending: string;
  readonly completed: string;
}

/** What can be set on a publisher, whatever it writes to. */
export interface PublisherTuning {
  /** Default `usage.pending` and `usage.completed`. */
  readonly topics?: PublisherTopics;
  /** Name of this gateway instance in `producer.instance`; default: host name, process id and four random bytes. */
  readonly instance?: string;
  /** Number of this run of the instance in `producer.epoch`; must grow with every start. Default: the start time in ms. */
  readonly epoch?: number;
  /** How long the first event of a batch waits for company, in ms; default 5, at most 10,000. */
  readonly lingerMs?: number;
  /** Most events of one request; default 1,000. */
  readonly batchEventsMax?: number;
  /** Most events that wait for an acknowledgement; default 50,000. */
  readonly bufferEventsMax?: number;
  /** Most bytes that wait for an acknowledgement; default 64 MiB. */
  readonly bufferBytesMax?: number;
  /** Where failed batches are reported; without it the publisher is silent. */
  readonly logger?: Logger;
}

/** The settings of a publisher, complete. */
export type PublisherSettings = Required<Omit<PublisherTuning, 'logger'>> & { readonly logger: Logger | undefined };

/** The largest batch in bytes: below the 1 MiB that a broker accepts by default, with room for framing. */
export const BATCH_BYTES_MAX = 900_000;

const TOPIC_PATTERN = /^[A-Za-z0-9._-]{1,249}$/;
const MEBIBYTE = 1_048_576;

function defaultInstance(): string {
  const host = hostname()
    .replace(/[^A-Za-z0-9.-]/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, 64);
  return `${host === '' ? 'gateway' : host}-${process.pid}-${randomBytes(4).toString('hex')}`;
}

function integerProblem(name: string, value: number, [least, most]: readonly [number, number]): string[] {
  const isAllowed = Number.isInteger(value) && value >= least && value <= most;
  return isAllowed ? [] : [`${name}: found ${String(value)}, allowed: an integer from ${least} to ${most}`];
}

function patternProblem(name: string, value: string, pattern: RegExp): string[] {
  return pattern.test(value) ? [] : [`${name}: found ${JSON.stringify(value)}, allowed: ${pattern.source}`];
}

/** Completes the settings with their defaults; throws CONFIG_INVALID listing every one that is out of bounds. */
export function publisherSettings(tuning: PublisherTuning, nowMs: number): PublisherSettings {
  const settings: PublisherSettings = {
    topics: tuning.topics ?? { pending: 'usage.pending', completed: 'usage.completed' },
    instance: tuning.instance ?? defaultInstance(),
    epoch: tuning.epoch ?? nowMs,
    lingerMs: tuning.lingerMs ?? 5,
    batchEventsMax: tuning.batchEventsMax ?? 1_000,
    bufferEventsMax: tuning.bufferEventsMax ?? 50_000,
    bufferBytesMax: tuning.bufferBytesMax ?? 64 * MEBIBYTE,
    logger: tuning.logger,
  };
  const problems = [
    ...patternProblem('topics.pending', settings.topics.pending, TOPIC_PATTERN),
    ...patternProblem('topics.completed', settings.topics.completed, TOPIC_PATTERN),
    ...patternProblem('instance', settings.instance, IDENTIFIER),
    ...integerProblem('epoch', settings.epoch, [0, Number.MAX_SAFE_INTEGER]),
    ...integerProblem('lingerMs', settings.lingerMs, [0, 10_000]),
    ...integerProblem('batchEventsMax', settings.batchEventsMax, [1, 10_000]),
    ...integerProblem('bufferEventsMax', settings.bufferEventsMax, [1, 10_000_000]),
    ...integerProblem('bufferBytesMax', settings.bufferBytesMax, [1, 4_096 * MEBIBYTE]),
  ];
  if (problems.length > 0) throw new TollbookError('CONFIG_INVALID', `publisher: ${problems.join('; ')}`);
  return settings;
}
