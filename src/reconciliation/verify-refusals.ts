/**
 * Owns: whether a recorded refusal is one, and whether a quota that a charge says it exceeds was exceeded: its figures are those of the account before it, less what it says was in flight,
 * and they refuse what the entry asked for.
 * Does not own: the fold that the account comes from (verify-tenant.ts).
 * Invariants: pure. What was in flight is taken as recorded, since nothing keeps it; it can only have taken something.
 */
import type { Account } from '../ledger/account.js';
import { type AmountNano, formatAmount } from '../ledger/money.js';
import type { LeafLine } from '../ledger/postgres/leaf-lines.js';
import { availableNano, quotaExceededOn, type QuotaExceeded } from '../ledger/quota-rule.js';
import { recordedExceeded, recordedRefusal } from '../ledger/refusal-figures.js';
import { monthOf, usedInMonth, usedOnDay } from '../ledger/request-windows.js';

/** A line of a refused entry, and how much it asked for in nano-units: its amount less the hold that it ended. */
export interface RefusedLine {
  readonly line: Pick<LeafLine, 'detail' | 'occurredOn'>;
  readonly requiredNano: bigint;
}

/** What is wrong with a refusal, as the end of a sentence about its entry; undefined when the account bears it out. */
export function refusalProblem({ line, requiredNano }: RefusedLine, before: Account): string | undefined {
  const { detail, occurredOn } = line;
  if (detail === null) return 'is refused without figures';
  if ('required' in detail) return balanceProblem(detail, { requiredNano, before });
  return quotaProblem(detail, { day: occurredOn, before });
}

/** What is wrong with the quota that a charge says it exceeds; undefined when the account bears it out, or it says none. */
export function exceededProblem(line: Pick<LeafLine, 'detail' | 'countedOn'>, before: Account): string | undefined {
  if (line.detail === null || !('exceeded' in line.detail)) return undefined;
  const recorded = recordedExceeded(line.detail);
  const expected = quotaExceededOn(before, line.countedOn);
  const isBorneOut =
    recorded?.code === expected?.code && recorded?.limit === expected?.limit && recorded?.used === expected?.used;
  return isBorneOut ? undefined : 'says that it exceeds a quota, which the account does not bear out';
}

type Figures = Readonly<Record<string, string>>;

function balanceProblem(
  figures: Figures,
  { requiredNano, before }: { readonly requiredNano: bigint; readonly before: Account },
): string | undefined {
  const recorded = recordedRefusal('INSUFFICIENT_BALANCE', figures);
  if (recorded?.code !== 'INSUFFICIENT_BALANCE') return 'is refused with figures that are none';
  const { inFlightNano = 0n } = recorded;
  if (inFlightNano > 0n) return `is refused though in flight was ${decimal(inFlightNano)}, which refuses nothing`;
  if (recorded.requiredNano !== requiredNano) {
    return `is refused for ${decimal(recorded.requiredNano)}, it asked for ${decimal(requiredNano)}`;
  }
  const expected = availableNano(before) + inFlightNano;
  if (recorded.availableNano !== expected) {
    return `is refused with ${decimal(recorded.availableNano)} available, the account had ${decimal(expected)}`;
  }
  return expected >= requiredNano ? `is refused, and ${decimal(expected)} were available` : undefined;
}

function quotaProblem(
  figures: Figures,
  { day, before }: { readonly day: string; readonly before: Account },
): string | undefined {
  const recorded = recordedRefusal('DAILY_QUOTA_EXCEEDED', figures);
  if (recorded === undefined || recorded.code === 'INSUFFICIENT_BALANCE')
    return 'is refused with figures that are none';
  const isBorneOut =
    isOf(recorded, before.dailyQuota, usedOnDay(before, day)) ||
    isOf(recorded, before.monthlyQuota, usedInMonth(before, monthOf(day)));
  if (!isBorneOut) {
    return `is refused with ${recorded.used} of ${recorded.limit} requests used, which the account bears out for no quota`;
  }
  return undefined;
}

function isOf(
  { limit, used, inFlight = 0 }: QuotaExceeded,
  quota: number | null,
  usedBefore: number | undefined,
): boolean {
  return limit === quota && usedBefore !== undefined && used === usedBefore + inFlight && used + 1 > limit;
}

function decimal(nano: bigint): string {
  return formatAmount(nano as AmountNano);
}
