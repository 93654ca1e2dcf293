/** Owns: the one mapping from an account to its quota hash: exactly the ledger at seq = version. */
import type { Account } from '../ledger/account.js';
import type { QuotaHash } from '../lua/quota-scripts.js';

/** The quota hash of an account at its seq. */
export function quotaHashOf(account: Account): QuotaHash {
  return {
    balanceNano: account.balanceNano,
    heldNano: account.heldNano,
    creditLimitNano: account.creditLimitNano,
    dailyQuota: account.dailyQuota,
    dailyUsed: account.dailyUsed,
    dailyDate: account.dailyDate,
    monthlyQuota: account.monthlyQuota,
    monthlyUsed: account.monthlyUsed,
    monthlyMonth: account.monthlyMonth,
    pastCounts: account.pastCounts,
    version: account.seq,
  };
}
