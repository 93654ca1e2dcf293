/**
 * Owns: the refund: what it may name, how much it may put back, and when the request count goes with it.
 * Invariants: pure; only a charge can be refunded, and all refunds of it together never exceed it; the request is given
 * back once, by the refund that makes the charge fully refunded, on the day it was counted, and so to that day's windows
 * (request-windows.ts).
 */
import { TollbookError } from '../../runtime/errors.js';
import type { Account } from '../account.js';
import type { LedgerEntry } from '../entry.js';
import { type AmountNano, formatAmount } from '../money.js';
import type { RefundCommand } from './command.js';
import { bookEntry, bookingOf, type CommandBooking, type CommandOrigin } from './command-entry.js';
import type { CommandFacts } from './command-facts.js';
import { requestOf } from './counted-request.js';

/** Books a refund. Throws TRACE_UNKNOWN, REFUND_NOT_ALLOWED, REFUND_EXCEEDS_CHARGE, MONEY_OUT_OF_RANGE. */
export function bookRefund(
  account: Account,
  command: RefundCommand,
  { origin, facts }: { origin: CommandOrigin; facts: CommandFacts },
): CommandBooking {
  const charge = chargeOf(command, facts);
  const leftNano = charge.amountNano - facts.refundedNano;
  const amountNano = command.amountNano ?? (leftNano as AmountNano);
  if (amountNano > leftNano || leftNano <= 0n) throw exceeded(command, charge, facts.refundedNano);
  const counted = amountNano === leftNano ? requestOf(facts.trace) : undefined;
  return bookingOf(
    bookEntry(
      account,
      { command, origin },
      {
        type: 'REFUND',
        amountNano,
        balanceDeltaNano: amountNano,
        referenceSeq: charge.seq,
        requests: counted === undefined ? 0 : -1,
        countedOn: counted ?? null,
      },
    ),
  );
}

function chargeOf({ tenantId, of }: RefundCommand, { subject, trace }: CommandFacts): LedgerEntry {
  const named = 'seq' in of ? `entry ${of.seq}` : `trace ${of.traceId}`;
  if (subject === undefined) {
    throw new TollbookError('TRACE_UNKNOWN', `tenant ${tenantId} has no ${named}`, { context: { tenantId, named } });
  }
  if (subject.type === 'DEDUCT' && subject.status === 'COMMITTED') return subject;
  const charge = trace.find(({ type, status }) => type === 'DEDUCT' && status === 'COMMITTED');
  const hint = charge === undefined ? '' : `: its trace is charged by entry ${charge.seq}`;
  throw new TollbookError(
    'REFUND_NOT_ALLOWED',
    `${named} of ${tenantId} is a ${subject.type} that is ${subject.status} (entry ${subject.seq}); ` +
      `allowed: a DEDUCT that is COMMITTED${hint}`,
    { context: { tenantId, seq: subject.seq, type: subject.type, status: subject.status } },
  );
}

function exceeded(
  { tenantId, amountNano }: RefundCommand,
  charge: LedgerEntry,
  refundedNano: AmountNano,
): TollbookError {
  const left = formatAmount((charge.amountNano - refundedNano) as AmountNano);
  const [charged, refunded] = [formatAmount(charge.amountNano), formatAmount(refundedNano)];
  const wanted = amountNano === undefined ? 'nothing is left to refund' : `amount is ${formatAmount(amountNano)}`;
  return new TollbookError(
    'REFUND_EXCEEDS_CHARGE',
    `${wanted}; entry ${charge.seq} of ${tenantId} charged ${charged} ${charge.currency}, ` +
      `already refunded: ${refunded}, left: ${left}`,
    { context: { tenantId, seq: charge.seq, charged, refunded, left } },
  );
}
