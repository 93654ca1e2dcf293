/**
 * Owns: the one rule that grants or refuses a delta on a tenant's quota: balance first, then the daily, then the monthly
 * request quota. `src/lua/quota-deduct.lua` is the same rule in Lua; a property test holds the two together.
 * Does not own: which delta an event wants (trace.ts), nor where the position comes from (account row or Redis hash).
 * Invariants: pure; a delta that does not lower what is available is never refused for balance;
 * a request that counts in a window before the current one is never refused for quota.
 */

/** What a tenant may still spend, as the rule sees it. Quotas count requests; `null` means unlimited. */
export interface QuotaPosition {
  readonly balanceNano: bigint;
  readonly heldNano: bigint;
  readonly creditLimitNano: bigint;
  readonly dailyQuota: number | null;
  readonly dailyUsed: number;
  /** The UTC day `dailyUsed` counts, as YYYY-MM-DD. */
  readonly dailyDate: string;
  readonly monthlyQuota: number | null;
  readonly monthlyUsed: number;
  /** The UTC month `monthlyUsed` counts, as YYYY-MM. */
  readonly monthlyMonth: string;
}

/** One wanted change of what is available and of the request count. */
export interface QuotaDelta {
  /** Signed change of the available amount in nano-units: negative for a hold or a charge. */
  readonly availableNano: bigint;
  readonly checkBalance: boolean;
  /** Change of the request count in the windows of `day`. */
  readonly requests: -1 | 0 | 1;
  readonly checkQuota: boolean;
  /** The UTC day whose windows the request counts in, as YYYY-MM-DD. */
  readonly day: string;
}

/** Why a delta was refused, with the figures a caller can show. */
export type QuotaRefusal =
  | { readonly code: 'INSUFFICIENT_BALANCE'; readonly requiredNano: bigint; readonly availableNano: bigint }
  | { readonly code: 'DAILY_QUOTA_EXCEEDED'; readonly limit: number; readonly used: number }
  | { readonly code: 'MONTHLY_QUOTA_EXCEEDED'; readonly limit: number; readonly used: number };

/** The month (YYYY-MM) of a day (YYYY-MM-DD). */
export function monthOf(day: string): string {
  return day.slice(0, 7);
}

/** What is available: balance + credit limit − held, in nano-units; may be negative. */
export function availableNano(position: QuotaPosition): bigint {
  return position.balanceNano + position.creditLimitNano - position.heldNano;
}

/** Requests used in the window `window` when the account counts `used` in `current`; undefined for a window already past. */
export function usedIn(window: string, current: string, used: number): number | undefined {
  if (window === current) return used;
  return window > current ? 0 : undefined;
}

/** Returns why the delta is refused at this position, or undefined when it is granted. Order: balance, daily, monthly. */
export function refusalOf(position: QuotaPosition, delta: QuotaDelta): QuotaRefusal | undefined {
  const available = availableNano(position);
  if (delta.checkBalance && delta.availableNano < 0n && available + delta.availableNano < 0n) {
    return { code: 'INSUFFICIENT_BALANCE', requiredNano: -delta.availableNano, availableNano: available };
  }
  if (!delta.checkQuota || delta.requests <= 0) return undefined;
  const daily = usedIn(delta.day, position.dailyDate, position.dailyUsed);
  if (position.dailyQuota !== null && daily !== undefined && daily + delta.requests > position.dailyQuota) {
    return { code: 'DAILY_QUOTA_EXCEEDED', limit: position.dailyQuota, used: daily };
  }
  const monthly = usedIn(monthOf(delta.day), position.monthlyMonth, position.monthlyUsed);
  if (position.monthlyQuota !== null && monthly !== undefined && monthly + delta.requests > position.monthlyQuota) {
    return { code: 'MONTHLY_QUOTA_EXCEEDED', limit: position.monthlyQuota, used: monthly };
  }
  return undefined;
}
