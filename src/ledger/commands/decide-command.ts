/**
 * Owns: what a command becomes on an account, given what the ledger says about what it names; and the commands that are
 * about the account itself: open-account, credit, adjust, limits.
 * Does not own: the commands about a trace (refund.ts, settle-trace.ts); reading the facts; writing the result.
 * Invariants: pure; every refusal is an error with a code, thrown before anything is written; an account at seq 0 is one
 * that this command has just opened.
 */
import { TollbookError, unreachable } from '../../runtime/errors.js';
import type { Account } from '../account.js';
import { bookOpening, OPENING_TRACE_ID, recordedTerms } from '../charge.js';
import type { AdjustCommand, CreditCommand, LedgerCommand, LimitsCommand, OpenAccountCommand } from './command.js';
import { type CommandBooking, bookEntry, bookingOf, type CommandOrigin } from './command-entry.js';
import type { CommandFacts } from './command-facts.js';
import { bookPrice } from './price-usage.js';
import { bookRefund } from './refund.js';
import { bookCollect, bookVoid } from './settle-trace.js';

/**
 * Decides a command on the locked account. Throws ACCOUNT_EXISTS, CURRENCY_MISMATCH, MONEY_OUT_OF_RANGE, TRACE_UNKNOWN,
 * REFUND_NOT_ALLOWED, REFUND_EXCEEDS_CHARGE, COLLECT_NOT_ALLOWED, INSUFFICIENT_BALANCE, HOLD_NOT_OPEN, UNPRICED_UNKNOWN,
 * PRICE_NOT_ALLOWED, PRICE_MISSING.
 */
export function decideCommand(
  account: Account,
  command: LedgerCommand,
  { origin, facts }: { origin: CommandOrigin; facts: CommandFacts },
): CommandBooking {
  assertCurrency(command, account);
  switch (command.kind) {
    case 'open-account':
      return bookOpenAccount(account, command, origin);
    case 'credit':
      return bookCredit(account, command, origin);
    case 'adjust':
      return bookAdjust(account, command, origin);
    case 'limits':
      return bookLimits(account, command, origin);
    case 'refund':
      return bookRefund(account, command, { origin, facts });
    case 'collect':
      return bookCollect(account, command, { origin, facts });
    case 'void':
      return bookVoid(account, command, { origin, facts });
    case 'price':
      return bookPrice(account, command, { origin, facts });
    default:
      return unreachable(command);
  }
}

function assertCurrency(command: LedgerCommand, { tenantId, currency, seq }: Account): void {
  const named = 'currency' in command ? command.currency : undefined;
  if (named === undefined || named === currency) return;
  // An account that exists already is the first thing to tell someone who wants to open it.
  if (command.kind === 'open-account' && seq > 0) return;
  throw new TollbookError(
    'CURRENCY_MISMATCH',
    `currency is ${named}; allowed: ${currency}, the currency of account ${tenantId}`,
    { context: { tenantId, found: named, expected: currency } },
  );
}

function bookOpenAccount(account: Account, command: OpenAccountCommand, origin: CommandOrigin): CommandBooking {
  if (account.seq > 0) {
    throw new TollbookError(
      'ACCOUNT_EXISTS',
      `tenant ${account.tenantId} has an account in ${account.currency}, at entry ${account.seq}; nothing was changed`,
      { context: { tenantId: account.tenantId, currency: account.currency, seq: account.seq } },
    );
  }
  const detail = recordedTerms(account);
  return bookingOf(bookEntry(account, { command, origin }, { type: 'LIMITS', traceId: OPENING_TRACE_ID, detail }));
}

function bookCredit(account: Account, command: CreditCommand, origin: CommandOrigin): CommandBooking {
  const { amountNano } = command;
  const opening = account.seq === 0 ? bookOpening(account, origin) : undefined;
  const credit = bookEntry(
    opening?.account ?? account,
    { command, origin },
    {
      type: 'CREDIT',
      amountNano,
      balanceDeltaNano: amountNano,
    },
  );
  return opening === undefined ? bookingOf(credit) : { ...bookingOf(credit), opening: opening.entry };
}

function bookAdjust(account: Account, command: AdjustCommand, origin: CommandOrigin): CommandBooking {
  const { amountNano } = command;
  return bookingOf(
    bookEntry(account, { command, origin }, { type: 'ADJUSTMENT', amountNano, balanceDeltaNano: amountNano }),
  );
}

function bookLimits(account: Account, command: LimitsCommand, origin: CommandOrigin): CommandBooking {
  const detail = recordedTerms({ ...account, ...command.terms });
  return bookingOf(bookEntry(account, { command, origin }, { type: 'LIMITS', detail }));
}
