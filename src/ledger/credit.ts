/**
 * Owns: the credit command: money put into an account as a ledger fact, sealed in the command chain.
 * Does not own: SQL, nor projecting the account afterwards.
 * Invariants: idempotent by tenant and key, for ever: the same command again returns its first entry, another command
 * under the same key is an error; entry, account and batch are written together or not at all.
 */
import { TollbookError, invariant } from '../runtime/errors.js';
import { type Account, type AccountTerms, evolve } from './account.js';
import { appendSealed } from './append-sealed.js';
import { bookOpening } from './charge.js';
import { batchContent, commandSource, lockCommandCursor } from './commands/command-stream.js';
import { type LedgerEntry, NO_USAGE } from './entry.js';
import { IDENTIFIER, IDENTIFIER_ALLOWED } from './identifier.js';
import type { LedgerStore, LedgerTransaction, RecordedCommand } from './ledger-store.js';
import { type AmountNano, amountNano, formatAmount } from './money.js';

/** A credit to book. */
export interface CreditCommand {
  readonly tenantId: string;
  /** Names the command for ever; re-sending it with the same key is safe. */
  readonly key: string;
  /** Positive, in nano-units. */
  readonly amountNano: AmountNano;
  /** The account's currency; for a new account, the one it opens with. */
  readonly currency: string;
  readonly actor: string;
  readonly reason: string;
}

/** The recorded credit, and whether it was booked now or found. */
export interface CreditResult {
  readonly outcome: 'booked' | 'repeated';
  readonly seq: number;
  readonly balanceAfterNano: AmountNano;
}

/** What the command runs on. */
export interface CommandPorts {
  readonly store: LedgerStore;
  readonly clock: { nowMs(): number };
  /** The terms of an account that the command opens. */
  readonly terms: AccountTerms;
}

/**
 * Books a credit.
 * Throws USAGE_INVALID, MONEY_OUT_OF_RANGE, CURRENCY_MISMATCH, IDEMPOTENCY_KEY_REUSED, POSTGRES_*. Atomic. Idempotent: by tenant and key.
 */
export async function bookCredit(ports: CommandPorts, command: CreditCommand): Promise<CreditResult> {
  assertIdentifier('tenant id', command.tenantId);
  assertIdentifier('idempotency key', command.key);
  const source = commandSource(command.tenantId);
  return ports.store.transact(async (transaction) => {
    const cursor = await lockCommandCursor(transaction, source);
    const sealedAtMs = ports.clock.nowMs();
    const occurredAt = new Date(sealedAtMs).toISOString();
    const { account, isNew } = await lockAccount(transaction, ports, { ...command, day: occurredAt.slice(0, 10) });
    const recorded = await transaction.readCommand({
      tenantId: command.tenantId,
      traceId: commandTraceId(command.key),
    });
    if (recorded !== undefined) return repeated(command, recorded);
    assertCurrency(command, account);
    const origin = { source: { ...source, kafkaOffset: cursor.nextOffset }, occurredAt };
    const opening = isNew ? bookOpening(account, origin) : undefined;
    const credited = creditEntry(command, { account: opening?.account ?? account, ...origin });
    const after = evolve(opening?.account ?? account, credited);
    await appendSealed(
      transaction,
      batchContent({
        counts: { charged: 1, openings: isNew ? 1 : 0 },
        entries: opening === undefined ? [credited] : [opening.entry, credited],
        accounts: [after],
      }),
      { cursor, nextOffset: cursor.nextOffset + 1n, sealedAtMs },
    );
    return { outcome: 'booked', seq: credited.seq, balanceAfterNano: credited.balanceAfterNano };
  });
}

/** The trace id under which a command's entry stands; no usage event can have it, since trace ids start alphanumeric. */
export function commandTraceId(key: string): string {
  return `~${key}`;
}

async function lockAccount(
  transaction: LedgerTransaction,
  { terms }: CommandPorts,
  { tenantId, currency, day }: { tenantId: string; currency: string; day: string },
): Promise<{ account: Account; isNew: boolean }> {
  const opened = await transaction.ensureAccounts([{ tenantId, currency, day, terms }]);
  const account = (await transaction.lockAccounts([tenantId])).get(tenantId);
  invariant(account !== undefined, 'an account just ensured is missing', { tenantId });
  return { account, isNew: opened.has(tenantId) };
}

function creditEntry(
  command: CreditCommand,
  { account, source, occurredAt }: { account: Account } & Pick<LedgerEntry, 'source' | 'occurredAt'>,
): LedgerEntry {
  return {
    tenantId: account.tenantId,
    seq: account.seq + 1,
    traceId: commandTraceId(command.key),
    type: 'CREDIT',
    status: 'COMMITTED',
    amountNano: command.amountNano,
    balanceBeforeNano: account.balanceNano,
    balanceAfterNano: amountNano(account.balanceNano + command.amountNano),
    heldBeforeNano: account.heldNano,
    heldAfterNano: account.heldNano,
    currency: account.currency,
    usage: NO_USAGE,
    requests: 0,
    countedOn: null,
    description: command.reason,
    detail: null,
    referenceSeq: null,
    actor: command.actor,
    source,
    occurredAt,
  };
}

function repeated(command: CreditCommand, recorded: RecordedCommand): CreditResult {
  const same =
    recorded.type === 'CREDIT' &&
    recorded.amountNano === command.amountNano &&
    recorded.currency === command.currency &&
    recorded.reason === command.reason;
  if (same) return { outcome: 'repeated', seq: recorded.seq, balanceAfterNano: recorded.balanceAfterNano };
  throw new TollbookError(
    'IDEMPOTENCY_KEY_REUSED',
    `key ${command.key} was used for ${recorded.type} ${formatAmount(recorded.amountNano)} ${recorded.currency} ` +
      `(${recorded.reason ?? 'no reason'}) of tenant ${command.tenantId}; ` +
      `now it came with CREDIT ${formatAmount(command.amountNano)} ${command.currency} (${command.reason})`,
    { context: { tenantId: command.tenantId, key: command.key, seq: recorded.seq } },
  );
}

function assertIdentifier(what: string, found: string): void {
  if (IDENTIFIER.test(found)) return;
  throw new TollbookError('USAGE_INVALID', `${what} is ${JSON.stringify(found)}; allowed: ${IDENTIFIER_ALLOWED}`);
}

function assertCurrency({ tenantId, currency }: CreditCommand, account: Account): void {
  if (account.currency === currency) return;
  throw new TollbookError(
    'CURRENCY_MISMATCH',
    `currency is ${currency}; allowed: ${account.currency}, the currency of account ${tenantId}`,
    { context: { tenantId, found: currency, expected: account.currency } },
  );
}
