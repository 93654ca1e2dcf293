/** Owns: messages, intake items, knowledge and booking inputs for the tests of a chunk. */
import type { Account } from '../../../src/ledger/account.js';
import type { BatchContent } from '../../../src/ledger/append-sealed.js';
import type { UsageEvent } from '../../../src/ledger/events.js';
import { traceKey } from '../../../src/ledger/ledger-store.js';
import type { TraceState } from '../../../src/ledger/trace.js';
import { type BookedChunk, type BookingInput, bookChunk } from '../../../src/consumers/chunk-booking.js';
import {
  type ChunkKnowledge,
  type ChunkOpening,
  type PlannedItem,
  planChunk,
} from '../../../src/consumers/chunk-plan.js';
import { type BillableEvent, type ChunkMessage, deadLetter, type IntakeItem } from '../../../src/consumers/intake.js';
import { account, ESTIMATES, PRICING } from '../ledger/usage-samples.js';

/** A message at an offset; its bytes only matter to dead letters. */
export function message(kafkaOffset: bigint): ChunkMessage {
  const value = Buffer.from(`bytes of ${kafkaOffset}`);
  return { kafkaOffset, key: Buffer.from('tenant-1'), value, headers: { trace: [Buffer.from('h')] } };
}

/** A billable event at an offset. */
export function billable(kafkaOffset: bigint, event: UsageEvent): BillableEvent {
  const { tenantId = 'tenant-1', pricing = PRICING } = event;
  const key = traceKey({ tenantId, traceId: event.traceId });
  return { kind: 'billable', message: message(kafkaOffset), event, tenantId, key, pricing };
}

/** An event at an offset that is not billable. */
export function skipped(kafkaOffset: bigint, event: UsageEvent): IntakeItem {
  return { kind: 'skipped', message: message(kafkaOffset), event, reason: 'no_pricing_or_internal' };
}

/** A message at an offset that could not be read. */
export function unreadable(kafkaOffset: bigint): IntakeItem {
  const why = { reason: 'INVALID_JSON', detail: 'not JSON', event: undefined } as const;
  return { kind: 'deadLetter', letter: deadLetter(message(kafkaOffset), why) };
}

/** What the ledger knows: these accounts, by default one of 10 units, and nothing else. */
export function knowing(
  accounts: readonly Account[] = [account()],
  more: Partial<ChunkKnowledge> = {},
): ChunkKnowledge {
  const byTenant = new Map(accounts.map((each) => [each.tenantId, each]));
  return {
    accounts: byTenant,
    traces: new Map<string, TraceState>(),
    parked: new Map(),
    openings: new Map(),
    defaultCurrency: 'USD',
    ...more,
  };
}

/** The opening of the account of an event, without credit or quotas. */
export function openingBy(openedBy: BillableEvent): ChunkOpening {
  const { creditLimitNano, dailyQuota, monthlyQuota, holdPolicy } = account();
  const terms = { creditLimitNano, dailyQuota, monthlyQuota, holdPolicy };
  const day = openedBy.event.occurredAt.slice(0, 10);
  return { tenantId: openedBy.tenantId, currency: 'USD', day, terms, openedBy };
}

/** Plans a chunk with the default estimates. */
export function planOf(items: readonly IntakeItem[], knowledge: ChunkKnowledge): PlannedItem[] {
  return planChunk(items, knowledge, ESTIMATES);
}

/** Books planned items of partition 3 of usage.completed. */
export function bookPlanned(
  planned: readonly PlannedItem[],
  { accounts }: ChunkKnowledge,
  others: BookingInput['others'] = new Map(),
): BookedChunk {
  return bookChunk({ source: { topic: 'usage.completed', partition: 3 }, planned, accounts, others });
}

/** When the holds of a booking expire. */
export const HOLDS_EXPIRE_AT = { estimate: '2026-03-15T10:15:00.000Z', none: '2026-03-15T10:05:00.000Z' };

/** Plans and books a chunk of tenants of whom nothing else is in flight. */
export function run(items: readonly IntakeItem[], knowledge: ChunkKnowledge = knowing()): BatchContent {
  return bookPlanned(planOf(items, knowledge), knowledge).contentWith(HOLDS_EXPIRE_AT);
}

/** The number of messages a booking accounts for. */
export function messagesIn({ counts }: BatchContent): number {
  const { charged, duplicates, superseded, skipped: skips, unpriced, deadLetters } = counts;
  return charged + duplicates + superseded + skips + unpriced + deadLetters;
}
