/**
 * Owns: `tollbook entries list`: the entries of a tenant by page, with filters, also as they were at a past instant.
 * Does not own: how they look (entry-documents.ts).
 * Invariants: reads only; entries are listed for one tenant, since every index of the ledger starts with the tenant; stdout
 * carries the page alone, how to go on is told on stderr or in the document.
 */
import { type Command, Option } from 'commander';
import type { EntryStatus, EntryType } from '../ledger/entry.js';
import type { EntryFilter, EntryListing, EntryPage } from '../ledger/ledger-queries.js';
import { TollbookError } from '../runtime/errors.js';
import { entriesCsv, entryDocument, entryTable } from './entry-documents.js';
import { unknownAccount, withLedgerQueries } from './ledger-reading.js';
import { identifier, instantValue, plainText, tagText, wholeNumber } from './option-values.js';
import { printJson, printRaw, printText } from './output.js';

interface EntriesFlags extends Omit<EntryFilter, 'userId' | 'projectId' | 'tags'> {
  readonly user?: string;
  readonly project?: string;
  readonly tag?: Readonly<Record<string, string>>;
  readonly tenant: string;
  readonly at?: string;
  readonly after?: number;
  readonly limit: number;
  readonly reverse?: boolean;
  readonly json?: boolean;
  readonly csv?: boolean;
}

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 1_000;
const TYPES: readonly EntryType[] = ['DEDUCT', 'CREDIT', 'REFUND', 'ADJUSTMENT', 'LIMITS'];
const STATUSES: readonly EntryStatus[] = ['PENDING', 'REFUSED', 'COMMITTED', 'FAILED', 'VOIDED', 'EXPIRED'];

/** Adds `entries` to the program. */
export function registerEntriesCommand(program: Command): void {
  const list = program
    .command('entries')
    .description('the entries of the ledger')
    .command('list')
    .description('list the entries of a tenant by seq, a page at a time')
    .requiredOption('--tenant <id>', 'whose entries', identifier);
  filterOptions(list)
    .option('--at <time>', 'only what was recorded by then: the ledger as it was, RFC 3339', instantValue)
    .option(
      '--after <seq>',
      'go on after this entry, in the order of the list',
      wholeNumber(0, Number.MAX_SAFE_INTEGER),
    )
    .option('--limit <n>', 'entries a page', wholeNumber(1, LIMIT_MAX), LIMIT_DEFAULT)
    .option('--reverse', 'newest first')
    .addOption(new Option('--json', 'print the page as one JSON object; `next` is what --after takes').conflicts('csv'))
    .option('--csv', 'print every column as CSV')
    .addHelpText(
      'after',
      '\nA page looks at 100,000 entries at most. With a filter it may be short, or empty, and yet not be the last:\n' +
        'go on with --after until no more is announced.',
    )
    .action(async (flags: EntriesFlags) => {
      const listing = listingOf(flags);
      const page = await withLedgerQueries('entries-list', (queries) => queries.listEntries(listing));
      if (page === undefined) throw unknownAccount(flags.tenant);
      printPage(page, flags);
    });
}

function filterOptions(command: Command): Command {
  return command
    .addOption(new Option('--type <type>', 'only entries of this type').choices(TYPES))
    .addOption(new Option('--status <status>', 'only entries in this status').choices(STATUSES))
    .option('--model <name>', 'only requests to this model', plainText)
    .option('--provider <name>', 'only requests to this provider', plainText)
    .option('--api-key-id <id>', 'only requests with this API key', plainText)
    .option('--user <id>', 'only requests of this user', plainText)
    .option('--project <id>', 'only requests of this project', plainText)
    .option('--tag <name=value>', 'only requests with this tag; may be given again', tagText)
    .option('--since <time>', 'not before this time, RFC 3339', instantValue)
    .option('--until <time>', 'before this time, RFC 3339', instantValue)
    .addOption(
      new Option('--by <time>', 'which time --since and --until are about: when it happened, or when it was written')
        .choices(['occurred', 'recorded'])
        .default('occurred'),
    );
}

/** Throws USAGE_INVALID for a time range that can hold nothing. */
function listingOf(flags: EntriesFlags): EntryListing {
  const { tenant: tenantId, limit, at, after, reverse, since, until } = flags;
  if (since !== undefined && until !== undefined && since >= until) {
    throw new TollbookError('USAGE_INVALID', `--until is ${until}; allowed: a time after --since, which is ${since}`, {
      context: { since, until },
    });
  }
  return {
    ...{ tenantId, limit, filter: filterOf(flags), order: reverse === true ? 'newestFirst' : 'oldestFirst' },
    ...(at === undefined ? {} : { at }),
    ...(after === undefined ? {} : { after }),
  };
}

/** Only what filters: the flags hold other options too. */
function filterOf({
  type,
  status,
  model,
  provider,
  apiKeyId,
  user,
  project,
  tag,
  ...times
}: EntriesFlags): EntryFilter {
  const { by, since, until } = times;
  return {
    by,
    ...(type === undefined ? {} : { type }),
    ...(status === undefined ? {} : { status }),
    ...(model === undefined ? {} : { model }),
    ...(provider === undefined ? {} : { provider }),
    ...(apiKeyId === undefined ? {} : { apiKeyId }),
    ...(user === undefined ? {} : { userId: user }),
    ...(project === undefined ? {} : { projectId: project }),
    ...(tag === undefined ? {} : { tags: tag }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  };
}

function printPage({ entries, next, lastSeq }: EntryPage, { tenant, json, csv }: EntriesFlags): void {
  if (json === true) {
    printJson({ tenantId: tenant, entries: entries.map(entryDocument), next, lastSeq });
    return;
  }
  if (csv === true) printRaw(entriesCsv(entries));
  else printText(entries.length === 0 ? noEntry(next) : entryTable(entries));
  if (next !== null) process.stderr.write(`more, up to entry ${lastSeq}: --after ${next}\n`);
}

function noEntry(next: number | null): string {
  return next === null ? 'no entry\n' : `no entry up to ${next}\n`;
}
