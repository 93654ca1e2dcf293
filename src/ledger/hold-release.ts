/**
 * Owns: how a hold ends without a charge: what is held goes back, and so does the request where it was counted.
 * Does not own: when it ends so: the completion that voids it (trace.ts), its time running out (expiry.ts).
 * Invariants: pure; nobody can refuse a release; a pre-check that held and counted nothing gives back nothing.
 */
import type { EntryUsage } from './entry.js';
import type { AmountNano } from './money.js';
import type { EntryIntent } from './trace.js';

/** What a trace holds, and the UTC day (YYYY-MM-DD) its request was counted in; null when it was not counted. */
export interface Held {
  readonly heldNano: AmountNano;
  readonly countedOn: string | null;
}

/** How a hold ends, and what the entry says of it. */
export interface HoldEnd {
  readonly status: 'VOIDED' | 'EXPIRED';
  readonly description: string;
  /** The UTC day (YYYY-MM-DD) on which it ends. */
  readonly day: string;
  /** False when the trace never held anything. */
  readonly settlesHold: boolean;
  readonly usage: EntryUsage;
  readonly currency: string;
}

/** The entry that gives a hold back. Its request goes back to the day it was counted on, past or not. */
export function releaseIntent({ heldNano, countedOn }: Held, end: HoldEnd): EntryIntent {
  const requests = countedOn === null ? 0 : -1;
  return {
    phase: end.status === 'VOIDED' ? 'v' : 'x',
    granted: {
      status: end.status,
      amountNano: heldNano,
      balanceDeltaNano: 0n,
      heldDeltaNano: -heldNano,
      requests,
      countedOn,
      description: end.description,
    },
    refusedAs: null,
    delta: { availableNano: heldNano, checkBalance: false, requests, checkQuota: false, day: countedOn ?? end.day },
    reserves: true,
    settlesHold: end.settlesHold,
    heldCountedOn: null,
    usage: end.usage,
    currency: end.currency,
  };
}
