/** Owns: complete events, accounts and origins for the tests of the ledger; each takes the fields a test cares about. */
import type { Account } from '../../../src/ledger/account.js';
import { type Booked, bookIntent, type EntryOrigin } from '../../../src/ledger/charge.js';
import type { LedgerEntry } from '../../../src/ledger/entry.js';
import type { EventPricing, UsageCompleted, UsageEvent, UsagePending } from '../../../src/ledger/events.js';
import { parseAmount } from '../../../src/ledger/money.js';
import type { EstimateLimits } from '../../../src/ledger/pricing.js';
import { refusalOf } from '../../../src/ledger/quota-rule.js';
import { type Decision, decide, type EntryIntent, type TraceState } from '../../../src/ledger/trace.js';
import { invariant } from '../../../src/runtime/errors.js';

/** 0.003 per 1,000 input tokens, 0.015 per 1,000 output tokens. */
export const PRICING: EventPricing = { inputPer1k: '0.003', outputPer1k: '0.015', currency: 'USD', priceVersion: 'v1' };

/** 4,096 output tokens for an event that names no bound, and no cap. */
export const ESTIMATES: EstimateLimits = { outputTokensDefault: 4096, outputTokensMax: null };

const IDENTITY = {
  eventId: 'event-1',
  traceId: 'trace-1',
  tenantId: 'tenant-1',
  apiKeyId: 'key-1',
  occurredAt: '2026-03-15T10:00:00.000Z',
  provider: 'anthropic',
  model: 'claude-sonnet-4',
  presetItemId: 'preset-1',
  stream: false,
  pricing: PRICING,
};

/** A pending event whose estimate costs 0.033. */
export function pending(changes: Partial<UsagePending> = {}): UsagePending {
  return { ...IDENTITY, kind: 'pending', estimate: { inputTokens: 1000, maxOutputTokens: 2000 }, ...changes };
}

/** A completed event that costs 0.018 and may be refused. */
export function completed(changes: Partial<UsageCompleted> = {}): UsageCompleted {
  const usage = { inputTokens: 1000, outputTokens: 1000 };
  return { ...IDENTITY, kind: 'completed', outcome: 'succeeded', usage, allowNegative: false, ...changes };
}

/** The usage of a request that produced nothing. */
export const NO_TOKENS = { inputTokens: 0, outputTokens: 0 };

/** An account at seq 7 with 10 units, no credit, no quotas and nothing held. */
export function account(changes: Partial<Account> = {}): Account {
  return {
    tenantId: 'tenant-1',
    currency: 'USD',
    balanceNano: parseAmount('10'),
    heldNano: parseAmount('0'),
    creditLimitNano: parseAmount('0'),
    dailyQuota: null,
    dailyUsed: 0,
    dailyDate: '2026-03-15',
    monthlyQuota: null,
    monthlyUsed: 0,
    monthlyMonth: '2026-03',
    pastCounts: '|',
    holdPolicy: 'estimate',
    seq: 7,
    ...changes,
  };
}

/** Where the entries of these tests come from. */
export const ORIGIN: EntryOrigin = {
  traceId: 'trace-1',
  source: { topic: 'usage.completed', partition: 3, kafkaOffset: 41n },
  occurredAt: '2026-03-15T10:00:00.000Z',
};

/** The intent of a decision; fails when the decision wants no entry. */
export function intentOf(decision: Decision): EntryIntent {
  invariant(decision.kind === 'entry', `the decision is ${decision.kind}, not an entry`);
  return decision.intent;
}

/** Decides an event with the prices of these tests. */
export function decideOn(state: TraceState, event: UsageEvent, from: Account = account()): Decision {
  return decide(state, event, {
    pricing: event.pricing ?? PRICING,
    holdPolicy: from.holdPolicy,
    estimates: ESTIMATES,
  });
}

/** Decides, asks the rule and books: the entry an event becomes on an account, and the account after it. */
export function book(state: TraceState, event: UsageEvent, from: Account = account()): Booked {
  const intent = intentOf(decideOn(state, event, from));
  const refusal = intent.refusedAs === null ? undefined : refusalOf(from, intent.delta);
  const booked = bookIntent(from, { ...ORIGIN, occurredAt: event.occurredAt }, { intent, refusal });
  invariant(booked !== undefined, 'the amounts of this test fit an int64');
  return booked;
}

/** An entry that follows `account()` and charges 0.018 of it. */
export function charge(changes: Partial<LedgerEntry> = {}): LedgerEntry {
  return { ...book({ status: 'NONE' }, completed()).entry, ...changes };
}
