/**
 * Owns: what this process has committed and not yet projected, so that it need not be read back from the ledger.
 * Does not own: whether it may be used: only where it continues the hash's version without a gap (projection.ts).
 * Invariants: bounded; what is here is committed, so it is the ledger; losing it only costs a read.
 */
import type { LedgerAdvance } from '../ledger/ledger-reader.js';

/** Steps kept at most; each is about 150 bytes. */
const STEPS_MAX = 20_000;

/** Advances by tenant; consecutive ones are one. */
export class CommittedFacts {
  readonly #advances = new Map<string, LedgerAdvance>();
  #steps = 0;

  /** Adds an advance; joins it to the one before it, or replaces one that it does not continue. */
  add(advance: LedgerAdvance): void {
    const { tenantId } = advance.account;
    const known = this.#advances.get(tenantId);
    const joined = known === undefined ? advance : join(known, advance);
    this.#steps += joined.steps.length - (known?.steps.length ?? 0);
    this.#advances.set(tenantId, joined);
    if (this.#steps > STEPS_MAX) this.#clear();
  }

  /** Takes out the advances of some tenants. */
  take(tenantIds: readonly string[]): ReadonlyMap<string, LedgerAdvance> {
    const taken = new Map<string, LedgerAdvance>();
    for (const tenantId of tenantIds) {
      const advance = this.#advances.get(tenantId);
      if (advance === undefined) continue;
      taken.set(tenantId, advance);
      this.#advances.delete(tenantId);
      this.#steps -= advance.steps.length;
    }
    return taken;
  }

  #clear(): void {
    this.#advances.clear();
    this.#steps = 0;
  }
}

function join(known: LedgerAdvance, next: LedgerAdvance): LedgerAdvance {
  if (next.sinceSeq !== known.account.seq) return next.account.seq > known.account.seq ? next : known;
  return { account: next.account, sinceSeq: known.sinceSeq, steps: [...known.steps, ...next.steps] };
}
