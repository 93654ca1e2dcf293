/**
 * Owns: the one rule that grants or refuses a delta on a tenant's quota: balance first, then the daily, then the monthly
 * request quota. `src/lua/quota-rule.lua` is the same rule in Lua; a property test holds the two together.
 * Does not own: which delta an event wants (trace.ts), nor where the position comes from (account row or Redis hash).
 * Invariants: pure; a delta that does not lower what is available is never refused for balance; a request is judged in the
 * day and the month that it counts in, past or not, as far back as they are counted (request-windows.ts); what is in flight
 * elsewhere can only refuse what the position would grant, never grant what it refuses.
 */
import { monthOf, type RequestWindows, usedInMonth, usedOnDay } from './request-windows.js';

/** What a tenant may still spend, as the rule sees it. Quotas count requests; `null` means unlimited. */
export interface QuotaPosition extends RequestWindows {
  readonly balanceNano: bigint;
  readonly heldNano: bigint;
  readonly creditLimitNano: bigint;
  readonly dailyQuota: number | null;
  readonly monthlyQuota: number | null;
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

/** What others have taken of a tenant's quota and the position does not show yet: holds of gateways, mostly. */
export interface OthersInFlight {
  /** Signed change of the available amount in nano-units; never positive. */
  readonly availableNano: bigint;
  /** Requests by UTC day (YYYY-MM-DD); never negative. */
  readonly requestsByDay: ReadonlyMap<string, number>;
  /** Requests by UTC month (YYYY-MM); never negative. */
  readonly requestsByMonth: ReadonlyMap<string, number>;
}

/** Nothing is in flight, as far as anybody knows. */
export const NOTHING_IN_FLIGHT: OthersInFlight = {
  availableNano: 0n,
  requestsByDay: new Map(),
  requestsByMonth: new Map(),
};

/**
 * Why a delta was refused, with the figures a caller can show. What is available, or used, includes what others have in
 * flight, which is named where there is any.
 */
export type QuotaRefusal =
  | {
      readonly code: 'INSUFFICIENT_BALANCE';
      readonly requiredNano: bigint;
      readonly availableNano: bigint;
      readonly inFlightNano?: bigint;
    }
  | {
      readonly code: 'DAILY_QUOTA_EXCEEDED' | 'MONTHLY_QUOTA_EXCEEDED';
      readonly limit: number;
      readonly used: number;
      readonly inFlight?: number;
    };

/** The refusal of one more request by a quota. */
export type QuotaExceeded = Exclude<QuotaRefusal, { readonly code: 'INSUFFICIENT_BALANCE' }>;

/** What is available: balance + credit limit − held, in nano-units; may be negative. */
export function availableNano(position: QuotaPosition): bigint {
  return position.balanceNano + position.creditLimitNano - position.heldNano;
}

/**
 * Returns why the delta is refused at this position less what others have in flight, or undefined when it is granted.
 * Order: balance, daily, monthly.
 */
export function refusalOf(
  position: QuotaPosition,
  delta: QuotaDelta,
  others: OthersInFlight = NOTHING_IN_FLIGHT,
): QuotaRefusal | undefined {
  const available = availableNano(position) + others.availableNano;
  if (delta.checkBalance && delta.availableNano < 0n && available + delta.availableNano < 0n) {
    const inFlight = others.availableNano === 0n ? undefined : { inFlightNano: others.availableNano };
    return {
      code: 'INSUFFICIENT_BALANCE',
      requiredNano: -delta.availableNano,
      availableNano: available,
      ...inFlight,
    };
  }
  return delta.checkQuota && delta.requests > 0 ? quotaExceededOn(position, delta.day, others) : undefined;
}

/**
 * The quota that one more request on a day (YYYY-MM-DD) exceeds, less what others have in flight; undefined when it fits.
 * Order: daily, monthly.
 */
export function quotaExceededOn(
  position: QuotaPosition,
  day: string,
  others: OthersInFlight = NOTHING_IN_FLIGHT,
): QuotaExceeded | undefined {
  const { dailyQuota, monthlyQuota } = position;
  if (dailyQuota === null && monthlyQuota === null) return undefined;
  const month = monthOf(day);
  return (
    quotaRefusal('DAILY_QUOTA_EXCEEDED', dailyQuota, {
      used: usedOnDay(position, day),
      inFlight: others.requestsByDay.get(day),
    }) ??
    quotaRefusal('MONTHLY_QUOTA_EXCEEDED', monthlyQuota, {
      used: usedInMonth(position, month),
      inFlight: others.requestsByMonth.get(month),
    })
  );
}

/** The refusal of one more request in a window; undefined when it is granted, or the window is not counted any more. */
function quotaRefusal(
  code: QuotaExceeded['code'],
  limit: number | null,
  window: { readonly used: number | undefined; readonly inFlight: number | undefined },
): QuotaExceeded | undefined {
  if (limit === null || window.used === undefined) return undefined;
  const inFlight = window.inFlight ?? 0;
  const used = window.used + inFlight;
  if (used + 1 <= limit) return undefined;
  return inFlight === 0 ? { code, limit, used } : { code, limit, used, inFlight };
}
