/**
 * Owns: `tollbook dead-letters list | show | redrive | amend | discard`: their flags, and looking at dead letters.
 * Does not own: what a redrive or discard does (dead-letter-changes.ts), how a letter looks (dead-letter-text.ts).
 * Invariants: listing and showing change nothing; `--raw` writes the bytes of the message and nothing else.
 */
import { type Command, Option } from 'commander';
import {
  DEAD_LETTER_REASONS,
  LETTER_STATES,
  letterName,
  type LetterPosition,
  type LetterState,
} from '../ledger/dead-letter.js';
import type { DeadLetterReader, LetterPlace, LetterStory } from '../ledger/dead-letter-store.js';
import { CONNECTIONS_TO_NAME_BLOCKERS } from '../ledger/postgres/lock-watch.js';
import { PostgresDeadLetterReader } from '../ledger/postgres/postgres-dead-letter-reader.js';
import { loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { type Correction, corrected, fieldNames, fieldValues, readCorrected } from './corrected-event.js';
import { amend, type AmendFlags, type ChangeFlags, type ChangeWorld, discard, redrive } from './dead-letter-changes.js';
import {
  type FilterFlags,
  filterOf,
  letterReason,
  positionValue,
  positionValues,
  withFilters,
} from './dead-letter-selection.js';
import {
  countsLine,
  lettersByReason,
  storyJson,
  storyText,
  summaryJson,
  summaryTable,
  totalOf,
} from './dead-letter-text.js';
import { plainText, wholeNumber } from './option-values.js';
import { printText } from './output.js';

interface ListFlags extends FilterFlags {
  readonly reason?: FilterFlags['letterReason'];
  readonly state: LetterState | 'all';
  readonly limit: number;
  readonly after?: LetterPosition;
  readonly json?: boolean;
}

interface ShowFlags {
  readonly json?: boolean;
  readonly raw?: boolean;
}

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 1_000;
const POSITION = 'TOPIC/PARTITION/OFFSET of the message';

const REDRIVE_HELP = `
The settings apply as in consuming, so a limit can be raised for one redrive:
  TOLLBOOK_EVENT_AGE_MAX_MS=7776000000 tollbook dead-letters redrive --letter-reason OCCURRED_AT_TOO_OLD --dry-run --actor ops`;

const AMEND_HELP = `
tollbook dead-letters amend usage.completed/3/1207 --set usage.input_tokens=120 --unset usage.total --dry-run …
tollbook dead-letters amend usage.completed/3/1207 --file corrected.json --actor ops --reason 'the gateway sent text'

A value that is no JSON is taken as text. The copy must name the tenant and the trace of the letter, where that names any.
The original bytes stay; the copy is kept beside them, with who gave it and why.`;

/** Adds `dead-letters` to the program. */
export function registerDeadLettersCommand(program: Command): void {
  const letters = program.command('dead-letters').description('messages that could not be charged, with their bytes');
  addList(letters);
  addShow(letters);
  addRedrive(letters);
  addAmend(letters);
  addDiscard(letters);
}

function addList(letters: Command): void {
  withFilters(letters.command('list'))
    .description('list dead letters, oldest first, and count them by reason')
    .addOption(letterReason('--reason <code>').conflicts('letterReason'))
    .addOption(new Option('--state <state>', 'which ones').choices([...LETTER_STATES, 'all']).default('open'))
    .option('--limit <n>', 'how many at most', wholeNumber(1, LIMIT_MAX), LIMIT_DEFAULT)
    .option('--after <position>', 'go on after this one: TOPIC/PARTITION/OFFSET', positionValue)
    .option('--json', 'print the result as one JSON object')
    .action((flags: ListFlags) => withWorld((world) => list(readerOf(world), flags)));
}

function addShow(letters: Command): void {
  letters
    .command('show')
    .description('show one dead letter: bytes, headers, reason, history, and the entries of its trace')
    .argument('<position>', POSITION, positionValue)
    .option('--json', 'print the result as one JSON object')
    .addOption(new Option('--raw', 'write the original bytes of the message, and nothing else').conflicts('json'))
    .action((position: LetterPosition, flags: ShowFlags) =>
      withWorld((world) => show(readerOf(world), position, flags)),
    );
}

function addRedrive(letters: Command): void {
  withFilters(letters.command('redrive'))
    .description('charge dead letters whose cause is gone; what would be a dead letter again stays open')
    .addHelpText('after', REDRIVE_HELP)
    .argument('[positions...]', POSITION, positionValues)
    .option('--all', 'every open one')
    .option('--yes', 'go ahead with all that a filter finds')
    .option('--dry-run', 'say what each would come to, and write nothing')
    .requiredOption('--actor <who>', 'who redrives them', plainText)
    .option('--reason <text>', 'why', whyText)
    .option('--json', 'print the result as one JSON object')
    .action((positions: LetterPosition[], flags: ChangeFlags) =>
      withWorld((world) => redrive(world, positions, flags)),
    );
}

interface AmendCommandFlags extends AmendFlags, Partial<Correction> {
  readonly file?: string;
}

function addAmend(letters: Command): void {
  letters
    .command('amend')
    .description('charge a corrected copy of a dead letter whose message can never be charged')
    .addHelpText('after', AMEND_HELP)
    .argument('<position>', POSITION, positionValue)
    .addOption(new Option('--file <path>', 'the corrected event, as JSON').conflicts(['set', 'unset']))
    .option('--set <field=value>', 'set a field of the event; may be repeated', fieldValues)
    .option('--unset <field>', 'take a field out of the event; may be repeated', fieldNames)
    .option('--dry-run', 'say what it would come to, and write nothing')
    .requiredOption('--actor <who>', 'who corrects it', plainText)
    .requiredOption('--reason <text>', 'why', whyText)
    .option('--json', 'print the result as one JSON object')
    .action((position: LetterPosition, flags: AmendCommandFlags) =>
      withWorld(async (world) => amend(world, position, { ...flags, value: await copyOf(world, position, flags) })),
    );
}

async function copyOf(world: ChangeWorld, position: LetterPosition, flags: AmendCommandFlags): Promise<Buffer> {
  const { file, set = [], unset = [] } = flags;
  if (file !== undefined) return readCorrected(file);
  if (set.length + unset.length === 0)
    throw new TollbookError('USAGE_INVALID', 'nothing is corrected; allowed: --file, or --set and --unset');
  const story = (await readerOf(world).story(position)) ?? unknownLetter(position);
  return corrected(story.letter.value, { set, unset });
}

function addDiscard(letters: Command): void {
  withFilters(letters.command('discard'))
    .description('decide that dead letters are never charged; their bytes stay')
    .argument('[positions...]', POSITION, positionValues)
    .option('--all', 'every open one')
    .option('--yes', 'go ahead with all that a filter finds')
    .requiredOption('--actor <who>', 'who discards them', plainText)
    .requiredOption('--reason <text>', 'why', whyText)
    .option('--json', 'print the result as one JSON object')
    .action((positions: LetterPosition[], flags: ChangeFlags & { readonly reason: string }) =>
      withWorld((world) => discard(world, positions, flags)),
    );
}

/** Of a change, --reason is why; who types the code of a letter there means to filter. */
function whyText(text: string): string {
  if (!DEAD_LETTER_REASONS.some((reason) => reason === text)) return plainText(text);
  throw new TollbookError(
    'USAGE_INVALID',
    `--reason is ${text}; allowed: why you do it, in your words; dead letters are filtered with --letter-reason ${text}`,
  );
}

async function withWorld(work: (world: ChangeWorld) => Promise<void>): Promise<void> {
  const config = loadConfig();
  const pool = createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: 'tollbook-dead-letters',
    connectionsMax: CONNECTIONS_TO_NAME_BLOCKERS,
  });
  try {
    await work({ config, pool });
  } finally {
    await pool.end();
  }
}

function readerOf({ pool }: ChangeWorld): DeadLetterReader {
  return new PostgresDeadLetterReader(pool);
}

async function list(reader: DeadLetterReader, flags: ListFlags): Promise<void> {
  const code = flags.reason ?? flags.letterReason;
  const filter = filterOf({ ...flags, ...(code === undefined ? {} : { letterReason: code }) }, flags.state);
  const after = flags.after === undefined ? undefined : await placeOf(reader, flags.after);
  // One more than asked for tells whether there are more.
  const found = await reader.page(filter, { after, limit: flags.limit + 1 });
  const letters = found.slice(0, flags.limit);
  const last = letters[letters.length - 1];
  const next = found.length > letters.length && last !== undefined ? letterName(last) : null;
  const counts = await reader.count(filter);
  if (flags.json === true) {
    const [total, byReason] = [totalOf(counts), lettersByReason(counts)];
    printText(`${JSON.stringify({ letters: letters.map(summaryJson), total, byReason, next })}\n`);
    return;
  }
  if (letters.length > 0) printText(`${summaryTable(letters)}\n`);
  printText(`${countsLine(counts, flags.state === 'all' ? '' : flags.state)}\n`);
  if (next !== null) printText(`more: --after ${next}\n`);
}

async function placeOf(reader: DeadLetterReader, position: LetterPosition): Promise<LetterPlace> {
  const [letter] = await reader.at([position]);
  return letter ?? unknownLetter(position);
}

async function show(reader: DeadLetterReader, position: LetterPosition, flags: ShowFlags): Promise<void> {
  const story = (await reader.story(position)) ?? unknownLetter(position);
  if (flags.raw === true) await writeRaw(story);
  else printText(flags.json === true ? `${JSON.stringify(storyJson(story))}\n` : storyText(story));
}

/** Resolves once the bytes are handed over, since the process ends right after. */
async function writeRaw({ letter }: LetterStory): Promise<void> {
  if (letter.value === null) process.stderr.write('the message has no value\n');
  const bytes = letter.value ?? Buffer.alloc(0);
  await new Promise<void>((resolve) => process.stdout.write(bytes, () => resolve()));
}

function unknownLetter(position: LetterPosition): never {
  throw new TollbookError('DEAD_LETTER_UNKNOWN', `there is no dead letter at ${letterName(position)}`);
}
