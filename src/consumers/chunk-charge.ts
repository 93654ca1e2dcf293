/**
 * Owns: steps 3 to 6 of the charge protocol (its header, charge-protocol.ts, tells them and what a crash leaves): from
 * decoded messages and a locked cursor to a sealed batch. A redrive of dead letters runs the very same steps.
 * Does not own: where the messages come from, the cursor, nor the commit.
 */
import type { AccountTerms } from '../ledger/account.js';
import { appendSealed, type BatchContent } from '../ledger/append-sealed.js';
import type { SealedBatch } from '../ledger/batch.js';
import type { LedgerEntry } from '../ledger/entry.js';
import type { LedgerAdvance } from '../ledger/ledger-reader.js';
import { type Cursor, distinctTraces, type LedgerTransaction, type TraceKey } from '../ledger/ledger-store.js';
import { completedUsage, unpricedMeters } from '../ledger/pricing.js';
import { dayOf } from '../ledger/trace.js';
import type { Clock } from '../runtime/clock.js';
import { bookChunk } from './chunk-booking.js';
import { type ChunkKnowledge, type ChunkOpening, planChunk, type PlannedItem } from './chunk-plan.js';
import type { BillableEvent, IntakeItem } from './intake.js';
import type { QuotaGate } from './quota-gate.js';

/** What charging works with. */
export interface ChargePorts {
  readonly gate: QuotaGate;
  readonly clock: Clock;
  readonly defaults: { readonly currency: string; readonly terms: AccountTerms };
  readonly holdTtlMs: number;
}

/** Decoded messages of one source, in order, none of them charged before; the cursor is locked. */
export interface ChargeItems {
  readonly cursor: Cursor;
  readonly items: readonly IntakeItem[];
  readonly nextOffset: bigint;
}

/** What was sealed. */
export interface ChargedItems {
  readonly batch: SealedBatch;
  readonly content: BatchContent;
}

/** How far a batch moves the ledger of each tenant. */
export function advancesOf({ entries, accounts }: BatchContent): LedgerAdvance[] {
  const steps = new Map<string, { sinceSeq: number; usage: LedgerEntry[] }>();
  for (const entry of entries) {
    let known = steps.get(entry.tenantId);
    if (known === undefined) steps.set(entry.tenantId, (known = { sinceSeq: entry.seq - 1, usage: [] }));
    if (entry.type === 'DEDUCT') known.usage.push(entry);
  }
  return accounts.map((account) => {
    const { sinceSeq = account.seq, usage = [] } = steps.get(account.tenantId) ?? {};
    return { account, sinceSeq, steps: usage };
  });
}

/** Charges items in the caller's database transaction. Throws FENCED, POSTGRES_*. */
export async function chargeItems(
  ports: ChargePorts,
  transaction: LedgerTransaction,
  { cursor, items, nextOffset }: ChargeItems,
): Promise<ChargedItems> {
  const knowledge = await lockAndRead(ports, transaction, items);
  const planned = planChunk(items, knowledge);
  return bookPlanned(ports, transaction, { planned, knowledge, cursor, nextOffset });
}

interface PlannedChunk {
  readonly planned: readonly PlannedItem[];
  readonly knowledge: ChunkKnowledge;
  readonly cursor: Cursor;
  readonly nextOffset: bigint;
}

/** Steps 5 and 6 up to the commit. */
async function bookPlanned(
  { gate, clock, holdTtlMs }: ChargePorts,
  transaction: LedgerTransaction,
  { planned, knowledge, cursor, nextOffset }: PlannedChunk,
): Promise<ChargedItems> {
  const refusals = await gate.refusals(planned, knowledge.accounts);
  const sealedAtMs = clock.nowMs();
  const content = bookChunk({
    source: cursor.source,
    planned,
    accounts: knowledge.accounts,
    refusals,
    holdExpiresAt: new Date(sealedAtMs + holdTtlMs).toISOString(),
  });
  return { batch: await appendSealed(transaction, content, { cursor, nextOffset, sealedAtMs }), content };
}

/** Steps 3 and 4, up to the decision: accounts locked, then everything read. */
async function lockAndRead(
  { defaults }: ChargePorts,
  transaction: LedgerTransaction,
  items: readonly IntakeItem[],
): Promise<ChunkKnowledge> {
  const billable = items.filter((item): item is BillableEvent => item.kind === 'billable');
  if (billable.length === 0) return { accounts: new Map(), traces: new Map(), parked: new Set(), openings: new Map() };
  const wanted = openingsFor(defaults, billable);
  const opened = await transaction.ensureAccounts([...wanted.values()]);
  const openings = new Map([...wanted].filter(([tenantId]) => opened.has(tenantId)));
  const accounts = await transaction.lockAccounts([...new Set(billable.map(({ tenantId }) => tenantId))]);
  const traces = await transaction.readTraces(tracesOf(billable));
  const parked = await transaction.readUnpriced(tracesOf(billable.filter(isUnpriced)));
  return { accounts, traces, parked, openings };
}

/** The account each tenant gets if it has none: opened by its first event in the default currency. */
function openingsFor(
  { currency, terms }: ChargePorts['defaults'],
  billable: readonly BillableEvent[],
): Map<string, ChunkOpening> {
  const openings = new Map<string, ChunkOpening>();
  for (const openedBy of billable) {
    const { tenantId, pricing, event } = openedBy;
    if (openings.has(tenantId) || pricing.currency !== currency) continue;
    openings.set(tenantId, { tenantId, currency, terms, day: dayOf(event.occurredAt), openedBy });
  }
  return openings;
}

function tracesOf(billable: readonly BillableEvent[]): TraceKey[] {
  return distinctTraces(billable.map(({ tenantId, event }) => ({ tenantId, traceId: event.traceId })));
}

/** Only completions with a price missing or zero are looked up among the parked. */
function isUnpriced({ event, pricing }: BillableEvent): boolean {
  return event.kind === 'completed' && unpricedMeters(completedUsage(event, pricing)).length > 0;
}
