/**
 * Owns: what the commands of the ledger share on the command line: their common options, booking one on PostgreSQL, and
 * printing the entry it became.
 * Does not own: what a command means (ledger/commands).
 * Invariants: when Redis answers, it knows the account as the command left it before the result is printed, so that a request
 * that follows is decided on it; when it does not, the running processes project the command.
 */
import type { Command } from 'commander';
import type pg from 'pg';
import { bookCommand, type CommandResult } from '../ledger/commands/book-command.js';
import type { CommandIdentity, LedgerCommand } from '../ledger/commands/command.js';
import type { LedgerEntry } from '../ledger/entry.js';
import { displayAmount, formatAmount } from '../ledger/money.js';
import { CONNECTIONS_TO_NAME_BLOCKERS } from '../ledger/postgres/lock-watch.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { PostgresLedgerStore } from '../ledger/postgres/postgres-ledger-store.js';
import { QuotaScripts } from '../lua/quota-scripts.js';
import { projectTenants } from '../projections/projection.js';
import { besideOthers } from '../runtime/beside-others.js';
import { type Config, loadConfig } from '../runtime/config.js';
import { isTollbookError } from '../runtime/errors.js';
import { faultPoint } from '../runtime/fault-points.js';
import { createLogger } from '../runtime/logger.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { clockBeside } from '../runtime/postgres-time.js';
import { waitForRedis } from '../runtime/redis.js';
import { defaultTerms } from './charging-parts.js';
import { openRedis } from './ledger-process.js';
import { identifier, plainText } from './option-values.js';
import { printText } from './output.js';

const PROJECT_WAIT_MAX_MS = 1_000;

/** The options that every command of the ledger has. */
export interface CommandFlags extends Omit<CommandIdentity, 'tenantId'> {
  readonly json?: boolean;
}

/** Adds the options that every command of the ledger has. */
export function commandOptions(command: Command): Command {
  return command
    .requiredOption('--key <key>', 'idempotency key: names this command for ever', identifier)
    .requiredOption('--actor <who>', 'who gives the command', plainText)
    .requiredOption('--reason <text>', 'why', plainText)
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      '\nSending the same command again with its key is safe: it returns the first result and writes nothing.\n' +
        'The key with any other content is an error.',
    );
}

/** The part of a command that its tenant and the common options make. */
export function identityOf(tenantId: string, { key, actor, reason }: CommandFlags): CommandIdentity {
  return { tenantId, key, actor, reason };
}

/** Books a command and prints the entry it became; `sentence` says so in words when it was booked now. */
export async function runLedgerCommand(
  command: LedgerCommand,
  { json }: CommandFlags,
  sentence: (entry: LedgerEntry) => string,
): Promise<void> {
  const result = await book(command);
  const text = result.outcome === 'booked' ? sentence(result.entry) : repetition(command, result.entry);
  printText(json === true ? `${JSON.stringify(documentOf(command, result))}\n` : `${text}\n`);
}

async function book(command: LedgerCommand): Promise<CommandResult> {
  const config = loadConfig();
  const pool = createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: `tollbook-${command.kind}`,
    connectionsMax: CONNECTIONS_TO_NAME_BLOCKERS,
  });
  try {
    const clock = clockBeside(pool, config.clockSkewMaxMs);
    await clock.check();
    const defaults = { currency: config.defaultCurrency, terms: defaultTerms(config) };
    const ports = { store: new PostgresLedgerStore(pool), clock, defaults };
    const result = await besideOthers(() => bookCommand(ports, command));
    await faultPoint('command.booked');
    await projectNow(config, pool, command.tenantId);
    return result;
  } finally {
    await pool.end();
  }
}

/** Projects the tenant, as far as Redis allows it within a second; a projector catches up on the rest. */
async function projectNow(config: Readonly<Config>, pool: pg.Pool, tenantId: string): Promise<void> {
  const logger = createLogger({ level: 'error', name: 'tollbook' });
  const redis = openRedis(config, logger);
  const scripts = new QuotaScripts(redis, { prefix: config.redisPrefix });
  try {
    await waitForRedis(redis, PROJECT_WAIT_MAX_MS);
    await projectTenants({ reader: new PostgresLedgerReader(pool), scripts, logger }, [tenantId]);
  } catch (error) {
    if (!isTollbookError(error) || error.disposition !== 'retry') throw error;
  } finally {
    redis.disconnect();
  }
}

function repetition({ key }: LedgerCommand, entry: LedgerEntry): string {
  return (
    `key ${key} was booked before, as entry ${entry.seq}; ` +
    `the balance after it was ${balanceAfter(entry)}; nothing written`
  );
}

/** The balance after an entry, for people. */
export function balanceAfter({ balanceAfterNano, currency }: LedgerEntry): string {
  return `${displayAmount(balanceAfterNano)} ${currency}`;
}

/** The amount of an entry, for people. */
export function amountOf({ amountNano, currency }: LedgerEntry): string {
  return `${displayAmount(amountNano)} ${currency}`;
}

/** The terms that a LIMITS entry recorded, for people. */
export function termsIn({ detail, currency }: LedgerEntry): string {
  const { credit_limit: credit, daily_quota: daily, monthly_quota: monthly, hold_policy: policy } = detail ?? {};
  return `credit limit ${credit} ${currency}, daily quota ${daily}, monthly quota ${monthly}, hold policy ${policy}`;
}

function documentOf({ kind, key }: LedgerCommand, { outcome, entry }: CommandResult): object {
  return {
    outcome,
    kind,
    key,
    tenantId: entry.tenantId,
    seq: entry.seq,
    traceId: entry.traceId,
    type: entry.type,
    status: entry.status,
    amount: formatAmount(entry.amountNano),
    currency: entry.currency,
    balanceBefore: formatAmount(entry.balanceBeforeNano),
    balanceAfter: formatAmount(entry.balanceAfterNano),
    heldAfter: formatAmount(entry.heldAfterNano),
    requests: entry.requests,
    countedOn: entry.countedOn,
    referenceSeq: entry.referenceSeq,
    detail: entry.detail,
    actor: entry.actor,
    reason: entry.description,
    occurredAt: entry.occurredAt,
  };
}
