/**
 * Owns: how many requests an account has counted in each UTC day and month: the newest ones in fields of their own, the days
 * and months before them in one compact text. `src/lua/quota-rule.lua` reads the same text.
 * Does not own: what a quota refuses (quota-rule.ts), nor when a request counts (trace.ts).
 * Invariants: pure; periods are counted apart, so an event of another day never touches the count of today. What is kept
 * follows from the newest day that was counted, which follows from the entries: in whatever order these are added, the counts
 * are the same. The text is canonical and bounded: PAST_DAYS and PAST_MONTHS counts.
 */

/** What an account counts of its requests. */
export interface RequestWindows {
  /** Requests of `dailyDate`, the newest UTC day (YYYY-MM-DD) that was counted. */
  readonly dailyUsed: number;
  readonly dailyDate: string;
  /** Requests of `monthlyMonth`, the month (YYYY-MM) of `dailyDate`. */
  readonly monthlyUsed: number;
  readonly monthlyMonth: string;
  /**
   * `DAYS|MONTHS`: the counts of the days before `dailyDate`, and of the months before `monthlyMonth`, from the newest on,
   * joined by commas, without zeros at the end: `3,0,7|40` is 3 the day before, 7 three days before, 40 the month before.
   */
  readonly pastCounts: string;
}

/** Nothing was counted before the newest day and month. */
export const NO_PAST_COUNTS = '|';

/** How many days before the newest are counted: the accepted age of 45 days and two weeks. They lie in three months at most. */
export const PAST_DAYS = 59;

/** How many months before the newest are counted. */
export const PAST_MONTHS = 2;

const DAY_MS = 86_400_000;
const MONTHS_A_YEAR = 12;

/** The month (YYYY-MM) of a day (YYYY-MM-DD). */
export function monthOf(day: string): string {
  return day.slice(0, 7);
}

/** Requests counted on a day (YYYY-MM-DD); undefined for a day that lies too far back to be counted. */
export function usedOnDay({ dailyDate, dailyUsed, pastCounts }: RequestWindows, day: string): number | undefined {
  if (day === dailyDate) return dailyUsed;
  if (day > dailyDate) return 0;
  const before = dayNumber(dailyDate) - dayNumber(day);
  return before > PAST_DAYS ? undefined : (pastOf(pastCounts).days[before - 1] ?? 0);
}

/** Requests counted in a month (YYYY-MM); undefined for a month that lies too far back to be counted. */
export function usedInMonth(
  { monthlyMonth, monthlyUsed, pastCounts }: RequestWindows,
  month: string,
): number | undefined {
  if (month === monthlyMonth) return monthlyUsed;
  if (month > monthlyMonth) return 0;
  const before = monthNumber(monthlyMonth) - monthNumber(month);
  return before > PAST_MONTHS ? undefined : (pastOf(pastCounts).months[before - 1] ?? 0);
}

/** Counts requests on a day, or gives them back there. A newer day becomes the newest; one too far back is not counted. */
export function countRequests(windows: RequestWindows, day: string, requests: number): RequestWindows {
  const { dailyDate, dailyUsed, monthlyMonth, monthlyUsed, pastCounts } = windows;
  if (day === dailyDate) {
    return {
      dailyUsed: Math.max(0, dailyUsed + requests),
      dailyDate,
      monthlyUsed: Math.max(0, monthlyUsed + requests),
      monthlyMonth,
      pastCounts,
    };
  }
  const past = pastOf(pastCounts);
  const month = monthOf(day);
  const days = counted({ used: dailyUsed, past: past.days }, dayNumber(day) - dayNumber(dailyDate), {
    ...{ requests, kept: PAST_DAYS },
  });
  const months = counted({ used: monthlyUsed, past: past.months }, monthNumber(month) - monthNumber(monthlyMonth), {
    ...{ requests, kept: PAST_MONTHS },
  });
  return {
    dailyUsed: days.used,
    dailyDate: day > dailyDate ? day : dailyDate,
    monthlyUsed: months.used,
    monthlyMonth: month > monthlyMonth ? month : monthlyMonth,
    pastCounts: `${textOf(days.past)}|${textOf(months.past)}`,
  };
}

/** The windows of requests that were counted by day, `openingDay` being the first that was open. */
export function windowsOf(openingDay: string, countedByDay: ReadonlyMap<string, number>): RequestWindows {
  const opened = { dailyUsed: 0, dailyDate: openingDay, monthlyUsed: 0, monthlyMonth: monthOf(openingDay) };
  const days = [...countedByDay].sort(([one], [other]) => (one < other ? 1 : -1));
  return days.reduce<RequestWindows>((windows, [day, requests]) => countRequests(windows, day, requests), {
    ...opened,
    pastCounts: NO_PAST_COUNTS,
  });
}

/** The count of one period, and of those before it from the newest on. */
interface Series {
  readonly used: number;
  readonly past: readonly number[];
}

/** Counts requests in the period that lies `ahead` of the newest one, or before it when negative. */
function counted(
  { used, past }: Series,
  ahead: number,
  { requests, kept }: { readonly requests: number; readonly kept: number },
): Series {
  if (ahead === 0) return { used: Math.max(0, used + requests), past };
  if (ahead > 0) {
    const between = Array<number>(Math.min(ahead - 1, kept)).fill(0);
    return { used: Math.max(0, requests), past: [...between, used, ...past].slice(0, kept) };
  }
  const place = -ahead - 1;
  if (place >= kept) return { used, past };
  const length = Math.max(past.length, place + 1);
  const countAt = (at: number): number => Math.max(0, (past[at] ?? 0) + (at === place ? requests : 0));
  return { used, past: Array.from({ length }, (_none, at) => countAt(at)) };
}

function pastOf(pastCounts: string): { readonly days: readonly number[]; readonly months: readonly number[] } {
  const [days = '', months = ''] = pastCounts.split('|');
  return { days: countsOf(days), months: countsOf(months) };
}

function countsOf(text: string): number[] {
  return text === '' ? [] : text.split(',').map(Number);
}

function textOf(counts: readonly number[]): string {
  const last = counts.findLastIndex((count) => count !== 0);
  return counts.slice(0, last + 1).join(',');
}

function dayNumber(day: string): number {
  return Date.parse(day) / DAY_MS;
}

function monthNumber(month: string): number {
  return Number(month.slice(0, 4)) * MONTHS_A_YEAR + Number(month.slice(5, 7));
}
