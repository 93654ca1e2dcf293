/**
 * Owns: whether a stored entry is the one that its message must have become, field by field.
 * Does not own: whether the message had to become an entry at all (expectation.ts decides the same for what has none).
 * Invariants: pure; the expected entry is made by the code that made the stored one, starting from the balances that the
 * ledger itself says were there; of two ends that were both possible, granted and refused, the recorded one is taken,
 * and then every figure of it must be right.
 */
import { type Account, emptyAccount, termsOf } from '../../ledger/account.js';
import { bookIntent, bookOpening } from '../../ledger/charge.js';
import type { EntrySource, LedgerEntry } from '../../ledger/entry.js';
import type { EventPricing, UsageEvent } from '../../ledger/events.js';
import { parseAmount, ZERO } from '../../ledger/money.js';
import { estimateOf, type EstimateLimits } from '../../ledger/pricing.js';
import type { QuotaRefusal } from '../../ledger/quota-rule.js';
import { recordedExceeded, recordedRefusal } from '../../ledger/refusal-figures.js';
import { monthOf } from '../../ledger/request-windows.js';
import { type Decision, dayOf, decide, type EntryIntent, type TraceState } from '../../ledger/trace.js';
import { isTollbookError } from '../../runtime/errors.js';
import {
  CANONICAL_COLUMNS,
  type CanonicalColumn,
  columnOf,
  type EntryLine,
  entryText,
  unescaped,
} from './entry-lines.js';
import { isGranted } from './entry-match.js';
import type { ExpectationSettings } from './expectation.js';

/** One column in which a stored entry is not what it must be; null is an absent value. */
export interface FieldDifference {
  readonly field: CanonicalColumn;
  readonly expected: string | null;
  readonly found: string | null;
}

/** What the ledger does not record, so that its word was taken for it. */
export type TakenAsRecorded =
  | 'refusals'
  | 'estimateLimits'
  | 'openingTerms'
  | 'eventTimes'
  | 'eventSizes'
  | 'priceBooks'
  | 'redrivenOrDiscarded'
  | 'processingFailures'
  | 'bounds';

/** What an entry is checked against. */
export interface EntryGrounds {
  readonly event: UsageEvent;
  readonly pricing: EventPricing;
  /** Where the entry must say it comes from. */
  readonly source: EntrySource;
  /** What its trace had come to before it. */
  readonly state: TraceState;
  readonly settings: ExpectationSettings;
  readonly onTaken: (what: TakenAsRecorded) => void;
}

/** What a check found: the expected text, which equals that of the entry; other fields; or no entry expected at all. */
export type EntryCheck =
  | { readonly kind: 'equal' }
  | { readonly kind: 'different'; readonly expectedText: string; readonly fields: readonly FieldDifference[] }
  | { readonly kind: 'noEntry'; readonly decision: Exclude<Decision, { kind: 'entry' }> };

type StoredText = Pick<EntryLine, 'text' | 'columns'>;

/** Checks a usage entry. */
export function checkEntry(stored: StoredText, grounds: EntryGrounds): EntryCheck {
  const { state, event, pricing, settings } = grounds;
  const holdPolicy = columnOf(stored, 'requests') === '0' ? 'none' : 'estimate';
  const estimates = event.kind === 'pending' ? estimatesOf(stored, event, grounds) : settings.estimates;
  const decision = decide(state, event, { pricing, holdPolicy, estimates });
  if (decision.kind !== 'entry') return { kind: 'noEntry', decision };
  const { tenantId = '', traceId, occurredAt } = event;
  const identity = { tenantId, traceId, occurredAt, currency: pricing.currency, source: grounds.source };
  if (isGranted(stored, decision.intent, identity)) return { kind: 'equal' };
  const expected = expectedEntry(stored, decision.intent, grounds);
  return expected === undefined ? unreadable(stored) : compared(stored, entryText(expected));
}

/** Checks the entry that opened an account because of a message; its terms are those it was opened with. */
export function checkOpening(
  stored: StoredText,
  { event, source, tenantId, onTaken }: Pick<EntryGrounds, 'event' | 'source' | 'onTaken'> & { tenantId: string },
): EntryCheck {
  const detail = columnOf(stored, 'detail');
  const currency = event.pricing?.currency ?? columnOf(stored, 'currency') ?? '';
  try {
    const terms = termsOf(JSON.parse(unescaped(detail ?? '{}')) as Readonly<Record<string, string>>);
    const account = emptyAccount({ tenantId, currency, day: dayOf(event.occurredAt) }, terms);
    onTaken('openingTerms');
    return compared(stored, entryText(bookOpening(account, { source, occurredAt: event.occurredAt }).entry));
  } catch (error) {
    if (!isTollbookError(error)) throw error;
    return { kind: 'different', expectedText: '', fields: [{ field: 'detail', expected: 'the terms', found: detail }] };
  }
}

/** How the estimate was bounded: as it is now, or as recorded where another bound can have been set. */
function estimatesOf(
  stored: StoredText,
  event: UsageEvent & { kind: 'pending' },
  { settings, pricing, onTaken }: Pick<EntryGrounds, 'settings' | 'pricing' | 'onTaken'>,
): EstimateLimits {
  const recorded = Number(columnOf(stored, 'output_tokens'));
  if (estimateOf(event, settings.estimates, pricing).outputTokens === recorded) return settings.estimates;
  const own = event.estimate.maxOutputTokens;
  if (own !== undefined && recorded >= own) return settings.estimates;
  onTaken('estimateLimits');
  return { outputTokensDefault: recorded, outputTokensMax: recorded };
}

function expectedEntry(stored: StoredText, intent: EntryIntent, grounds: EntryGrounds): LedgerEntry | undefined {
  const before = accountBefore(stored, grounds);
  if (before === undefined) return undefined;
  const account = withExceeded(before, stored, intent);
  const isRefused = intent.refusedAs !== null && columnOf(stored, 'status') === intent.refusedAs;
  const refusal = isRefused ? takenRefusal(stored, intent) : undefined;
  if (refusal !== undefined) grounds.onTaken('refusals');
  const { event, source } = grounds;
  const { traceId, occurredAt } = event;
  return bookIntent(account, { traceId, occurredAt, source }, { intent, refusal })?.entry;
}

/** The quota that a charge says it exceeds is taken as recorded: `verify` recomputes it, for it takes the whole tenant. */
function withExceeded(account: Account, stored: StoredText, { delta: { day } }: EntryIntent): Account {
  if (columnOf(stored, 'status') !== 'COMMITTED' || columnOf(stored, 'detail')?.startsWith('{') !== true)
    return account;
  const exceeded = recordedExceeded(figuresOf(columnOf(stored, 'detail')));
  if (exceeded === undefined) return account;
  const { limit, used } = exceeded;
  return exceeded.code === 'DAILY_QUOTA_EXCEEDED'
    ? { ...account, dailyQuota: limit, dailyUsed: used, dailyDate: day }
    : { ...account, monthlyQuota: limit, monthlyUsed: used, monthlyMonth: monthOf(day) };
}

/** The account as the entry says it found it; only what an entry is made of. */
function accountBefore(stored: StoredText, { event, pricing }: EntryGrounds): Account | undefined {
  const [seq, balance, held] = [
    columnOf(stored, 'seq'),
    columnOf(stored, 'balance_before'),
    columnOf(stored, 'held_before'),
  ];
  if (balance === null || held === null) return undefined;
  const opening = { tenantId: event.tenantId ?? '', currency: pricing.currency, day: dayOf(event.occurredAt) };
  return {
    ...emptyAccount(opening, NO_TERMS),
    balanceNano: parseAmount(balance),
    heldNano: parseAmount(held),
    seq: Number(seq) - 1,
  };
}

const NO_TERMS = { creditLimitNano: ZERO, dailyQuota: null, monthlyQuota: null, holdPolicy: 'estimate' } as const;

/**
 * The refusal that an entry tells of, if the event could be refused so and its figures refuse it. What was available, or
 * used, at that moment is for `verify` to recompute: it takes the whole tenant.
 */
function takenRefusal(stored: StoredText, { delta }: EntryIntent): QuotaRefusal | undefined {
  const recorded = recordedRefusal(columnOf(stored, 'description'), figuresOf(columnOf(stored, 'detail')));
  if (recorded === undefined) return undefined;
  if (recorded.code !== 'INSUFFICIENT_BALANCE') {
    return delta.checkQuota && recorded.used + delta.requests > recorded.limit ? recorded : undefined;
  }
  const requiredNano = -delta.availableNano;
  return delta.checkBalance && recorded.availableNano < requiredNano ? { ...recorded, requiredNano } : undefined;
}

function figuresOf(detail: string | null): Readonly<Record<string, string>> {
  return detail === null ? {} : (JSON.parse(unescaped(detail)) as Readonly<Record<string, string>>);
}

function compared(stored: StoredText, expectedText: string): EntryCheck {
  if (expectedText === stored.text) return { kind: 'equal' };
  return { kind: 'different', expectedText, fields: differences(expectedText, stored) };
}

function differences(expectedText: string, { columns }: StoredText): FieldDifference[] {
  const expected = { columns: expectedText.split('\t') };
  return CANONICAL_COLUMNS.flatMap((field) => {
    const [wanted, found] = [columnOf(expected, field), columnOf({ columns }, field)];
    return wanted === found ? [] : [{ field, expected: wanted, found }];
  });
}

/** Amounts that no entry can have: nothing can be computed from them. */
function unreadable(stored: StoredText): EntryCheck {
  const found = columnOf(stored, 'balance_before');
  return {
    kind: 'different',
    expectedText: '',
    fields: [{ field: 'balance_after', expected: 'an amount below 2^63 nano-units', found }],
  };
}
