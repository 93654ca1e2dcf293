/**
 * Owns: step 4 of the charge protocol: what every message of a chunk wants, given the accounts and traces it touches.
 * Does not own: whether what it wants is granted (steps 5 and 6).
 * Invariants: pure; order is kept; a later event of the same trace in the chunk sees what the earlier one will leave,
 * which is the same whether that one is granted or refused; only a repeated pending event is then counted as a duplicate
 * rather than as superseded.
 */
import type { Account } from '../ledger/account.js';
import type { DeadLetter } from '../ledger/dead-letter.js';
import { type AccountOpening, type SkippedEvent, traceKey, type UnpricedUsage } from '../ledger/ledger-store.js';
import { type Decision, decide, type EntryIntent, NO_TRACE, stateAfter, type TraceState } from '../ledger/trace.js';
import { unreachable } from '../runtime/errors.js';
import { type BillableEvent, deadLetter, type IntakeItem, NOT_BILLABLE } from './intake.js';

/** An account that the chunk opens, and the event that opens it. */
export type ChunkOpening = AccountOpening & { readonly openedBy: BillableEvent };

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
  readonly parked: ReadonlySet<string>;
  /** The accounts this chunk has just opened, by tenant. */
  readonly openings: ReadonlyMap<string, ChunkOpening>;
}

/** Plans a chunk: one planned item per message, in order, and one more per opened account. */
export function planChunk(items: readonly IntakeItem[], knowledge: ChunkKnowledge): PlannedItem[] {
  const { accounts, openings } = knowledge;
  const chunk = { accounts, traces: new Map(knowledge.traces), parked: new Set(knowledge.parked) };
  const planned: PlannedItem[] = [];
  for (const item of items) {
    if (item.kind === 'billable') {
      const opening = openings.get(item.tenantId);
      if (opening?.openedBy === item) planned.push({ kind: 'opening', opening });
      planned.push(planBillable(item, chunk));
    } else if (item.kind === 'skipped') {
      const { message, event, reason } = item;
      planned.push({ kind: 'skipped', skipped: { kafkaOffset: message.kafkaOffset, event, reason } });
    } else {
      planned.push(item);
    }
  }
  return planned;
}

interface ChunkState {
  readonly accounts: ReadonlyMap<string, Account>;
  readonly traces: Map<string, TraceState>;
  readonly parked: Set<string>;
}

function planBillable(item: BillableEvent, chunk: ChunkState): PlannedItem {
  const account = chunk.accounts.get(item.tenantId);
  const { currency } = item.pricing;
  if (account?.currency !== currency) {
    const allowed =
      account === undefined ? 'the configured default currency' : `${account.currency}, the account's currency`;
    return asDeadLetter(item, 'CURRENCY_MISMATCH', `pricing.currency is ${currency}; allowed: ${allowed}`);
  }
  const key = traceKey({ tenantId: item.tenantId, traceId: item.event.traceId });
  const state = chunk.traces.get(key) ?? NO_TRACE;
  const decision = decide(state, item.event, { pricing: item.pricing, holdPolicy: account.holdPolicy });
  if (decision.kind === 'entry') chunk.traces.set(key, stateAfter(decision.intent));
  return plannedOf(item, decision, { key, parked: chunk.parked });
}

function plannedOf(
  item: BillableEvent,
  decision: Decision,
  { key, parked }: { key: string; parked: Set<string> },
): PlannedItem {
  const { event, message, tenantId } = item;
  switch (decision.kind) {
    case 'entry':
      return { kind: 'entry', item, intent: decision.intent };
    case 'duplicate':
    case 'superseded':
      return decision;
    case 'conflict': {
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
      if (event.kind === 'pending') {
        const reason = `${NOT_BILLABLE}: estimate without a price for ${decision.meters.join(', ')}`;
        return { kind: 'skipped', skipped: { kafkaOffset: message.kafkaOffset, event, reason } };
      }
      if (parked.has(key)) return { kind: 'duplicate' };
      parked.add(key);
      return {
        kind: 'unpriced',
        parked: { kafkaOffset: message.kafkaOffset, tenantId, event, meters: decision.meters },
      };
    default:
      return unreachable(decision);
  }
}

function asDeadLetter(item: BillableEvent, reason: DeadLetter['reason'], detail: string): PlannedItem {
  return { kind: 'deadLetter', letter: deadLetter(item.message, { reason, detail, event: item.event }) };
}
