/**
 * Owns: booking a command: one database transaction from its key to its sealed batch. Steps:
 *  1. Check the fields; BEGIN; lock the cursor of the tenant's command stream, which orders the commands of a tenant.
 *  2. Look the key up: taken by the same command, its first result is returned; by another, an error. Nothing is written.
 *  3. Lock the account, creating it only for a credit or an opening.
 *  4. Read what the command has to know (command-facts.ts), and decide (decide-command.ts): what is refused writes nothing.
 *  5. Append entry, account, command and batch; COMMIT.
 * A crash between any two steps leaves nothing behind: the command can be sent again with its key. After step 5 the
 * projectors find the batch by its chain.
 * Does not own: SQL, nor Redis: a balance that only PostgreSQL knows so far is what decides.
 */
import { TollbookError } from '../../runtime/errors.js';
import type { AccountTerms } from '../account.js';
import { appendSealed, type BatchContent, sealingTime } from '../append-sealed.js';
import type { LedgerEntry } from '../entry.js';
import type { Cursor, LedgerStore, LedgerTransaction, LockedAccount } from '../ledger-store.js';
import { dayOf } from '../trace.js';
import { assertCommand } from './command-check.js';
import { assertSameCommand, type CommandRecord, contentOf } from './command-content.js';
import { commandHash } from './command-hash.js';
import type { LedgerCommand } from './command.js';
import type { CommandBooking } from './command-entry.js';
import { readFacts } from './command-facts.js';
import { batchContent, commandSource, lockCommandCursor } from './command-stream.js';
import { decideCommand } from './decide-command.js';

/** What commands run on. */
export interface CommandPorts {
  readonly store: LedgerStore;
  readonly clock: { nowMs(): number };
  /** The currency and the terms of an account that a command opens without naming them. */
  readonly defaults: { readonly currency: string; readonly terms: AccountTerms };
}

/** The entry a command became, booked now or found to have been booked before. */
export interface CommandResult {
  readonly outcome: 'booked' | 'repeated';
  readonly entry: LedgerEntry;
}

/**
 * Books a command.
 * Throws USAGE_INVALID, MONEY_OUT_OF_RANGE, IDEMPOTENCY_KEY_REUSED, ACCOUNT_UNKNOWN, what `decideCommand` throws, POSTGRES_*.
 * Atomic. Idempotent: by tenant and key, without a time window.
 */
export async function bookCommand(ports: CommandPorts, command: LedgerCommand): Promise<CommandResult> {
  assertCommand(command);
  return ports.store.transact(async (transaction) => {
    const cursor = await lockCommandCursor(transaction, commandSource(command.tenantId));
    const recorded = await transaction.readCommand(command);
    if (recorded !== undefined) {
      assertSameCommand(command, recorded);
      return { outcome: 'repeated', entry: recorded.entry };
    }
    return { outcome: 'booked', entry: await bookNew(ports, command, { transaction, cursor }) };
  });
}

/** Steps 3 to 5. */
async function bookNew(
  ports: CommandPorts,
  command: LedgerCommand,
  { transaction, cursor }: { transaction: LedgerTransaction; cursor: Cursor },
): Promise<LedgerEntry> {
  const account = await lockAccount(ports, command, { transaction, day: dayOf(instantOf(ports.clock.nowMs())) });
  const sealedAtMs = sealingTime(ports.clock.nowMs(), [account]);
  const occurredAt = instantOf(sealedAtMs);
  const facts = await readFacts(transaction, command);
  const origin = { source: { ...cursor.source, kafkaOffset: cursor.nextOffset }, occurredAt };
  const decided = decideCommand(account, command, { origin, facts });
  const record = recordOf(command, decided.entry);
  const booking = { ...decided, entry: { ...decided.entry, commandHash: commandHash(record) } };
  const content = contentToAppend(record, booking);
  await appendSealed(transaction, content, { cursor, nextOffset: cursor.nextOffset + 1n, sealedAtMs });
  return booking.entry;
}

function instantOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** The command as the ledger keeps it beside its entry. */
function recordOf(command: LedgerCommand, { seq, currency }: LedgerEntry): CommandRecord {
  const { tenantId, key, kind, actor } = command;
  return { tenantId, key, kind, actor, content: contentOf(command, currency), seq };
}

function contentToAppend(
  record: CommandRecord,
  { opening, entry, account, holdsClosed }: CommandBooking,
): BatchContent {
  return batchContent({
    counts: { charged: 1, openings: opening === undefined ? 0 : 1 },
    entries: opening === undefined ? [entry] : [opening, entry],
    accounts: [account],
    holdsClosed,
    commands: [record],
  });
}

async function lockAccount(
  { defaults }: CommandPorts,
  command: LedgerCommand,
  { transaction, day }: { transaction: LedgerTransaction; day: string },
): Promise<LockedAccount> {
  const { tenantId } = command;
  if (command.kind === 'open-account' || command.kind === 'credit') {
    const currency = command.currency ?? defaults.currency;
    const terms = command.kind === 'credit' ? defaults.terms : { ...defaults.terms, ...command.terms };
    await transaction.ensureAccounts([{ tenantId, currency, day, terms }]);
  }
  const account = (await transaction.lockAccounts([tenantId])).get(tenantId);
  if (account !== undefined) return account;
  throw new TollbookError(
    'ACCOUNT_UNKNOWN',
    `tenant ${tenantId} has no account; a credit, an opening or its first billable event opens one`,
    { context: { tenantId } },
  );
}
