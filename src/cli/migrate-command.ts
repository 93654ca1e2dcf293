/**
 * Owns: `tollbook migrate` and `tollbook schema dump`: the command line of the schema.
 * Does not own: what they do (src/runtime/migrations.ts, src/runtime/schema-dump.ts).
 * Invariants: steps are told on stderr; stdout carries the result alone, and with --json exactly one JSON object.
 */
import { writeFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { migrate, migrationStatus, revertLastMigration, type MigrateOptions } from '../runtime/migrations.js';
import { dumpSchema } from '../runtime/schema-dump.js';

interface MigrateFlags {
  readonly json?: boolean;
  readonly status?: boolean;
  readonly revertLast?: boolean;
}

/** What a migrate command prints: one line for people, one object for programs. */
interface Outcome {
  readonly text: string;
  readonly json: object;
}

/** Adds `migrate` and `schema dump` to the program; both connect with DATABASE_OWNER_URL, else DATABASE_URL. */
export function registerMigrateCommand(program: Command): void {
  program
    .command('migrate')
    .description('bring the database to the schema of this version (as the owner: DATABASE_OWNER_URL)')
    .option('--status', 'change nothing; list what is applied and pending, exit with 1 when something is pending')
    .addOption(
      new Option('--revert-last', 'take the last migration back; refused once the ledger was written to').conflicts(
        'status',
      ),
    )
    .option('--json', 'print the result as one JSON object')
    .action(runMigrate);
  program
    .command('schema')
    .description('the schema of the database')
    .command('dump')
    .description('describe the schema as text, the same on every machine')
    .option('--out <file>', 'file to write (default: stdout)')
    .action(runDump);
}

async function runMigrate(flags: MigrateFlags, command: Command): Promise<void> {
  const streams = command.configureOutput();
  const report = (line: string): void => streams.writeErr?.(`${line}\n`);
  const { text, json } = await chooseWork(flags)({ ownerUrl: loadConfig().databaseOwnerUrl, report });
  streams.writeOut?.(`${flags.json === true ? JSON.stringify(json) : text}\n`);
}

function chooseWork(flags: MigrateFlags): (options: MigrateOptions) => Promise<Outcome> {
  if (flags.status === true) return showStatus;
  return flags.revertLast === true ? revertLast : applyPending;
}

async function applyPending(options: MigrateOptions): Promise<Outcome> {
  const { applied } = await migrate(options);
  const text = applied.length === 0 ? 'the schema is current' : `the schema is current, ${applied.length} applied`;
  return { text, json: { applied } };
}

async function revertLast(options: MigrateOptions): Promise<Outcome> {
  const reverted = await revertLastMigration(options);
  return { text: reverted ?? 'no migration is applied', json: { reverted: reverted ?? null } };
}

async function showStatus(options: MigrateOptions): Promise<Outcome> {
  const status = await migrationStatus(options);
  if (status.pending.length > 0) process.exitCode = 1;
  const lines = Object.entries(status).flatMap(([state, names]) =>
    (names as readonly string[]).map((name) => `${state.padEnd(8)} ${name}`),
  );
  return { text: lines.join('\n'), json: status };
}

async function runDump({ out }: { readonly out?: string }, command: Command): Promise<void> {
  const dump = await dumpSchema(loadConfig().databaseOwnerUrl);
  if (out === undefined) return command.configureOutput().writeOut?.(dump);
  try {
    await writeFile(out, dump);
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `${out} cannot be written`, { cause, context: { file: out } });
  }
}
