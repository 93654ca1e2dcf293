/**
 * Owns: the life of a trace as a JSON document, and what it came to in one word and three amounts.
 * Does not own: the same as text (trace-text.ts); reading it (trace-show-command.ts).
 * Invariants: pure; amounts are decimal strings; every key is always there, null where nothing is to say.
 */
import { costOfEntry } from '../ledger/entry-cost.js';
import type { EntrySource } from '../ledger/entry.js';
import type { TraceEntry, TraceLife } from '../ledger/ledger-queries.js';
import type { TraceKey } from '../ledger/ledger-store.js';
import { type AmountNano, formatAmount, ZERO } from '../ledger/money.js';
import type { Phase } from '../ledger/trace.js';
import type { InflightItem } from '../lua/quota-scripts.js';
import { entryDocument } from './entry-documents.js';
import type { QuotaGlance } from './quota-glance.js';

/** What `trace show` prints. */
export interface TraceReport {
  readonly trace: TraceKey;
  readonly life: TraceLife;
  readonly glance: QuotaGlance;
}

/** What a trace has come to. Amounts in nano-units: charged, given back, and what is left of the charge. */
export interface TraceOutcome {
  /** The status of its last entry; without one, where its events are; null when nothing is known of it. */
  readonly state: string | null;
  readonly currency: string | null;
  readonly chargedNano: AmountNano;
  readonly refundedNano: AmountNano;
}

/** What each phase in flight waits for. */
export const PHASE_NAMES: Readonly<Record<Phase, string>> = { p: 'hold', c: 'charge', v: 'void', x: 'expiry' };

/** Sums up a trace. */
export function outcomeOf({ life, glance, trace }: TraceReport): TraceOutcome {
  const { entries } = life;
  const own = entries.filter(({ relation }) => relation === 'own');
  const family = entries.filter(({ relation }) => relation !== 'original');
  return {
    state: own[own.length - 1]?.entry.status ?? stateWithoutEntry(life, inFlightOf(glance, trace)),
    currency: entries[0]?.entry.currency ?? null,
    chargedNano: sumOf(family, 'DEDUCT'),
    refundedNano: sumOf(family, 'REFUND'),
  };
}

function sumOf(entries: readonly TraceEntry[], type: 'DEDUCT' | 'REFUND'): AmountNano {
  const counted = entries.filter(({ entry }) => entry.type === type && entry.status === 'COMMITTED');
  return counted.reduce((sum, { entry }) => (sum + entry.amountNano) as AmountNano, ZERO);
}

function stateWithoutEntry({ parked, skipped, deadLetters }: TraceLife, items: readonly InflightItem[]): string | null {
  if (parked !== undefined) return 'PARKED';
  if (deadLetters.length > 0) return 'DEAD_LETTER';
  if (skipped.length > 0) return 'SKIPPED';
  return items.length > 0 ? 'IN_FLIGHT' : null;
}

/** Whether a completion of the trace is parked and not charged since. */
export function awaitsPrice({ parked, entries }: TraceLife): boolean {
  const isCharge = ({ relation, entry }: TraceEntry): boolean =>
    relation === 'own' && (entry.status === 'COMMITTED' || entry.status === 'FAILED');
  return parked !== undefined && !entries.some(isCharge);
}

/** The items of the trace that Redis has in flight; none when that is not known. */
export function inFlightOf(glance: QuotaGlance, { traceId }: TraceKey): readonly InflightItem[] {
  return glance.kind === 'read' ? glance.items.filter((item) => item.traceId === traceId) : [];
}

/** The trace as one JSON document. */
export function traceDocument(report: TraceReport): object {
  const { trace, life, glance } = report;
  const { state, currency, chargedNano, refundedNano } = outcomeOf(report);
  const { hold, parked } = life;
  return {
    ...{ tenantId: trace.tenantId, traceId: trace.traceId, state, currency },
    charged: formatAmount(chargedNano),
    refunded: formatAmount(refundedNano),
    net: formatAmount((chargedNano - refundedNano) as AmountNano),
    entries: life.entries.map(traceEntryDocument),
    hold: hold === undefined ? null : holdDocument(hold),
    parked: parked === undefined ? null : { ...parked, source: sourceDocument(parked.source), open: awaitsPrice(life) },
    skipped: life.skipped.map((skipped) => ({ ...skipped, source: sourceDocument(skipped.source) })),
    deadLetters: life.deadLetters.map((letter) => ({ ...letter, source: sourceDocument(letter.source) })),
    redis: {
      state: glance.kind,
      inFlight: inFlightOf(glance, trace).map(itemDocument),
      reason: glance.kind === 'read' ? null : glance.reason,
    },
  };
}

function traceEntryDocument(traced: TraceEntry): object {
  const { relation, seal, entry } = traced;
  const cost = costOfEntry(entry);
  const total = cost?.totalNano;
  return {
    relation,
    ...entryDocument(traced),
    cost: cost === undefined ? null : { meters: cost.meters, total: total === undefined ? null : formatAmount(total) },
    batch: seal === undefined ? null : seal,
  };
}

function holdDocument({ amountNano, countedOn, expiresAt }: NonNullable<TraceLife['hold']>): object {
  return { amount: formatAmount(amountNano), countedOn, expiresAt };
}

function sourceDocument({ topic, partition, kafkaOffset }: EntrySource): object {
  return { topic, partition, offset: kafkaOffset.toString() };
}

function itemDocument({ phase, availableNano, requests, day, createdAtMs }: InflightItem): object {
  const available = formatAmount(availableNano as AmountNano);
  return { phase: PHASE_NAMES[phase], available, requests, day, createdAt: new Date(createdAtMs).toISOString() };
}
