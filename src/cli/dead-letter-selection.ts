/**
 * Owns: which dead letters a command is about: those at the positions named, or those that a filter finds.
 * Does not own: what is done with them.
 * Invariants: a selection by filter is what there was when it was made: what is recorded later is not part of it; it is
 * read in pages, oldest first, and never held as a whole.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  DEAD_LETTER_REASONS,
  type DeadLetterReason,
  LETTER_POSITION_ALLOWED,
  letterName,
  type LetterPosition,
  type LetterState,
  type LetterSummary,
  parseLetterPosition,
} from '../ledger/dead-letter.js';
import type { DeadLetterReader, LetterFilter } from '../ledger/dead-letter-store.js';
import { TollbookError } from '../runtime/errors.js';
import { countsLine, totalOf } from './dead-letter-text.js';
import { identifier, instantValue } from './option-values.js';

/** The flags that filter dead letters. */
export interface FilterFlags {
  readonly letterReason?: DeadLetterReason;
  readonly topic?: string;
  readonly tenant?: string;
  readonly trace?: string;
  readonly event?: string;
  readonly since?: string;
  readonly until?: string;
}

/** The flags that select dead letters to act on. */
export interface SelectionFlags extends FilterFlags {
  readonly all?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
}

/** Dead letters to act on. */
export interface LetterSelection {
  readonly total: number;
  /** The topics that the open ones come from. */
  readonly topics: readonly string[];
  /** Those that were named and are no longer open; a filter finds none. */
  readonly closed: readonly LetterSummary[];
  pages(): AsyncIterable<readonly LetterSummary[]>;
}

/** Spread over 16 redrive streams, a page still makes chunks of some 250 letters; without their bytes it is about 1 MB. */
const PAGE = 4_000;

/** Parses a position on the command line. */
export function positionValue(text: string): LetterPosition {
  const position = parseLetterPosition(text);
  if (position === undefined) throw new InvalidArgumentError(`allowed: ${LETTER_POSITION_ALLOWED}`);
  return position;
}

/** Parses some positions on the command line, one by one. */
export function positionValues(text: string, before: readonly LetterPosition[] | undefined): LetterPosition[] {
  return [...(before ?? []), positionValue(text)];
}

function topicName(text: string): string {
  if (!/^[A-Za-z0-9._-]{1,249}$/.test(text)) {
    throw new InvalidArgumentError('allowed: the name of a topic, 1 to 249 of A-Z a-z 0-9 . _ -');
  }
  return text;
}

/** Adds the flags that filter dead letters. */
export function withFilters(command: Command): Command {
  return command
    .addOption(letterReason('--letter-reason <code>'))
    .option('--topic <topic>', 'only those of this topic', topicName)
    .option('--tenant <tenant>', 'only those whose event names this tenant', identifier)
    .option('--trace <trace>', 'only those whose event names this trace', identifier)
    .option('--event <id>', 'only those of this event id', identifier)
    .option('--since <time>', 'only those recorded at or after this RFC 3339 time', instantValue)
    .option('--until <time>', 'only those recorded before this RFC 3339 time', instantValue);
}

/** A flag that takes the code with which a letter was recorded. */
export function letterReason(flags: string): Option {
  return new Option(flags, 'only those recorded with this reason').choices([...DEAD_LETTER_REASONS]);
}

/** The filter that some flags describe. Throws USAGE_INVALID when the times leave nothing. */
export function filterOf(flags: FilterFlags, state: LetterFilter['state']): LetterFilter {
  const { letterReason: reason, topic, tenant, trace, event, since, until } = flags;
  if (since !== undefined && until !== undefined && since >= until) {
    throw new TollbookError('USAGE_INVALID', `--until is ${until}; allowed: later than --since, ${since}`);
  }
  return {
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(topic === undefined ? {} : { topic }),
    ...(tenant === undefined ? {} : { tenantId: tenant }),
    ...(trace === undefined ? {} : { traceId: trace }),
    ...(event === undefined ? {} : { eventId: event }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  };
}

/**
 * The dead letters that a command line names.
 * Throws USAGE_INVALID for positions together with filters, for neither, and for a filter without --yes that finds some;
 * DEAD_LETTER_UNKNOWN.
 */
export async function selectLetters(
  reader: DeadLetterReader,
  positions: readonly LetterPosition[],
  flags: SelectionFlags,
): Promise<LetterSelection> {
  const filters = Object.keys(filterOf(flags, 'open')).length - 1;
  const isFiltered = filters > 0 || flags.all === true;
  if (positions.length > 0 && isFiltered) {
    throw new TollbookError('USAGE_INVALID', 'positions and filters were given; allowed: one or the other');
  }
  if (positions.length > 0) return named(reader, positions);
  if (isFiltered) return filtered(reader, flags);
  throw new TollbookError(
    'USAGE_INVALID',
    'no dead letter was named; allowed: positions as TOPIC/PARTITION/OFFSET, a filter such as --letter-reason, or --all',
  );
}

async function named(reader: DeadLetterReader, positions: readonly LetterPosition[]): Promise<LetterSelection> {
  const distinct = [...new Map(positions.map((position) => [letterName(position), position])).values()];
  const letters = await reader.at(distinct);
  const found = new Set(letters.map(letterName));
  const unknown = distinct.map(letterName).filter((name) => !found.has(name));
  if (unknown.length > 0) {
    throw new TollbookError('DEAD_LETTER_UNKNOWN', `there is no dead letter at ${unknown.join(', ')}`);
  }
  const open = letters.filter(({ state }) => state === 'open');
  return {
    total: letters.length,
    topics: [...new Set(open.map(({ topic }) => topic))],
    closed: letters.filter(({ state }) => state !== 'open'),
    async *pages() {
      for (let start = 0; start < letters.length; start += PAGE)
        yield Promise.resolve(letters.slice(start, start + PAGE));
    },
  };
}

async function filtered(reader: DeadLetterReader, flags: SelectionFlags): Promise<LetterSelection> {
  const filter = filterOf(flags, 'open');
  const through = await reader.lastPlace(filter);
  const counts = await reader.count(filter);
  const total = totalOf(counts);
  if (total > 0 && flags.yes !== true && flags.dryRun !== true) {
    const found = countsLine(counts, 'open');
    throw new TollbookError('USAGE_INVALID', `${found}; add --yes if all of these are meant`);
  }
  return {
    total,
    topics: [...new Set(counts.map(({ topic }) => topic))],
    closed: [],
    async *pages() {
      if (through === undefined) return;
      for (let after: LetterSummary | undefined; ;) {
        const page: LetterSummary[] = await reader.page(filter, { after, through, limit: PAGE });
        if (page.length > 0) yield page;
        after = page[page.length - 1];
        if (page.length < PAGE) return;
      }
    },
  };
}

/** Refuses a selection with a letter in a state that the command must not touch. Throws DEAD_LETTER_CLOSED. */
export function assertNone({ closed }: LetterSelection, state: LetterState): void {
  const refused = closed.filter((letter) => letter.state === state).map(letterName);
  if (refused.length === 0) return;
  throw new TollbookError(
    'DEAD_LETTER_CLOSED',
    `${refused.join(', ')} ${refused.length === 1 ? 'was' : 'were'} ${state}; allowed: dead letters that are open`,
  );
}
