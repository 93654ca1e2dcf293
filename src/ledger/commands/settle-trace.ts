/**
 * Owns: the commands that end a trace by hand: collect charges a FAILED one, void ends an open hold without a charge.
 * Invariants: pure; the entry stands under the trace's own id, so that the trace goes on from it like from any other; a
 * request is counted exactly once over the whole trace: collect counts it, since no trace that failed is counted; void gives
 * it back.
 */
import { TollbookError } from '../../runtime/errors.js';
import type { Account } from '../account.js';
import type { LedgerEntry } from '../entry.js';
import { releaseIntent } from '../hold-release.js';
import { type AmountNano, formatAmount } from '../money.js';
import { refusalOf } from '../quota-rule.js';
import { dayOf } from '../trace.js';
import type { CollectCommand, VoidCommand } from './command.js';
import { bookEntry, bookingOf, type CommandBooking, type CommandEntry, type CommandOrigin } from './command-entry.js';
import type { CommandFacts } from './command-facts.js';
import { requestOf } from './counted-request.js';

interface Grounds {
  readonly origin: CommandOrigin;
  readonly facts: CommandFacts;
}

/** Books the charge of a FAILED trace. Throws TRACE_UNKNOWN, COLLECT_NOT_ALLOWED, INSUFFICIENT_BALANCE, MONEY_OUT_OF_RANGE. */
export function bookCollect(account: Account, command: CollectCommand, { origin, facts }: Grounds): CommandBooking {
  const failed = lastOf(command, facts);
  if (failed.status !== 'FAILED') {
    throw new TollbookError(
      'COLLECT_NOT_ALLOWED',
      `${nameOf(command)} is ${failed.status} (entry ${failed.seq}); allowed: a trace that is FAILED`,
      { context: { tenantId: account.tenantId, seq: failed.seq, status: failed.status } },
    );
  }
  const { amountNano } = failed;
  assertCovered(account, command, failed);
  const isCounted = requestOf(facts.trace) !== undefined;
  return bookingOf(
    bookEntry(
      account,
      { command, origin },
      {
        type: 'DEDUCT',
        traceId: command.traceId,
        amountNano,
        balanceDeltaNano: -amountNano,
        usage: { ...failed.usage, allowNegative: command.allowNegative },
        requests: isCounted ? 0 : 1,
        countedOn: isCounted ? null : dayOf(failed.occurredAt),
        referenceSeq: failed.seq,
      },
    ),
  );
}

/** Only the balance is asked: the request was served long ago, and no quota can undo that. */
function assertCovered(account: Account, command: CollectCommand, failed: LedgerEntry): void {
  const refusal = refusalOf(account, {
    availableNano: -failed.amountNano,
    checkBalance: !command.allowNegative,
    requests: 0,
    checkQuota: false,
    day: dayOf(failed.occurredAt),
  });
  if (refusal?.code !== 'INSUFFICIENT_BALANCE') return;
  const required = formatAmount(failed.amountNano);
  const available = formatAmount(refusal.availableNano as AmountNano);
  throw new TollbookError(
    'INSUFFICIENT_BALANCE',
    `${nameOf(command)} needs ${required} ${account.currency}, available: ${available}; ` +
      'top the account up, or allow a negative balance',
    { context: { tenantId: account.tenantId, seq: failed.seq, required, available } },
  );
}

/** Books the end of an open hold. Throws TRACE_UNKNOWN, HOLD_NOT_OPEN. */
export function bookVoid(account: Account, command: VoidCommand, { origin, facts }: Grounds): CommandBooking {
  const hold = lastOf(command, facts);
  if (hold.status !== 'PENDING') {
    throw new TollbookError(
      'HOLD_NOT_OPEN',
      `${nameOf(command)} is ${hold.status} (entry ${hold.seq}); allowed: a trace that is PENDING`,
      { context: { tenantId: account.tenantId, seq: hold.seq, status: hold.status } },
    );
  }
  const { tenantId, traceId } = hold;
  const booked = bookEntry(account, { command, origin }, releaseOf(hold, { command, origin }));
  return { ...bookingOf(booked), holdsClosed: [{ tenantId, traceId }] };
}

function releaseOf(
  hold: LedgerEntry,
  { command, origin }: { command: VoidCommand; origin: CommandOrigin },
): CommandEntry {
  const heldNano = (hold.heldAfterNano - hold.heldBeforeNano) as AmountNano;
  const { usage, currency, countedOn, traceId, seq } = hold;
  const { granted } = releaseIntent(
    { heldNano, countedOn },
    {
      status: 'VOIDED',
      description: command.reason,
      day: dayOf(origin.occurredAt),
      settlesHold: true,
      usage,
      currency,
    },
  );
  const { status, amountNano, heldDeltaNano, requests } = granted;
  return {
    ...{ type: 'DEDUCT', traceId, status, amountNano, heldDeltaNano },
    ...{ usage, requests, countedOn, referenceSeq: seq },
  };
}

function lastOf(command: CollectCommand | VoidCommand, { trace }: CommandFacts): LedgerEntry {
  const last = trace[trace.length - 1];
  if (last !== undefined) return last;
  throw new TollbookError('TRACE_UNKNOWN', `tenant ${command.tenantId} has no trace ${command.traceId}`, {
    context: { tenantId: command.tenantId, traceId: command.traceId },
  });
}

function nameOf({ tenantId, traceId }: CollectCommand | VoidCommand): string {
  return `trace ${traceId} of ${tenantId}`;
}
