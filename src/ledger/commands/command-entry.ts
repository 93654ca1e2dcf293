/**
 * Owns: the entry a command makes, with balances before and after, and the account after it.
 * Does not own: which entry that is (decide-command.ts and the files of the commands).
 * Invariants: pure; the account returned is `evolve` of the account given and the entry returned; a balance that would
 * leave the int64 range is refused before anything is made of it.
 */
import { TollbookError } from '../../runtime/errors.js';
import { type Account, evolve } from '../account.js';
import type { Booked } from '../charge.js';
import { type EntrySource, type LedgerEntry, NO_USAGE } from '../entry.js';
import type { TraceKey } from '../ledger-store.js';
import { type AmountNano, formatAmount, isAmountInRange, ZERO } from '../money.js';
import { type CommandIdentity, commandTraceId } from './command.js';

/** Where a command stands in its stream, and when it is booked (ISO 8601 UTC). */
export interface CommandOrigin {
  readonly source: EntrySource;
  readonly occurredAt: string;
}

/** What a command writes. */
export interface CommandBooking {
  /** The entry that opens the account, when the command is not there to open one but needs it. */
  readonly opening?: LedgerEntry;
  /** The entry the command becomes. */
  readonly entry: LedgerEntry;
  readonly account: Account;
  readonly holdsClosed: readonly TraceKey[];
}

/** How the entry of a command changes its account; what is left out is nothing, and the trace is the command itself. */
export interface CommandEntry extends Partial<
  Pick<
    LedgerEntry,
    'traceId' | 'status' | 'amountNano' | 'usage' | 'requests' | 'countedOn' | 'detail' | 'referenceSeq'
  >
> {
  readonly type: LedgerEntry['type'];
  readonly balanceDeltaNano?: bigint;
  readonly heldDeltaNano?: bigint;
}

/** Makes the entry of a command. Throws MONEY_OUT_OF_RANGE when the balance would leave the int64 range. */
export function bookEntry(
  account: Account,
  { command, origin }: { command: CommandIdentity; origin: CommandOrigin },
  { balanceDeltaNano = 0n, heldDeltaNano = 0n, ...shape }: CommandEntry,
): Booked {
  const entry: LedgerEntry = {
    tenantId: account.tenantId,
    seq: account.seq + 1,
    traceId: commandTraceId(command.key),
    status: 'COMMITTED',
    amountNano: ZERO,
    balanceBeforeNano: account.balanceNano,
    balanceAfterNano: amountAfter('balance', account, account.balanceNano + balanceDeltaNano),
    heldBeforeNano: account.heldNano,
    heldAfterNano: amountAfter('held amount', account, account.heldNano + heldDeltaNano),
    currency: account.currency,
    usage: NO_USAGE,
    requests: 0,
    countedOn: null,
    description: command.reason,
    detail: null,
    referenceSeq: null,
    actor: command.actor,
    commandHash: null,
    ...shape,
    ...origin,
  };
  return { entry, account: evolve(account, entry) };
}

/** What is written for a command that makes one entry and ends no hold. */
export function bookingOf({ entry, account }: Booked): CommandBooking {
  return { entry, account, holdsClosed: [] };
}

function amountAfter(what: string, { tenantId, currency }: Account, nano: bigint): AmountNano {
  if (isAmountInRange(nano)) return nano as AmountNano;
  throw new TollbookError(
    'MONEY_OUT_OF_RANGE',
    `the ${what} of ${tenantId} would become ${formatAmount(nano as AmountNano)} ${currency}; ` +
      'allowed: a magnitude below 9223372036.854775808 (2^63 nano-units)',
    { context: { tenantId, nano } },
  );
}
