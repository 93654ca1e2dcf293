/**
 * Owns: turning a wanted and decided intent into the ledger entry, with balances before and after, and the account
 * after it; and the entry that opens an account.
 * Does not own: the decision (trace.ts, quota-rule.ts), nor the hash and storage of the entry.
 * Invariants: pure; the account returned is `evolve` of the account given and the entry returned.
 */
import { type Account, type AccountTerms, evolve, type RecordedTerms } from './account.js';
import { type EntrySource, type LedgerEntry, NO_USAGE } from './entry.js';
import { type AmountNano, formatAmount, isAmountInRange, ZERO } from './money.js';
import { quotaExceededOn, type QuotaRefusal } from './quota-rule.js';
import { exceededFigures, refusalFigures } from './refusal-figures.js';
import { type EntryIntent, type EntryShape, refusedShape } from './trace.js';

/** An entry and the account after it. */
export interface Booked {
  readonly entry: LedgerEntry;
  readonly account: Account;
}

/** Where and when an entry comes from. */
export interface EntryOrigin {
  readonly traceId: string;
  readonly source: EntrySource;
  readonly occurredAt: string;
  /** The entry that this one follows from, where it is not the message alone. */
  readonly referenceSeq?: number;
}

/** The trace id of the entry that opens an account; no usage event and no command can have it. */
export const OPENING_TRACE_ID = '~~open';

/**
 * Books an intent on its account, granted or refused.
 * Returns undefined when the balance or the held amount would leave the int64 range; nothing may then be written.
 */
export function bookIntent(
  account: Account,
  origin: EntryOrigin,
  { intent, refusal }: { intent: EntryIntent; refusal: QuotaRefusal | undefined },
): Booked | undefined {
  const { granted, refusedAs } = intent;
  const shape = refusal === undefined || refusedAs === null ? granted : refusedShape(refusedAs, intent);
  const balanceAfterNano = account.balanceNano + shape.balanceDeltaNano;
  const heldAfterNano = account.heldNano + shape.heldDeltaNano;
  if (!isAmountInRange(balanceAfterNano) || !isAmountInRange(heldAfterNano)) return undefined;
  const entry: LedgerEntry = {
    tenantId: account.tenantId,
    seq: account.seq + 1,
    traceId: origin.traceId,
    type: 'DEDUCT',
    status: shape.status,
    amountNano: shape.amountNano,
    balanceBeforeNano: account.balanceNano,
    balanceAfterNano: balanceAfterNano as AmountNano,
    heldBeforeNano: account.heldNano,
    heldAfterNano: heldAfterNano as AmountNano,
    currency: account.currency,
    usage: intent.usage,
    requests: shape.requests,
    countedOn: shape.countedOn,
    description: refusal === undefined ? shape.description : refusal.code,
    detail: refusal === undefined ? exceededDetail(account, intent) : refusalDetail(refusal, shape),
    referenceSeq: origin.referenceSeq ?? null,
    actor: null,
    commandHash: null,
    source: origin.source,
    occurredAt: origin.occurredAt,
  };
  return { entry, account: evolve(account, entry) };
}

/** Books the first entry of an account: its terms as a ledger fact. `account` is empty, at seq 0. */
export function bookOpening(account: Account, origin: Omit<EntryOrigin, 'traceId'>): Booked {
  const entry: LedgerEntry = {
    tenantId: account.tenantId,
    seq: account.seq + 1,
    traceId: OPENING_TRACE_ID,
    type: 'LIMITS',
    status: 'COMMITTED',
    amountNano: ZERO,
    balanceBeforeNano: account.balanceNano,
    balanceAfterNano: account.balanceNano,
    heldBeforeNano: account.heldNano,
    heldAfterNano: account.heldNano,
    currency: account.currency,
    usage: NO_USAGE,
    requests: 0,
    countedOn: null,
    description: 'account opened with configured defaults',
    detail: recordedTerms(account),
    referenceSeq: null,
    actor: null,
    commandHash: null,
    source: origin.source,
    occurredAt: origin.occurredAt,
  };
  return { entry, account: evolve(account, entry) };
}

/** The terms as a LIMITS entry records them. */
export function recordedTerms(terms: AccountTerms): RecordedTerms {
  return {
    credit_limit: formatAmount(terms.creditLimitNano),
    daily_quota: terms.dailyQuota === null ? 'unlimited' : String(terms.dailyQuota),
    monthly_quota: terms.monthlyQuota === null ? 'unlimited' : String(terms.monthlyQuota),
    hold_policy: terms.holdPolicy,
  };
}

/**
 * The quota beyond which a charge counts its request though nobody could refuse it: by the account alone, so that the entry
 * does not depend on Redis, nor on how its log was cut into chunks.
 */
function exceededDetail(account: Account, { granted, delta }: EntryIntent): Readonly<Record<string, string>> | null {
  if (granted.requests !== 1 || delta.checkQuota) return null;
  const exceeded = quotaExceededOn(account, delta.day);
  return exceeded === undefined ? null : exceededFigures(exceeded);
}

/** The figures of a refusal; a late charge that is refused stays recognisable as late. */
function refusalDetail(refusal: QuotaRefusal, { description }: EntryShape): Readonly<Record<string, string>> {
  const figures = refusalFigures(refusal);
  return description === null ? figures : { ...figures, charge: description };
}
