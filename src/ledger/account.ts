/**
 * Owns: a tenant's account as the fold of its entries, and the fold itself (`evolve`).
 * Does not own: the decision which entry to write (trace.ts), nor its storage.
 * Invariants: seq is gapless; an entry starts from the balance and the held amount that the previous one left;
 * a request counts in the day and the month of its own, whatever order the entries come in (request-windows.ts).
 */
import { TollbookError } from '../runtime/errors.js';
import type { LedgerEntry } from './entry.js';
import { type AmountNano, ZERO, parseAmount } from './money.js';
import type { QuotaPosition } from './quota-rule.js';
import { countRequests, monthOf, NO_PAST_COUNTS } from './request-windows.js';

/** Whether a pending request reserves its estimate, or is only checked against what is available. */
export type HoldPolicy = 'estimate' | 'none';

/** What an account may spend; a null quota is unlimited. */
export interface AccountTerms {
  readonly creditLimitNano: AmountNano;
  readonly dailyQuota: number | null;
  readonly monthlyQuota: number | null;
  readonly holdPolicy: HoldPolicy;
}

/** A tenant's account at ledger position `seq`; balance, held and limit in nano-units of `currency`. */
export interface Account extends QuotaPosition, AccountTerms {
  readonly tenantId: string;
  readonly currency: string;
  readonly balanceNano: AmountNano;
  readonly heldNano: AmountNano;
  readonly creditLimitNano: AmountNano;
  readonly seq: number;
}

/** The terms of an account as its LIMITS entry records them: amounts in decimal, `unlimited` spelled out. */
export type RecordedTerms = Readonly<Record<'credit_limit' | 'daily_quota' | 'monthly_quota' | 'hold_policy', string>>;

/** The account before its first entry; its windows start with the day (YYYY-MM-DD) of that entry. */
export function emptyAccount(
  opening: { tenantId: string; currency: string; day: string },
  terms: AccountTerms,
): Account {
  return {
    tenantId: opening.tenantId,
    currency: opening.currency,
    balanceNano: ZERO,
    heldNano: ZERO,
    creditLimitNano: terms.creditLimitNano,
    dailyQuota: terms.dailyQuota,
    dailyUsed: 0,
    dailyDate: opening.day,
    monthlyQuota: terms.monthlyQuota,
    monthlyUsed: 0,
    monthlyMonth: monthOf(opening.day),
    pastCounts: NO_PAST_COUNTS,
    holdPolicy: terms.holdPolicy,
    seq: 0,
  };
}

/** Reads the terms that a LIMITS entry recorded. Throws LEDGER_CORRUPT when they are not terms. */
export function termsOf(recorded: Readonly<Record<string, string>>): AccountTerms {
  const { credit_limit: creditLimit, daily_quota: daily, monthly_quota: monthly, hold_policy: policy } = recorded;
  if (creditLimit === undefined || (policy !== 'estimate' && policy !== 'none')) {
    throw new TollbookError('LEDGER_CORRUPT', `terms ${JSON.stringify(recorded)} are not those of an account`);
  }
  return {
    creditLimitNano: creditLimitOf(creditLimit),
    dailyQuota: quotaOf(daily),
    monthlyQuota: quotaOf(monthly),
    holdPolicy: policy,
  };
}

function creditLimitOf(recorded: string): AmountNano {
  try {
    return parseAmount(recorded, 'credit_limit');
  } catch (cause) {
    throw new TollbookError('LEDGER_CORRUPT', `credit limit ${recorded} is not an amount`, { cause });
  }
}

function quotaOf(recorded = ''): number | null {
  if (recorded === 'unlimited') return null;
  const quota = Number(recorded);
  if (!/^\d+$/.test(recorded) || !Number.isSafeInteger(quota)) {
    throw new TollbookError('LEDGER_CORRUPT', `quota ${JSON.stringify(recorded)} is neither a count nor "unlimited"`);
  }
  return quota;
}

/** What of an entry the fold takes: a rebuild reads no more. */
export type FoldedEntry = Pick<
  LedgerEntry,
  | ('tenantId' | 'seq' | 'type' | 'detail' | 'requests' | 'countedOn')
  | ('balanceBeforeNano' | 'balanceAfterNano' | 'heldBeforeNano' | 'heldAfterNano')
>;

/**
 * Folds one entry into its account.
 * Throws LEDGER_CORRUPT when the entry does not follow: another tenant, a gap in seq, or a broken balance.
 */
export function evolve(account: Account, entry: FoldedEntry): Account {
  assertFollows(account, entry);
  const terms = entry.type === 'LIMITS' && entry.detail !== null ? termsOf(entry.detail) : account;
  const windows = entry.countedOn === null ? account : countRequests(account, entry.countedOn, entry.requests);
  return {
    tenantId: account.tenantId,
    currency: account.currency,
    balanceNano: entry.balanceAfterNano,
    heldNano: entry.heldAfterNano,
    creditLimitNano: terms.creditLimitNano,
    dailyQuota: terms.dailyQuota,
    dailyUsed: windows.dailyUsed,
    dailyDate: windows.dailyDate,
    monthlyQuota: terms.monthlyQuota,
    monthlyUsed: windows.monthlyUsed,
    monthlyMonth: windows.monthlyMonth,
    pastCounts: windows.pastCounts,
    holdPolicy: terms.holdPolicy,
    seq: entry.seq,
  };
}

function assertFollows(account: Account, entry: FoldedEntry): void {
  const follows =
    entry.tenantId === account.tenantId &&
    entry.seq === account.seq + 1 &&
    entry.balanceBeforeNano === account.balanceNano &&
    entry.heldBeforeNano === account.heldNano;
  if (follows) return;
  throw new TollbookError(
    'LEDGER_CORRUPT',
    `entry ${entry.tenantId}#${entry.seq} does not follow ${account.tenantId}#${account.seq}: ` +
      `starts from balance ${entry.balanceBeforeNano} and held ${entry.heldBeforeNano}, ` +
      `the account has ${account.balanceNano} and ${account.heldNano}`,
    { context: { tenantId: entry.tenantId, seq: entry.seq } },
  );
}
