/**
 * Owns: the options of `tollbook reconcile` and what they ask for.
 * Does not own: the run (reconcile-command.ts).
 * Invariants: what contradicts itself is refused before anything is read.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { RangeRequest, UsageTopic } from '../reconciliation/reconcile/frozen-ranges.js';
import type { Config } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { instantValue, offsetValue, plainText } from './option-values.js';

/** What commander hands over. */
export interface ReconcileFlags {
  readonly topic?: readonly string[];
  readonly partitions?: readonly number[];
  readonly fromOffset?: bigint;
  readonly toOffset?: bigint;
  readonly since?: string;
  readonly until?: string;
  readonly resume?: string;
  readonly report?: string;
  readonly repair?: boolean;
  readonly dryRun?: boolean;
  readonly actor?: string;
  readonly reason?: string;
  readonly json?: boolean;
}

const PARTITIONS_ALLOWED = 'allowed: partitions and ranges of them, such as 0,3,8-11';
const PARTITIONS_MAX = 100_000;

/** Parses partitions written as `0,3,8-11`. */
export function partitionList(text: string): number[] {
  const partitions = text.split(',').flatMap((part) => {
    const [, first, last] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part) ?? [];
    if (first === undefined) throw new InvalidArgumentError(PARTITIONS_ALLOWED);
    const [from, to] = [Number(first), Number(last ?? first)];
    if (to < from || to >= PARTITIONS_MAX) throw new InvalidArgumentError(PARTITIONS_ALLOWED);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
  return [...new Set(partitions)].sort((one, other) => one - other);
}

function topicNames(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}

/** Adds the options to the command. */
export function reconcileOptions(command: Command): Command {
  return command
    .option('--topic <name>', 'only this topic; may be repeated (default: both)', topicNames)
    .option('--partitions <list>', 'only these, such as 0,3,8-11', partitionList)
    .addOption(
      new Option('--from-offset <n>', 'from this offset of each partition on')
        .argParser(offsetValue)
        .conflicts(['since', 'until']),
    )
    .addOption(
      new Option('--to-offset <n>', 'up to, not including, this offset of each partition')
        .argParser(offsetValue)
        .conflicts(['since', 'until']),
    )
    .option('--since <time>', 'messages of this time or later, RFC 3339', instantValue)
    .option('--until <time>', 'messages before this time, RFC 3339', instantValue)
    .option('--resume <file>', 'keep the run in this file, and go on from it if it exists')
    .option('--report <folder>', 'write the report there, as JSON and as Markdown')
    .option('--repair', 'send what is missing through the charge protocol')
    .option('--dry-run', 'with --repair: tell what would become of it, and write nothing')
    .option('--actor <who>', 'who signs the report, or repairs: the run is recorded in the ledger', plainText)
    .option('--reason <text>', 'why it is repaired', plainText)
    .option('--json', 'print the report as one JSON object');
}

/** The part of the topics that some flags ask for. Throws USAGE_INVALID. */
export function requestOf(flags: ReconcileFlags, config: Readonly<Config>): RangeRequest {
  const { partitions, fromOffset, toOffset, since, until } = flags;
  assertOrdered('--to-offset', toOffset, { flag: '--from-offset', bound: fromOffset });
  assertOrdered('--until', until, { flag: '--since', bound: since });
  return {
    topics: topicsOf(flags, config),
    ...(partitions === undefined ? {} : { partitions }),
    ...(fromOffset === undefined ? {} : { fromOffset }),
    ...(toOffset === undefined ? {} : { toOffset }),
    ...(since === undefined ? {} : { sinceMs: Date.parse(since) }),
    ...(until === undefined ? {} : { untilMs: Date.parse(until) }),
  };
}

/** Refuses a repair without a name and a reason, and a dry run of nothing. Throws USAGE_INVALID. */
export function assertRepairFlags({ repair, dryRun, actor, reason }: ReconcileFlags): void {
  if (repair !== true) {
    if (dryRun === true) throw new TollbookError('USAGE_INVALID', '--dry-run was given alone; allowed: with --repair');
    if (reason !== undefined)
      throw new TollbookError('USAGE_INVALID', '--reason was given alone; allowed: with --repair');
    return;
  }
  if (actor !== undefined && reason !== undefined) return;
  const missing = [...(actor === undefined ? ['--actor'] : []), ...(reason === undefined ? ['--reason'] : [])];
  throw new TollbookError('USAGE_INVALID', `--repair needs ${missing.join(' and ')}: who repairs, and why`);
}

function topicsOf({ topic }: ReconcileFlags, { topicPending, topicCompleted }: Readonly<Config>): UsageTopic[] {
  const all: UsageTopic[] = [
    { topic: topicPending, kind: 'pending' },
    { topic: topicCompleted, kind: 'completed' },
  ];
  if (topic === undefined) return all;
  const unknown = topic.find((name) => name !== topicPending && name !== topicCompleted);
  if (unknown === undefined) return all.filter((each) => topic.includes(each.topic));
  throw new TollbookError(
    'USAGE_INVALID',
    `--topic is ${unknown}; allowed: ${topicPending} or ${topicCompleted}, as TOLLBOOK_TOPIC_PENDING and ` +
      'TOLLBOOK_TOPIC_COMPLETED name them',
  );
}

function assertOrdered<T extends bigint | string>(
  flag: string,
  value: T | undefined,
  from: { readonly flag: string; readonly bound: T | undefined },
): void {
  if (value === undefined || from.bound === undefined || value > from.bound) return;
  throw new TollbookError(
    'USAGE_INVALID',
    `${flag} is ${value}; allowed: more than ${from.flag}, which is ${from.bound}`,
  );
}
