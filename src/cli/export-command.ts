/**
 * Owns: `tollbook export`: the ledger as a journal for hledger, as CSV, or as JSON lines.
 * Does not own: which entries (reconciliation/export-entries.ts), the journal (reconciliation/journal.ts), the columns
 * (entry-documents.ts), where the text goes (export-output.ts).
 * Invariants: reads only; stdout carries the export alone; a file appears under its name only when it is complete.
 */
import { type Command, Option } from 'commander';
import type pg from 'pg';
import { PostgresLedgerHistory } from '../ledger/postgres/postgres-ledger-history.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import type { ExportedEntry } from '../ledger/postgres/export-rows.js';
import { type ExportPart, exportParts, type ExportScope, isBounded } from '../reconciliation/export-entries.js';
import { Journal } from '../reconciliation/journal.js';
import { loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { csvHead, csvRows, entryDocument } from './entry-documents.js';
import { type ExportOutput, openOutput } from './export-output.js';
import { unknownAccount } from './ledger-reading.js';
import { identifier, instantValue } from './option-values.js';
import { type ProgressOptions, startProgress } from './progress.js';

interface ExportFlags {
  readonly format: 'hledger' | 'csv' | 'jsonl';
  readonly tenant?: string;
  readonly since?: string;
  readonly until?: string;
  readonly at?: string;
  readonly out?: string;
  readonly holds?: boolean;
}

/** An export in one format: what it starts with, and each part. */
interface ExportWriter {
  readonly head: string;
  write(part: ExportPart): string;
}

const HELP = `
hledger: every entry that moves money is a balanced transaction between tenants:TENANT and usage:PROVIDER:MODEL,
funding:credits or equity:adjustments, and asserts the balance it leaves: "hledger check --strict" proves the ledger, and
"hledger balance tenants" gives the balances of the accounts. With --since, what a tenant had before is equity:opening.
See docs/books.md. csv (RFC 4180) and jsonl: every entry, with all its columns.
Times are about when an entry was recorded, so that an export of a time that is over stays the same for ever.
Ctrl-C stops, and leaves no file behind.`;

/** Adds `export` to the program. */
export function registerExportCommand(program: Command): void {
  program
    .command('export')
    .description('write the ledger out: as double-entry books for hledger, or entry by entry as CSV or JSON lines')
    .addOption(
      new Option('--format <format>', 'what to write').choices(['hledger', 'csv', 'jsonl']).makeOptionMandatory(),
    )
    .option('--tenant <id>', 'only this tenant', identifier)
    .option('--since <time>', 'only what was recorded at this time or later, RFC 3339', instantValue)
    .addOption(
      new Option('--until <time>', 'only what was recorded before this time, RFC 3339')
        .argParser(instantValue)
        .conflicts('at'),
    )
    .option('--at <time>', 'the ledger as it was: what was recorded by then, this time included', instantValue)
    .option('--holds', 'hledger: what is held too, as unbalanced postings to (holds:TENANT)')
    .option('--out <file>', 'write to a file instead of stdout, and show progress')
    .addHelpText('after', HELP)
    .action((flags: ExportFlags) => runExport(flags));
}

async function runExport(flags: ExportFlags): Promise<void> {
  const scope = scopeOf(flags);
  const { databaseUrl: url, databaseRole: role } = loadConfig();
  const pool = createPostgresPool({ url, role, applicationName: 'tollbook-export', connectionsMax: 1 });
  try {
    await assertTenant(pool, flags.tenant);
    const output = await openOutput(flags.out);
    await writeParts(pool, { flags, scope }, output).catch(async (error: unknown) => {
      await output.discard();
      throw error;
    });
  } finally {
    await pool.end();
  }
}

/** Throws USAGE_INVALID for options that do not go together. */
function scopeOf({ format, tenant, since, until, at, holds }: ExportFlags): ExportScope {
  if (holds === true && format !== 'hledger') {
    throw new TollbookError('USAGE_INVALID', `--holds is given with --format ${format}; allowed: with hledger only`);
  }
  const untilMs = at === undefined ? (until === undefined ? undefined : Date.parse(until)) : Date.parse(at) + 1;
  const sinceMs = since === undefined ? undefined : Date.parse(since);
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs >= untilMs) {
    const [name, value] = at === undefined ? ['--until', until] : ['--at', at];
    throw new TollbookError('USAGE_INVALID', `${name} is ${value}; allowed: a time after --since, which is ${since}`);
  }
  return {
    ...(tenant === undefined ? {} : { tenantId: tenant }),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
  };
}

async function assertTenant(pool: pg.Pool, tenantId: string | undefined): Promise<void> {
  if (tenantId === undefined) return;
  const accounts = await new PostgresLedgerReader(pool).readAccounts([tenantId]);
  if (!accounts.has(tenantId)) throw unknownAccount(tenantId);
}

async function writeParts(
  pool: pg.Pool,
  { flags, scope }: { flags: ExportFlags; scope: ExportScope },
  output: ExportOutput,
): Promise<void> {
  const writer = writerOf(flags);
  const progress = startProgress(await progressOf(pool, flags, scope));
  let [entries, tenants] = [0, 0];
  try {
    await output.write(writer.head);
    for await (const part of exportParts(pool, scope)) {
      await output.write(writer.write(part));
      if (part.kind === 'entries') entries += part.entries.length;
      if (part.kind === 'tenantDone') tenants += 1;
      progress.set(isBounded(scope) ? tenants : entries);
    }
    await output.complete();
  } finally {
    progress.stop();
  }
  if (flags.out !== undefined) process.stderr.write(`exported ${entries} entries to ${flags.out}\n`);
}

/** Of a time, nobody knows how many entries it has before they are read: tenants are counted instead. */
async function progressOf(pool: pg.Pool, { out }: ExportFlags, scope: ExportScope): Promise<ProgressOptions> {
  const { tenantId } = scope;
  const common = { label: 'exporting', silent: out === undefined };
  const count =
    tenantId === undefined
      ? await new PostgresLedgerHistory(pool).countLedger()
      : {
          accounts: 1,
          entries: (await new PostgresLedgerReader(pool).readAccounts([tenantId])).get(tenantId)?.seq ?? 0,
        };
  return isBounded(scope)
    ? { ...common, total: count.accounts, unit: 'tenants' }
    : { ...common, total: count.entries, unit: 'entries' };
}

function writerOf({ format, since, holds }: ExportFlags): ExportWriter {
  switch (format) {
    case 'hledger': {
      const journal = new Journal({ withHolds: holds === true });
      return {
        head: journal.head(),
        write: (part) =>
          part.kind === 'opening'
            ? journal.opening(part.last, since ?? '')
            : entriesOf(part)
                .map((entry) => journal.entry(entry))
                .join(''),
      };
    }
    case 'csv':
      return { head: csvHead(), write: (part) => csvRows(entriesOf(part)) };
    case 'jsonl':
      return { head: '', write: (part) => entriesOf(part).map(jsonLine).join('') };
  }
}

function entriesOf(part: ExportPart): readonly ExportedEntry[] {
  return part.kind === 'entries' ? part.entries : [];
}

function jsonLine(entry: Parameters<typeof entryDocument>[0]): string {
  return `${JSON.stringify(entryDocument(entry))}\n`;
}
