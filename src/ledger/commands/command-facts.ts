/**
 * Owns: what a command has to know of the ledger beyond its account, and reading it.
 * Invariants: read after the account is locked, so that nothing of the tenant changes until the command is booked.
 */
import { unreachable } from '../../runtime/errors.js';
import type { LedgerEntry } from '../entry.js';
import type { EventPricing, UsageCompleted } from '../events.js';
import { type LedgerTransaction, traceKey } from '../ledger-store.js';
import { type AmountNano, ZERO } from '../money.js';
import { priceQuestionOf, quoteFrom, spanOf } from '../price-book.js';
import { NO_TRACE, type TraceState } from '../trace.js';
import type { LedgerCommand, PriceCommand, RefundCommand } from './command.js';

/** What the ledger says about the trace or the entry that a command names. */
export interface CommandFacts {
  /** Every entry of the trace, by seq; empty when the command names none, or the ledger knows none. */
  readonly trace: readonly LedgerEntry[];
  /** The entry the command is about: the one it names, else the charge of the trace, else the last step of it. */
  readonly subject: LedgerEntry | undefined;
  /** What refunds have put back of the subject. */
  readonly refundedNano: AmountNano;
  /** What there is to price; undefined when nothing of the trace is parked, or the command prices nothing. */
  readonly parked?: ParkedFacts | undefined;
}

/** A parked completion, its trace, and what the price book that the command names says about it. */
export interface ParkedFacts {
  readonly event: UsageCompleted;
  readonly state: TraceState;
  readonly quote: EventPricing | undefined;
}

/** The facts of a command that is about no trace. */
export const NO_FACTS: CommandFacts = { trace: [], subject: undefined, refundedNano: ZERO };

/** Reads what a command has to know. Throws POSTGRES_*. */
export async function readFacts(transaction: LedgerTransaction, command: LedgerCommand): Promise<CommandFacts> {
  switch (command.kind) {
    case 'open-account':
    case 'credit':
    case 'adjust':
    case 'limits':
      return NO_FACTS;
    case 'collect':
    case 'void':
      return factsOfTrace(await transaction.readTraceEntries(command));
    case 'price':
      return readParkedFacts(transaction, command);
    case 'refund':
      return withRefunded(transaction, await readRefundedTrace(transaction, command));
    default:
      return unreachable(command);
  }
}

/** The facts that follow from the entries of a trace. */
export function factsOfTrace(trace: readonly LedgerEntry[]): CommandFacts {
  const subject = trace.find(({ status }) => status === 'COMMITTED') ?? trace[trace.length - 1];
  return { ...NO_FACTS, trace, subject };
}

async function readRefundedTrace(
  transaction: LedgerTransaction,
  { tenantId, of }: RefundCommand,
): Promise<CommandFacts> {
  if ('traceId' in of) {
    return factsOfTrace(await transaction.readTraceEntries({ tenantId, traceId: of.traceId }));
  }
  const subject = await transaction.readEntry({ tenantId, seq: of.seq });
  if (subject === undefined) return NO_FACTS;
  const trace = await transaction.readTraceEntries({ tenantId, traceId: subject.traceId });
  return { ...NO_FACTS, trace, subject };
}

async function readParkedFacts(transaction: LedgerTransaction, command: PriceCommand): Promise<CommandFacts> {
  const event = await transaction.readParked(command);
  if (event === undefined) return NO_FACTS;
  const facts = factsOfTrace(await transaction.readTraceEntries(command));
  const state = (await transaction.readTraces([command])).get(traceKey(command)) ?? NO_TRACE;
  return { ...facts, parked: { event, state, quote: await readQuote(transaction, command, event) } };
}

async function readQuote(
  transaction: LedgerTransaction,
  { prices }: PriceCommand,
  event: UsageCompleted,
): Promise<EventPricing | undefined> {
  const span = spanOf([event]);
  if (!('book' in prices) || span === undefined) return undefined;
  return quoteFrom(await transaction.readPricedVersions(prices.book, span), priceQuestionOf(event));
}

async function withRefunded(transaction: LedgerTransaction, facts: CommandFacts): Promise<CommandFacts> {
  return facts.subject === undefined
    ? facts
    : { ...facts, refundedNano: await transaction.readRefunded(facts.subject) };
}
