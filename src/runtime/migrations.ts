/**
 * Owns: bringing a database to the schema of this version, taking the last step back, and telling what is missing.
 * Does not own: the steps themselves (migrations/).
 * Invariants: each migration is one database transaction with its own row in schema_migrations; of two migrators on one
 * database the second waits and then finds nothing to do; every error that leaves is a TollbookError.
 */
import type pg from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import type { MigrationExecutor, MigrationInterface, QueryRunner } from 'typeorm';
import { CreateLedger1767225600000 } from '../../migrations/1767225600000-create-ledger.js';
import { LedgerCommands1767312000000 } from '../../migrations/1767312000000-ledger-commands.js';
import { PriceBooks1767398400000 } from '../../migrations/1767398400000-price-books.js';
import { DeadLetterRedrive1767484800000 } from '../../migrations/1767484800000-dead-letter-redrive.js';
import { ReadingIndexes1767570000000 } from '../../migrations/1767570000000-reading-indexes.js';
import { ReconciliationRuns1767657600000 } from '../../migrations/1767657600000-reconciliation-runs.js';
import { EntryStatistics1767744000000 } from '../../migrations/1767744000000-entry-statistics.js';
import { ProcessingFailures1767830400000 } from '../../migrations/1767830400000-processing-failures.js';
import { GuardedSession1767916800000 } from '../../migrations/1767916800000-guarded-session.js';
import { ProcessReports1768176000000 } from '../../migrations/1768176000000-process-reports.js';
import { ChargedLogs1768089600000 } from '../../migrations/1768089600000-charged-logs.js';
import { SetAsideHashes1768262400000 } from '../../migrations/1768262400000-set-aside-hashes.js';
import { UnreadableRecords1768348800000 } from '../../migrations/1768348800000-unreadable-records.js';
import { PriceRows1768435200000 } from '../../migrations/1768435200000-price-rows.js';
import { CommandJournal1768521600000 } from '../../migrations/1768521600000-command-journal.js';
import { JournalTopicIds1768521600001 } from '../../migrations/1768521600001-journal-topic-ids.js';
import { UsageAttribution1768780800000 } from '../../migrations/1768780800000-usage-attribution.js';
import { PastRequestCounts1768867200000 } from '../../migrations/1768867200000-past-request-counts.js';
import { ProducerGaps1769040000000 } from '../../migrations/1769040000000-producer-gaps.js';
import { AmendedLetters1769126400000 } from '../../migrations/1769126400000-amended-letters.js';
import { PriceNames1769212800000 } from '../../migrations/1769212800000-price-names.js';
import { LetterEventIds1769299200000 } from '../../migrations/1769299200000-letter-event-ids.js';
import { ensureApplicationRole } from './application-role.js';
import { TollbookError } from './errors.js';
import { translatePostgresError } from './postgres.js';

/** Every migration, oldest first; a class name ends with the timestamp that orders it. */
const MIGRATIONS: readonly (new () => MigrationInterface)[] = [
  CreateLedger1767225600000,
  LedgerCommands1767312000000,
  PriceBooks1767398400000,
  DeadLetterRedrive1767484800000,
  ReadingIndexes1767570000000,
  ReconciliationRuns1767657600000,
  EntryStatistics1767744000000,
  ProcessingFailures1767830400000,
  GuardedSession1767916800000,
  ChargedLogs1768089600000,
  ProcessReports1768176000000,
  SetAsideHashes1768262400000,
  UnreadableRecords1768348800000,
  PriceRows1768435200000,
  CommandJournal1768521600000,
  JournalTopicIds1768521600001,
  UsageAttribution1768780800000,
  PastRequestCounts1768867200000,
  ProducerGaps1769040000000,
  AmendedLetters1769126400000,
  PriceNames1769212800000,
  LetterEventIds1769299200000,
];
const MIGRATION_NAMES = MIGRATIONS.map(({ name }) => name);
const MIGRATIONS_TABLE = 'schema_migrations';

/** "toll" and "migr" in ASCII: one lock per database, held by its migrator. */
const LOCK_KEY = [0x746f6c6c, 0x6d696772];
const LOCK_POLL_MS = 100;
const LOCK_WAIT_MAX_MS = 10 * 60_000;

/** A migration that waits longer for a table lock gives up, because everyone else queues behind it meanwhile. */
const SESSION = '-c lock_timeout=20000 -c timezone=UTC';

/** Where to migrate, and who hears about it. */
export interface MigrateOptions {
  /** Connects as the owner of the tables, directly: a pooler that shares sessions would lose the lock. */
  readonly ownerUrl: string;
  /** Receives one line per step; silent unless given. */
  readonly report?: ((line: string) => void) | undefined;
}

/** What `migrate` did. */
export interface MigrationResult {
  /** Names of the migrations applied now, oldest first; empty when the schema was current. */
  readonly applied: readonly string[];
}

/** How a database compares with the migrations of this version. */
export interface MigrationStatus {
  readonly applied: readonly string[];
  readonly pending: readonly string[];
  /** Applied by a newer version, unknown to this one. */
  readonly unknown: readonly string[];
}

/**
 * Applies what is missing, after making sure that the application role exists.
 * Idempotent. Atomic: each migration by itself; those before a failing one stay.
 * Throws POSTGRES_CONFLICT when another migrator holds the lock for 10 minutes, POSTGRES_UNAVAILABLE, POSTGRES_FAILED.
 */
export async function migrate(options: MigrateOptions): Promise<MigrationResult> {
  return withMigrator(options, async (executor, runner, report) => {
    await takeMigrationLock(runner, report);
    await ensureApplicationRole(runner, report);
    const applied = (await executor.executePendingMigrations()).map(({ name }) => name);
    for (const name of applied) report(`applied ${name}`);
    return { applied };
  });
}

/**
 * Takes back the migration applied last; returns its name, or undefined when none is applied.
 * The first migration refuses once the ledger has been written to. Throws USAGE_INVALID when a newer version applied it.
 */
export async function revertLastMigration(options: MigrateOptions): Promise<string | undefined> {
  return withMigrator(options, async (executor, runner, report) => {
    await takeMigrationLock(runner, report);
    const last = (await executor.getExecutedMigrations())[0]?.name;
    if (last === undefined) return undefined;
    if (!MIGRATION_NAMES.includes(last)) {
      throw new TollbookError('USAGE_INVALID', `${last} was applied by a newer version; revert it with that version`);
    }
    await executor.undoLastMigration();
    report(`reverted ${last}`);
    return last;
  });
}

/** Compares a database with the migrations of this version. Changes nothing and takes no lock. */
export async function migrationStatus(options: MigrateOptions): Promise<MigrationStatus> {
  return withMigrator(options, async (executor) => {
    const applied = (await executor.getExecutedMigrations()).map(({ name }) => name).reverse();
    return {
      applied,
      pending: MIGRATION_NAMES.filter((name) => !applied.includes(name)),
      unknown: applied.filter((name) => !MIGRATION_NAMES.includes(name)),
    };
  });
}

/** Names the migrations that `migrate` would apply, oldest first. */
export async function pendingMigrations(options: MigrateOptions): Promise<readonly string[]> {
  return (await migrationStatus(options)).pending;
}

/**
 * Fails unless the database has every migration of this version; a newer schema is accepted.
 * Runs as the application role. Throws SCHEMA_OUT_OF_DATE that names what is missing, be it the role itself.
 */
export async function assertSchemaCurrent(pool: pg.Pool): Promise<void> {
  const applied = await appliedAsSeenBy(pool);
  const missing = MIGRATION_NAMES.filter((name) => !applied.has(name));
  if (missing.length === 0) return;
  throw new TollbookError('SCHEMA_OUT_OF_DATE', `the database lacks ${missing.join(', ')}: run "tollbook migrate"`, {
    context: { missing },
  });
}

/** The first migration grants the reading of the table, so a table that may not be read has no row that counts. */
async function appliedAsSeenBy(pool: pg.Pool): Promise<ReadonlySet<string>> {
  try {
    const readable = await pool.query(`SELECT WHERE has_table_privilege(to_regclass('${MIGRATIONS_TABLE}'), 'SELECT')`);
    if (readable.rowCount === 0) return new Set();
    const { rows } = await pool.query<{ name: string }>(`SELECT name FROM ${MIGRATIONS_TABLE}`);
    return new Set(rows.map(({ name }) => name));
  } catch (error) {
    throw asUnusableRole(translatePostgresError(error));
  }
}

/** The server refused to act as the application role: it does not exist, or was not granted to this user. */
const ROLE_UNUSABLE: readonly unknown[] = ['22023', '42501'];

function asUnusableRole(error: TollbookError): TollbookError {
  if (!ROLE_UNUSABLE.includes(error.context['sqlState'])) return error;
  const message = `${error.message}: run "tollbook migrate", or correct the role the application acts as`;
  return new TollbookError('SCHEMA_OUT_OF_DATE', message, { cause: error, context: error.context });
}

type MigratorWork<T> = (executor: MigrationExecutor, runner: QueryRunner, report: (line: string) => void) => Promise<T>;

/** Runs the work on one connection for everything, so that who loses the lock loses the migration with it. */
async function withMigrator<T>({ ownerUrl, report }: MigrateOptions, work: MigratorWork<T>): Promise<T> {
  // Loaded here, since it takes half a second that every other command would pay.
  const { DataSource, MigrationExecutor } = await import('typeorm');
  const dataSource = new DataSource({
    type: 'postgres',
    url: ownerUrl,
    migrations: [...MIGRATIONS],
    migrationsTableName: MIGRATIONS_TABLE,
    installExtensions: false,
    applicationName: 'tollbook-migrate',
    extra: { options: SESSION },
  });
  try {
    await dataSource.initialize();
    const runner = dataSource.createQueryRunner();
    const executor = new MigrationExecutor(dataSource, runner);
    executor.transaction = 'each';
    return await work(executor, runner, report ?? ((): void => undefined)).finally(() => runner.release());
  } catch (error) {
    throw translatePostgresError(error);
  } finally {
    if (dataSource.isInitialized) await dataSource.destroy();
  }
}

/**
 * Takes the lock that keeps migrators of one database apart; it ends with the connection.
 * Polled, because a statement that waits holds a snapshot, and CREATE INDEX CONCURRENTLY of the other would wait for it.
 */
async function takeMigrationLock(runner: QueryRunner, report: (line: string) => void): Promise<void> {
  const deadlineMs = performance.now() + LOCK_WAIT_MAX_MS;
  for (let attempt = 1; ; attempt += 1) {
    const [row] = (await runner.query('SELECT pg_try_advisory_lock($1, $2) AS taken', LOCK_KEY)) as {
      taken: boolean;
    }[];
    if (row?.taken === true) return;
    if (performance.now() > deadlineMs) {
      throw new TollbookError('POSTGRES_CONFLICT', 'another migration of this database has run for 10 minutes');
    }
    if (attempt === 1) report('another migration of this database is running; waiting for it');
    await delay(LOCK_POLL_MS);
  }
}
