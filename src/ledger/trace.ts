/**
 * Owns: the life of a trace: what one usage event wants, given what the ledger already says about its trace.
 * Does not own: whether the wanted delta is granted (quota-rule.ts), the entry it becomes (charge.ts), nor what a hold
 * comes to when its time is over (expiry.ts: the last column).
 * Invariants: pure; at most one PENDING and one terminal charge per trace; a PENDING entry never changes the balance;
 * a request counts once: at its hold if there is one, else at its charge; one that was not charged counts nowhere.
 *
 *   state            | usage.pending       | usage.completed                                 | hold expires
 *   none             | PENDING, or REFUSED | COMMITTED, or FAILED; no usage: VOIDED          |
 *   PENDING          | duplicate           | COMMITTED, or FAILED; no usage: VOIDED          | EXPIRED
 *   REFUSED          | duplicate           | COMMITTED late, or FAILED; no usage: superseded |
 *   EXPIRED, VOIDED  | superseded          | COMMITTED late, or FAILED; no usage: superseded |
 *   COMMITTED        | superseded          | duplicate; other content: conflict              |
 *   FAILED           | superseded          | duplicate; other content: conflict              |
 *
 * The event decides whether a completion may be refused, not the state: any order of the topics gives the same totals. One
 * that allows a negative balance was served, so it is never FAILED. Any other is checked for balance and quotas; after
 * EXPIRED for the balance alone, since its request had been granted (decision 6).
 */
import type { HoldPolicy } from './account.js';
import type { EntryStatus, EntryUsage } from './entry.js';
import type { EventPricing, UsageCompleted, UsageEvent, UsagePending } from './events.js';
import { releaseIntent } from './hold-release.js';
import { type AmountNano, ZERO } from './money.js';
import { estimateOf, type EstimateLimits, usageCost } from './pricing.js';
import type { QuotaDelta } from './quota-rule.js';
import { type ChargeContent, differingFields, isWithoutUsage, usageOf } from './trace-content.js';

/** What the ledger says about one trace. */
export type TraceState =
  | { readonly status: 'NONE' }
  | { readonly status: 'PENDING'; readonly heldNano: AmountNano; readonly countedOn: string | null }
  | { readonly status: 'REFUSED' | 'EXPIRED' | 'VOIDED' }
  | ChargedTrace;

/** A trace that has been charged, or whose charge was refused for good. */
export interface ChargedTrace {
  readonly status: 'COMMITTED' | 'FAILED';
  readonly content: ChargeContent;
}

/** The state of a trace the ledger has never seen. */
export const NO_TRACE: TraceState = { status: 'NONE' };

/** One letter for the step of a trace that a delta belongs to: pending hold, charge, void, expiry. */
export type Phase = 'p' | 'c' | 'v' | 'x';

/** How an entry changes the account, before balances are filled in. */
export interface EntryShape {
  readonly status: EntryStatus;
  readonly amountNano: AmountNano;
  readonly balanceDeltaNano: bigint;
  readonly heldDeltaNano: bigint;
  readonly requests: -1 | 0 | 1;
  readonly countedOn: string | null;
  /** Of a refused entry it becomes part of the detail, since the code of the refusal describes it. */
  readonly description: string | null;
}

/** An entry that an event wants: one shape when granted, another when refused (`refusedShape`). */
export interface EntryIntent {
  readonly phase: Phase;
  readonly granted: EntryShape;
  /** The status of the refused entry; null: it cannot be refused. */
  readonly refusedAs: 'REFUSED' | 'FAILED' | null;
  /** What the rule is asked; for a pre-check without a hold it is asked but not applied. */
  readonly delta: QuotaDelta;
  /** False for a pre-check: the delta is checked, and nothing is reserved. */
  readonly reserves: boolean;
  /** True when the entry ends an open hold of its trace. */
  readonly settlesHold: boolean;
  /** The UTC day on which the hold counted the request, which goes back when the charge is refused; null: it did not. */
  readonly heldCountedOn: string | null;
  readonly usage: EntryUsage;
  readonly currency: string;
}

/** What becomes of one usage event. */
export type Decision =
  | { readonly kind: 'entry'; readonly intent: EntryIntent }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'superseded' }
  | { readonly kind: 'conflict'; readonly fields: readonly string[] }
  | { readonly kind: 'unpriced'; readonly meters: readonly string[] }
  | { readonly kind: 'outOfRange' };

/** The UTC day (YYYY-MM-DD) an event counts in. */
export function dayOf(occurredAt: string): string {
  return occurredAt.slice(0, 10);
}

/** What an event is decided by, besides its trace: its price, and how its tenant's estimates are held. */
export interface DecisionTerms {
  readonly pricing: EventPricing;
  readonly holdPolicy: HoldPolicy;
  readonly estimates: EstimateLimits;
}

/** Decides what a billable event wants; the trace is that of the event. */
export function decide(state: TraceState, event: UsageEvent, terms: DecisionTerms): Decision {
  return event.kind === 'pending' ? decidePending(state, event, terms) : decideCompleted(state, event, terms.pricing);
}

function decidePending(
  state: TraceState,
  event: UsagePending,
  { pricing, holdPolicy, estimates }: DecisionTerms,
): Decision {
  // The same whether its hold was granted: what Redis says cannot depend on how the log was cut into chunks.
  if (state.status === 'PENDING' || state.status === 'REFUSED') return { kind: 'duplicate' };
  if (state.status !== 'NONE') return { kind: 'superseded' };
  const estimate = estimateOf(event, estimates, pricing);
  const cost = usageCost(estimate, pricing);
  if (cost.kind !== 'priced') return cost;
  const held = holdPolicy === 'estimate';
  const day = dayOf(event.occurredAt);
  return {
    kind: 'entry',
    intent: {
      phase: 'p',
      granted: {
        status: 'PENDING',
        amountNano: cost.amountNano,
        balanceDeltaNano: 0n,
        heldDeltaNano: held ? cost.amountNano : 0n,
        requests: held ? 1 : 0,
        countedOn: held ? day : null,
        description: null,
      },
      refusedAs: 'REFUSED',
      delta: { availableNano: -cost.amountNano, checkBalance: true, requests: 1, checkQuota: true, day },
      reserves: held,
      settlesHold: false,
      heldCountedOn: null,
      usage: usageOf(event, pricing, estimate),
      currency: pricing.currency,
    },
  };
}

/** Decides what a billable completion wants at a price, which need not be the one it came with. */
export function decideCompleted(state: TraceState, event: UsageCompleted, pricing: EventPricing): Decision {
  const cost = usageCost(event.usage, pricing);
  const usage = usageOf(event, pricing, event.usage);
  const { currency } = pricing;
  if (isCharged(state)) {
    const amountNano = cost.kind === 'priced' ? cost.amountNano : null;
    const fields = differingFields(state.content, { usage, amountNano, currency });
    return fields.length === 0 ? { kind: 'duplicate' } : { kind: 'conflict', fields };
  }
  if (cost.kind !== 'priced') return cost;
  if (event.outcome !== 'succeeded' && isWithoutUsage(event)) {
    return state.status === 'NONE' || state.status === 'PENDING'
      ? { kind: 'entry', intent: voidIntent(state, event, { usage, currency }) }
      : { kind: 'superseded' };
  }
  return { kind: 'entry', intent: chargeIntent(state, event, { usage, currency, costNano: cost.amountNano }) };
}

type IntentFacts = Pick<EntryIntent, 'usage' | 'currency'>;

function voidIntent(
  state: TraceState & { status: 'NONE' | 'PENDING' },
  event: UsageCompleted,
  facts: IntentFacts,
): EntryIntent {
  const settlesHold = state.status === 'PENDING';
  return releaseIntent(settlesHold ? state : { heldNano: ZERO, countedOn: null }, {
    ...{ status: 'VOIDED', description: event.outcome, day: dayOf(event.occurredAt), settlesHold },
    ...facts,
  });
}

type Chargeable = Exclude<TraceState, ChargedTrace>;

function isCharged(state: TraceState): state is ChargedTrace {
  return state.status === 'COMMITTED' || state.status === 'FAILED';
}

function chargeIntent(
  state: Chargeable,
  event: UsageCompleted,
  { usage, currency, costNano }: IntentFacts & { readonly costNano: AmountNano },
): EntryIntent {
  const heldNano = state.status === 'PENDING' ? state.heldNano : ZERO;
  const heldCountedOn = state.status === 'PENDING' ? state.countedOn : null;
  const late = state.status !== 'NONE' && state.status !== 'PENDING';
  const day = dayOf(event.occurredAt);
  const requests = heldCountedOn === null ? 1 : 0;
  return {
    phase: 'c',
    granted: {
      status: 'COMMITTED',
      amountNano: costNano,
      balanceDeltaNano: -costNano,
      heldDeltaNano: -heldNano,
      requests,
      countedOn: heldCountedOn === null ? day : null,
      description: late ? 'late' : null,
    },
    refusedAs: event.allowNegative ? null : 'FAILED',
    delta: {
      availableNano: heldNano - costNano,
      checkBalance: !event.allowNegative,
      requests,
      checkQuota: !event.allowNegative && state.status !== 'EXPIRED',
      day,
    },
    reserves: true,
    settlesHold: state.status === 'PENDING',
    heldCountedOn,
    usage,
    currency,
  };
}

/**
 * The entry when it is refused: nothing is charged, held or counted. A failed charge ends the hold of its trace, and gives
 * back the request where the hold counted it.
 */
export function refusedShape(status: 'REFUSED' | 'FAILED', { granted, heldCountedOn }: EntryIntent): EntryShape {
  return {
    status,
    amountNano: granted.amountNano,
    balanceDeltaNano: 0n,
    heldDeltaNano: status === 'FAILED' ? granted.heldDeltaNano : 0n,
    requests: heldCountedOn === null ? 0 : -1,
    countedOn: heldCountedOn,
    description: granted.description,
  };
}

/** The state a trace has once the intent is written; used within a chunk, where granted and refused decide alike. */
export function stateAfter(intent: EntryIntent): TraceState {
  const { granted } = intent;
  switch (granted.status) {
    case 'PENDING':
      return { status: 'PENDING', heldNano: granted.heldDeltaNano as AmountNano, countedOn: granted.countedOn };
    case 'COMMITTED':
    case 'FAILED':
      return {
        status: granted.status,
        content: { usage: intent.usage, amountNano: granted.amountNano, currency: intent.currency },
      };
    case 'REFUSED':
    case 'EXPIRED':
    case 'VOIDED':
      return { status: granted.status };
  }
}
