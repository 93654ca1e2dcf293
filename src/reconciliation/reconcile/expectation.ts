/**
 * Owns: what a message must have become at a place in the ledger's own order: the decision of the charge protocol, taken
 * again from the message and from what the ledger says its trace had come to before that place.
 * Does not own: what the ledger recorded of it (judge-message.ts).
 * Invariants: pure; entries that came after the place decide nothing; where a setting decided that the ledger does not
 * record, the caller says so instead of a guess.
 */
import type { BillableEvent, IntakeItem, UnquotedEvent } from '../../consumers/intake.js';
import { NOT_BILLABLE } from '../../consumers/intake.js';
import type { StreamSource } from '../../ledger/batch.js';
import type { DeadLetterReason } from '../../ledger/dead-letter.js';
import type { LedgerEntry } from '../../ledger/entry.js';
import type { EventPricing, UsageCompleted } from '../../ledger/events.js';
import type { AmountNano } from '../../ledger/money.js';
import type { StoredEntry } from '../../ledger/postgres/proof-rows.js';
import { pinnedPricing } from '../../ledger/price-book.js';
import { type EstimateLimits, isUsedUnpriced } from '../../ledger/pricing.js';
import { differingFromParked } from '../../ledger/trace-content.js';
import { type Decision, decide, type EntryIntent, NO_TRACE, type TraceState } from '../../ledger/trace.js';
import { unreachable } from '../../runtime/errors.js';
import type { AccountFacts, RecordedPark } from './recorded-rows.js';

/** Where in the ledger's order a message is judged: its batch, and its offset within that. */
export interface LedgerPlace {
  readonly source: StreamSource;
  readonly kafkaOffset: bigint;
  readonly batchId: number;
}

/** What a message must have become. */
export type Expectation =
  | { readonly kind: 'entry'; readonly intent: EntryIntent; readonly pricing: EventPricing }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'superseded' }
  | { readonly kind: 'skipped'; readonly reason: string }
  | { readonly kind: 'unpriced'; readonly meters: readonly string[] }
  | { readonly kind: 'deadLetter'; readonly reason: DeadLetterReason };

/** What the ledger says around a message. */
export interface TraceFacts {
  /** False where nothing was looked up, because the entry at the position tells enough. */
  readonly isComplete: boolean;
  /** Every entry of its trace, by seq, also those after the place. */
  readonly trace: readonly StoredEntry[];
  readonly account: AccountFacts | undefined;
  readonly park: RecordedPark | undefined;
}

/** The settings that decide, as they are now. */
export interface ExpectationSettings {
  readonly estimates: EstimateLimits;
  readonly defaultCurrency: string;
}

/** A message that may become an entry. */
export type Chargeable = BillableEvent | UnquotedEvent;

/** Tells whether a message may become an entry. */
export function isChargeable(item: IntakeItem): item is Chargeable {
  return item.kind === 'billable' || item.kind === 'unquoted';
}

/** The state that an entry leaves its trace in. */
export function stateAfterEntry(entry: LedgerEntry): TraceState {
  const { status, usage, amountNano, currency } = entry;
  switch (status) {
    case 'PENDING': {
      const heldNano = (entry.heldAfterNano - entry.heldBeforeNano) as AmountNano;
      return { status, heldNano, countedOn: entry.countedOn };
    }
    case 'COMMITTED':
    case 'FAILED':
      return { status, content: { usage, amountNano, currency } };
    case 'REFUSED':
    case 'VOIDED':
    case 'EXPIRED':
      return { status };
    default:
      return unreachable(status);
  }
}

/** The last entry of a trace before a place; undefined when the ledger had none. */
export function lastBefore(trace: readonly StoredEntry[], place: LedgerPlace): StoredEntry | undefined {
  return trace.findLast(({ batchId, entry }) => isBefore({ batchId, kafkaOffset: entry.source.kafkaOffset }, place));
}

function isBefore(one: Omit<LedgerPlace, 'source'>, place: LedgerPlace): boolean {
  return one.batchId < place.batchId || (one.batchId === place.batchId && one.kafkaOffset < place.kafkaOffset);
}

/** What a message must have become at a place. */
export function expectationOf(
  item: IntakeItem,
  { place, facts, settings }: { place: LedgerPlace; facts: TraceFacts; settings: ExpectationSettings },
): Expectation {
  switch (item.kind) {
    case 'deadLetter':
      return { kind: 'deadLetter', reason: item.letter.reason };
    case 'skipped':
      return { kind: 'skipped', reason: item.reason };
    case 'billable':
      return expectBillable(item, item.pricing, { place, facts, settings });
    case 'unquoted':
      return expectBillable(item, pricingOfUnquoted({ place, facts, settings }), { place, facts, settings });
    default:
      return unreachable(item);
  }
}

interface Grounds {
  readonly place: LedgerPlace;
  readonly facts: TraceFacts;
  readonly settings: ExpectationSettings;
}

/** Once its trace is charged, the prices of that charge; before, none: a book that had some would have made an entry. */
function pricingOfUnquoted({ place, facts, settings }: Grounds): EventPricing {
  const last = lastBefore(facts.trace, place);
  const state = last === undefined ? NO_TRACE : stateAfterEntry(last.entry);
  const currency = accountAt(facts, place)?.currency ?? settings.defaultCurrency;
  if (!('content' in state)) return { currency };
  const pinned = pinnedPricing(state.content);
  return pinned.currency === currency ? pinned : { currency };
}

function accountAt({ account }: TraceFacts, { batchId }: LedgerPlace): AccountFacts | undefined {
  if (account === undefined || account.openedByBatch === null) return undefined;
  return account.openedByBatch <= batchId ? account : undefined;
}

function expectBillable(item: Chargeable, pricing: EventPricing, grounds: Grounds): Expectation {
  const { place, facts, settings } = grounds;
  if (pricing.currency !== (accountAt(facts, place)?.currency ?? settings.defaultCurrency)) {
    return { kind: 'deadLetter', reason: 'CURRENCY_MISMATCH' };
  }
  const last = lastBefore(facts.trace, place);
  const state = last === undefined ? NO_TRACE : stateAfterEntry(last.entry);
  return expectedOf(decideAt(state, item, { pricing, settings }), { item, pricing, grounds });
}

/** Decides a chargeable message in a known state of its trace. The hold policy changes what is held, not what is decided. */
function decideAt(
  state: TraceState,
  { event }: Chargeable,
  { pricing, settings }: { pricing: EventPricing; settings: ExpectationSettings },
): Decision {
  return decide(state, event, { pricing, holdPolicy: 'estimate', estimates: settings.estimates });
}

function expectedOf(
  decision: Decision,
  { item, pricing, grounds }: { item: Chargeable; pricing: EventPricing; grounds: Grounds },
): Expectation {
  const { event } = item;
  const { park } = grounds.facts;
  const parked = park !== undefined && isBefore(park, grounds.place) ? park.event : undefined;
  switch (decision.kind) {
    case 'entry':
      return { kind: 'entry', intent: decision.intent, pricing };
    case 'duplicate':
    case 'superseded':
      return decision;
    case 'conflict': {
      const isUnpriced = event.kind === 'completed' && isUsedUnpriced(event, pricing);
      return isUnpriced && parked !== undefined ? againstParked(event, parked, pricing) : CONFLICT;
    }
    case 'outOfRange':
      return { kind: 'deadLetter', reason: 'AMOUNT_OUT_OF_RANGE' };
    case 'unpriced':
      if (event.kind === 'pending') {
        return { kind: 'skipped', reason: `${UNPRICED_ESTIMATE} ${decision.meters.join(', ')}` };
      }
      return parked === undefined
        ? { kind: 'unpriced', meters: decision.meters }
        : againstParked(event, parked, pricing);
    default:
      return unreachable(decision);
  }
}

const CONFLICT: Expectation = { kind: 'deadLetter', reason: 'CONFLICTING_DUPLICATE' };

/** A completion without a price, of a trace that was parked before it. */
function againstParked(event: UsageCompleted, parked: UsageCompleted, { currency }: EventPricing): Expectation {
  return differingFromParked(parked, event, currency).length === 0 ? { kind: 'duplicate' } : CONFLICT;
}

/** How the reason of a skipped estimate begins, before the meters without a price. */
export const UNPRICED_ESTIMATE = `${NOT_BILLABLE}: estimate without a price for`;
