/**
 * Owns: step 4 of the charge protocol: what every message of a chunk wants, given the accounts and traces it touches.
 * Does not own: whether what it wants is granted (steps 5 and 6), nor which price a book has (ledger/price-book.ts).
 * Invariants: pure; order is kept; a later event of the same trace in the chunk sees what the earlier one will leave,
 * which is the same whether that one is granted or refused: how a log is cut into chunks changes no outcome.
 */
import type { Account } from '../ledger/account.js';
import type { DeadLetter } from '../ledger/dead-letter.js';
import type { UsageCompleted } from '../ledger/events.js';
import type { AccountOpening, SkippedEvent, UnpricedUsage } from '../ledger/ledger-store.js';
import { amountNano, formatAmount } from '../ledger/money.js';
import { pinnedPricing, type PricedVersion, priceQuestionOf, quoteFrom } from '../ledger/price-book.js';
import { type EstimateLimits, isUsedUnpriced } from '../ledger/pricing.js';
import { differingFromParked } from '../ledger/trace-content.js';
import { type Decision, decide, type EntryIntent, NO_TRACE, stateAfter, type TraceState } from '../ledger/trace.js';
import { invariant, unreachable } from '../runtime/errors.js';
import { type BillableEvent, deadLetter, type IntakeItem, NOT_BILLABLE, type UnquotedEvent } from './intake.js';

/** An account that the chunk opens, and the event that opens it. */
export type ChunkOpening = AccountOpening & { readonly openedBy: BillableEvent | UnquotedEvent };

/** A message that wants an entry. */
export interface PlannedEntry {
  readonly kind: 'entry';
  readonly item: BillableEvent;
  readonly intent: EntryIntent;
}

/** What one message of the chunk comes to, before grants are known; an opening precedes the message that causes it. */
export type PlannedItem =
  | PlannedEntry
  | { readonly kind: 'opening'; readonly opening: ChunkOpening }
  | { readonly kind: 'duplicate' | 'superseded' }
  | { readonly kind: 'unpriced'; readonly parked: UnpricedUsage }
  | { readonly kind: 'skipped'; readonly skipped: SkippedEvent }
  | { readonly kind: 'deadLetter'; readonly letter: DeadLetter };

/** What the ledger says about everything the chunk touches. Traces and parked keys as `traceKey` writes them. */
export interface ChunkKnowledge {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly traces: ReadonlyMap<string, TraceState>;
  /** The completions that are parked without a price, priced since or not. */
  readonly parked: ReadonlyMap<string, UsageCompleted>;
  /** The accounts this chunk has just opened, by tenant. */
  readonly openings: ReadonlyMap<string, ChunkOpening>;
  /** What prices the events without pricing; absent when no price book is configured, and they are skipped. */
  readonly priceBook?: ChunkPriceBook | undefined;
  /** That of a tenant without an account. */
  readonly defaultCurrency: string;
  readonly bounds?: LedgerBounds | undefined;
}

/** The bounds against forged events that need the ledger; absent: none. */
export interface LedgerBounds {
  /** The largest cost or estimate of one event. */
  readonly costMaxNano?: bigint | undefined;
  /** A tenant without an account is not opened one by its events. */
  readonly opensNoAccount?: boolean | undefined;
}

/** The configured price book, as far as the events of a chunk need it. */
export interface ChunkPriceBook {
  readonly name: string;
  readonly versions: readonly PricedVersion[];
}

/** Plans a chunk: one planned item per message, in order, and one more per opened account. */
export function planChunk(
  items: readonly IntakeItem[],
  knowledge: ChunkKnowledge,
  estimates: EstimateLimits,
): PlannedItem[] {
  const { accounts, defaultCurrency, openings, priceBook, traces, bounds } = knowledge;
  const [intents, parked] = [new Map<string, EntryIntent>(), new Map(knowledge.parked)];
  const chunk: ChunkState = { accounts, estimates, traces, intents, parked, priceBook, defaultCurrency, bounds };
  const planned: PlannedItem[] = [];
  for (const item of items) {
    if (item.kind === 'deadLetter') {
      planned.push(item);
    } else if (item.kind === 'skipped') {
      planned.push(asSkipped(item, item.reason));
    } else {
      const opening = openings.get(item.tenantId);
      if (opening?.openedBy === item) planned.push({ kind: 'opening', opening });
      planned.push(item.kind === 'billable' ? planBillable(item, chunk) : planUnquoted(item, chunk));
    }
  }
  return planned;
}

interface ChunkState {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly estimates: EstimateLimits;
  /** What the ledger says. */
  readonly traces: ReadonlyMap<string, TraceState>;
  /** What earlier events of the chunk want, by trace. */
  readonly intents: Map<string, EntryIntent>;
  readonly parked: Map<string, UsageCompleted>;
  readonly priceBook: ChunkPriceBook | undefined;
  readonly defaultCurrency: string;
  readonly bounds: LedgerBounds | undefined;
}

/** The state of a trace once what the chunk has planned of it is written. */
function stateOf({ traces, intents }: ChunkState, key: string): TraceState {
  const intent = intents.get(key);
  return intent === undefined ? (traces.get(key) ?? NO_TRACE) : stateAfter(intent);
}

/**
 * Plans an event without pricing at what the price book says; once its trace is charged, at the prices of that charge, so
 * that a second delivery is a duplicate whatever the book has become. What the book does not have, or has in another
 * currency, is a price that is missing.
 */
function planUnquoted(item: UnquotedEvent, chunk: ChunkState): PlannedItem {
  const { event, message, tenantId, key } = item;
  if (chunk.priceBook === undefined) return asSkipped(item, NOT_BILLABLE);
  const currency = chunk.accounts.get(tenantId)?.currency;
  if (currency === undefined && chunk.bounds?.opensNoAccount === true) return asUnknownTenant(item);
  invariant(currency !== undefined, 'every event that a price book may price has a locked account', { tenantId });
  const state = stateOf(chunk, key);
  const quote =
    'content' in state ? pinnedPricing(state.content) : quoteFrom(chunk.priceBook.versions, priceQuestionOf(event));
  const pricing = quote?.currency === currency ? quote : { currency };
  return planBillable({ kind: 'billable', message, event, tenantId, key, pricing }, chunk);
}

function planBillable(item: BillableEvent, chunk: ChunkState): PlannedItem {
  const account = chunk.accounts.get(item.tenantId);
  const { currency } = item.pricing;
  if (account === undefined && chunk.bounds?.opensNoAccount === true) return asUnknownTenant(item);
  if (account?.currency !== currency) {
    const allowed = account?.currency ?? chunk.defaultCurrency;
    const detail = `pricing.currency is ${currency}; allowed: ${allowed}, the currency of the tenant`;
    return asDeadLetter(item, 'CURRENCY_MISMATCH', detail);
  }
  const { pricing, key } = item;
  const { holdPolicy } = account;
  const decision = decide(stateOf(chunk, key), item.event, { pricing, holdPolicy, estimates: chunk.estimates });
  if (decision.kind !== 'entry') return withoutEntry(item, decision, chunk);
  const { intent } = decision;
  const costMaxNano = chunk.bounds?.costMaxNano;
  if (costMaxNano !== undefined && costOf(intent) > costMaxNano) return asTooDear(item, intent, costMaxNano);
  chunk.intents.set(key, intent);
  return { kind: 'entry', item, intent };
}

/** What an event costs, or may come to; a void or an expiry costs nothing. */
function costOf({ granted }: EntryIntent): bigint {
  return granted.status === 'COMMITTED' || granted.status === 'PENDING' ? granted.amountNano : 0n;
}

function asTooDear(item: BillableEvent, intent: EntryIntent, costMaxNano: bigint): PlannedItem {
  const [found, allowed] = [costOf(intent), costMaxNano].map((nano) => formatAmount(amountNano(nano)));
  const detail = `the cost is ${found}; allowed: at most ${allowed} (TOLLBOOK_EVENT_COST_MAX)`;
  return asDeadLetter(item, 'COST_TOO_LARGE', detail);
}

function asUnknownTenant(item: BillableEvent | UnquotedEvent): PlannedItem {
  const detail = `tenant_id is ${item.tenantId}; allowed: a tenant with an account (TOLLBOOK_AUTO_OPEN_ACCOUNTS is false)`;
  return asDeadLetter(item, 'UNKNOWN_TENANT', detail);
}

/** Tells whether a completion was used without a price. */
export function isUnpriced({ event, pricing }: Pick<BillableEvent, 'event' | 'pricing'>): boolean {
  return event.kind === 'completed' && isUsedUnpriced(event, pricing);
}

function withoutEntry(
  item: BillableEvent,
  decision: Exclude<Decision, { kind: 'entry' }>,
  chunk: ChunkState,
): PlannedItem {
  const { parked, priceBook } = chunk;
  const { event, key } = item;
  switch (decision.kind) {
    case 'duplicate':
    case 'superseded':
      return decision;
    case 'conflict': {
      // It was parked, and has been priced by hand since: it is compared with what was parked.
      const first = isUnpriced(item) ? parked.get(key) : undefined;
      if (first !== undefined) return againstParked(item, first, chunk);
      const fields = decision.fields.join(', ');
      return asDeadLetter(
        item,
        'CONFLICTING_DUPLICATE',
        `trace_id ${event.traceId} is already charged; differing: ${fields}`,
      );
    }
    case 'outOfRange':
      return asDeadLetter(
        item,
        'AMOUNT_OUT_OF_RANGE',
        'the cost is 2^63 nano-units or more; allowed: below 9223372036.854775808',
      );
    case 'unpriced':
      return event.kind === 'pending'
        ? asUnpricedEstimate({ ...item, event }, decision.meters, priceBook)
        : park({ ...item, event }, decision.meters, chunk);
    default:
      return unreachable(decision);
  }
}

function asUnpricedEstimate(
  item: BillableEvent,
  meters: readonly string[],
  priceBook: ChunkPriceBook | undefined,
): PlannedItem {
  const { event } = item;
  const { provider, model } = event;
  const asked =
    event.pricing === undefined && priceBook !== undefined
      ? `; price book ${priceBook.name} has none for ${model} of ${provider}`
      : '';
  return asSkipped(item, `${NOT_BILLABLE}: estimate without a price for ${meters.join(', ')}${asked}`);
}

type Completion = BillableEvent & { readonly event: UsageCompleted };

/** Parks the first completion of a trace that has no price. */
function park(item: Completion, meters: readonly string[], chunk: ChunkState): PlannedItem {
  const { event, message, tenantId, key } = item;
  const first = chunk.parked.get(key);
  if (first !== undefined) return againstParked(item, first, chunk);
  chunk.parked.set(key, event);
  return { kind: 'unpriced', parked: { kafkaOffset: message.kafkaOffset, tenantId, event, meters } };
}

/** Compares a completion without a price with the one of its trace that was parked. */
function againstParked(item: BillableEvent, first: UsageCompleted, { accounts }: ChunkState): PlannedItem {
  const { event, tenantId, pricing } = item;
  invariant(event.kind === 'completed', 'only completions are parked', { tenantId, traceId: event.traceId });
  const fields = differingFromParked(first, event, accounts.get(tenantId)?.currency ?? pricing.currency);
  if (fields.length === 0) return { kind: 'duplicate' };
  const detail = `trace_id ${event.traceId} is already parked without a price; differing: ${fields.join(', ')}`;
  return asDeadLetter(item, 'CONFLICTING_DUPLICATE', detail);
}

function asSkipped({ message, event }: Pick<BillableEvent, 'message' | 'event'>, reason: string): PlannedItem {
  return { kind: 'skipped', skipped: { kafkaOffset: message.kafkaOffset, event, reason } };
}

function asDeadLetter(item: BillableEvent | UnquotedEvent, reason: DeadLetter['reason'], detail: string): PlannedItem {
  return { kind: 'deadLetter', letter: deadLetter(item.message, { reason, detail, event: item.event }) };
}
