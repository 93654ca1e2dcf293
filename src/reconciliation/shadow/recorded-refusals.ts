/**
 * Owns: Redis's part in a replay. What was in flight beside the ledger is gone, so the gate of a replay answers with what the
 * refused entries have recorded of it.
 * Does not own: the rule (ledger/quota-rule.ts), whether the figures are right (verify-refusals.ts).
 * Invariants: only what was in flight is taken over. Every refusal has to be found again by the charging code, so that code
 * which wrongly grants, or names other figures, shows.
 */
import type { QuotaContest, QuotaGate } from '../../consumers/quota-gate.js';
import type { LedgerEntry } from '../../ledger/entry.js';
import type { OthersInFlight, QuotaRefusal } from '../../ledger/quota-rule.js';
import { recordedRefusal } from '../../ledger/refusal-figures.js';
import { monthOf } from '../../ledger/request-windows.js';
import { dayOf } from '../../ledger/trace.js';

/** The gate of a replay: it answers for one recorded batch after the other. */
export class RecordedGate implements QuotaGate {
  readonly #onAsked: () => void;
  #entries: readonly LedgerEntry[] = [];
  /** Refusals so far that counted something in flight. */
  takenOver = 0;

  /** `onAsked` is called at every question, which is after decoding and before sealing. */
  constructor(onAsked: () => void) {
    this.#onAsked = onAsked;
  }

  /** From now on answers for a batch with these entries; without refusals none are needed. */
  expect(entries: readonly LedgerEntry[]): void {
    this.#entries = entries;
  }

  reserve(): Promise<QuotaContest | undefined> {
    this.#onAsked();
    const refused = this.#entries.flatMap((entry) => {
      const refusal = recordedRefusal(entry.description, entry.detail);
      return refusal === undefined || !isOfOthers(refusal) ? [] : [{ entry, refusal }];
    });
    this.takenOver += refused.length;
    return Promise.resolve(refused.length === 0 ? undefined : { others: othersOf(refused), settle: nothing });
  }
}

interface RefusedEntry {
  readonly entry: LedgerEntry;
  readonly refusal: QuotaRefusal;
}

function isOfOthers(refusal: QuotaRefusal): boolean {
  return refusal.code === 'INSUFFICIENT_BALANCE' ? refusal.inFlightNano !== undefined : refusal.inFlight !== undefined;
}

/** What others had in flight, by tenant: the same for all entries of a tenant in one batch. */
function othersOf(refused: readonly RefusedEntry[]): Map<string, OthersInFlight> {
  const others = new Map<string, OthersInFlight>();
  for (const { entry, refusal } of refused) {
    const known = others.get(entry.tenantId);
    const day = dayOf(entry.occurredAt);
    const requestsByDay = new Map(known?.requestsByDay);
    const requestsByMonth = new Map(known?.requestsByMonth);
    let availableNano = known?.availableNano ?? 0n;
    if (refusal.code === 'INSUFFICIENT_BALANCE') availableNano = refusal.inFlightNano ?? 0n;
    if (refusal.code === 'DAILY_QUOTA_EXCEEDED') requestsByDay.set(day, refusal.inFlight ?? 0);
    if (refusal.code === 'MONTHLY_QUOTA_EXCEEDED') requestsByMonth.set(monthOf(day), refusal.inFlight ?? 0);
    others.set(entry.tenantId, { availableNano, requestsByDay, requestsByMonth });
  }
  return others;
}

function nothing(): Promise<void> {
  return Promise.resolve();
}
