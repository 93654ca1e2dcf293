/**
 * Owns: `tollbook commands replay`: booking the commands of the journal again.
 * Does not own: the replay (src/command-journal).
 * Invariants: stdout carries the result alone, with --json exactly one JSON object; exit code 0 only when every command of
 * the journal is booked, or would be.
 */
import { type Command, InvalidArgumentError } from 'commander';
import type { ReplayItem, ReplayResult } from '../command-journal/replay-commands.js';
import { replayJournal, type ReplayStart } from '../operations/replay-journal.js';
import { type Config, loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { assertSchemaCurrent } from '../runtime/migrations.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { clockBeside } from '../runtime/postgres-time.js';
import { defaultTerms } from './charging-parts.js';
import { instantValue } from './option-values.js';
import { printJson, printNote, printText } from './output.js';
import { plainTable } from './plain-table.js';
import { type Progress, startProgress } from './progress.js';
import { readerKafka } from './reconcile-world.js';

interface ReplayFlags {
  readonly from?: ReplayStart;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const HELP = `
For a database that was put back to an earlier state. Every command is published to TOLLBOOK_COMMANDS_TOPIC once it is booked;
this books each again under its own key. What the ledger has already is left as it is, so it is safe to run again.
A refund or a price needs its charge or its usage, which comes back from Kafka: let the consumers charge, then run it again.
--dry-run compares keys and content; whether a command is still allowed is decided when it is booked.
Exit code 0: every command of the journal is booked, or would be. 1: some could not be booked; each is named with its reason.`;

/** Adds `commands replay` to the program. */
export function registerCommandsCommand(program: Command): void {
  program
    .command('commands')
    .description('the journal of commands')
    .command('replay')
    .description('book what a restored database has lost: every command of the journal, under its own key')
    .option(
      '--from <instant|offset>',
      'begin with what was published then, or at this offset (default: all)',
      startValue,
    )
    .option('--dry-run', 'tell what would be booked, and write nothing')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', HELP)
    .action(run);
}

function startValue(text: string): ReplayStart {
  if (/^\d{1,18}$/.test(text)) return { offset: BigInt(text) };
  try {
    return { at: instantValue(text) };
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new InvalidArgumentError(`${error.message}; or an offset of the journal`);
  }
}

async function run(flags: ReplayFlags): Promise<void> {
  const config = loadConfig();
  const { commandsTopic: topic } = config;
  if (topic === '') {
    throw new TollbookError(
      'USAGE_INVALID',
      'no journal is known; set TOLLBOOK_COMMANDS_TOPIC to the name of its topic',
    );
  }
  const result = await replay(config, topic, flags);
  if (flags.json === true) printJson(documentOf(topic, result, flags));
  else printText(textOf(topic, result));
  if (result.gone > 0) {
    printNote(`${result.gone} offsets of ${topic} are gone: Kafka has deleted the commands that were there\n`);
  }
  const { conflict, refused, malformed } = result.counts;
  if (conflict + refused + malformed > 0) process.exitCode = 1;
}

async function replay(config: Readonly<Config>, topic: string, flags: ReplayFlags): Promise<ReplayResult> {
  const { databaseUrl: url, databaseRole: role } = config;
  const pool = createPostgresPool({ url, role, applicationName: 'tollbook-replay', connectionsMax: 2 });
  let progress: Progress | undefined;
  try {
    await assertSchemaCurrent(pool);
    const clock = clockBeside(pool, config.clockSkewMaxMs);
    await clock.check();
    const defaults = { currency: config.defaultCurrency, terms: defaultTerms(config) };
    return await replayJournal(
      { pool, kafka: readerKafka(config), topic, clock, defaults },
      {
        ...{ from: flags.from, isDryRun: flags.dryRun === true },
        onProgress: (done, total) => {
          progress ??= startProgress({ label: 'replaying', total, unit: 'offsets', silent: flags.json === true });
          progress.set(done);
        },
      },
    );
  } finally {
    progress?.stop();
    await pool.end();
  }
}

function documentOf(topic: string, { counts, items, itemsLeftOff, gone }: ReplayResult, flags: ReplayFlags): object {
  return { topic, dry_run: flags.dryRun === true, ...counts, offsets_gone: gone, items, items_left_off: itemsLeftOff };
}

function textOf(topic: string, { counts, items, itemsLeftOff }: ReplayResult): string {
  const { booked, would_book, already_booked, conflict, refused, malformed } = counts;
  const failed = conflict + refused + malformed;
  const summary = [
    `${topic}: ${already_booked} already booked`,
    ...(booked > 0 ? [`${booked} booked`] : []),
    ...(would_book > 0 ? [`${would_book} would be booked`] : []),
    ...(failed > 0 ? [`${failed} not booked`] : []),
  ];
  const more = itemsLeftOff === 0 ? [] : [`… and ${itemsLeftOff} more`];
  return [...(items.length === 0 ? [] : [tableOf(items)]), ...more, summary.join(', '), ''].join('\n');
}

function tableOf(items: readonly ReplayItem[]): string {
  const table = plainTable(['offset', 'outcome', 'tenant', 'key', 'command', 'entry', 'why']);
  for (const { partition, offset, outcome, tenant_id, key, kind, seq, code, message } of items) {
    const why = [code, message].filter((part) => part !== null).join(': ');
    table.push([`${partition}/${offset}`, outcome, tenant_id ?? '', key ?? '', kind ?? '', seq ?? '', why]);
  }
  return table.toString();
}
