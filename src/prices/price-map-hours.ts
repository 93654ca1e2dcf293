/**
 * Owns: the hours of the week in which other prices hold, as the public price map writes them, in UTC.
 * Invariants: a window that crosses midnight is cut there; weekdays of a zone with a fixed distance to UTC are moved with
 * their hours. A window that cannot be read makes the whole list unreadable: no price is guessed.
 */
import { isLosslessNumber } from 'lossless-json';
import type { WeekHours } from '../ledger/price-row.js';

/** Zones that weekdays may be told in, with their fixed distance to UTC in hours. */
const ZONES: ReadonlyMap<string, number> = new Map([
  ['UTC', 0],
  ['Asia/Shanghai', 8],
]);
const RANGE = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/;
const DAY_MINUTES = 24 * 60;

/** The hours of `off_peak_pricing`; undefined when they cannot be read. */
export function weekHoursOf(special: Readonly<Record<string, unknown>>): readonly WeekHours[] | undefined {
  const { windows, weekday_timezone: zone = 'UTC' } = special;
  const distance = typeof zone === 'string' ? ZONES.get(zone) : undefined;
  if (!Array.isArray(windows) || distance === undefined) return undefined;
  const hours: WeekHours[] = [];
  for (const window of windows as readonly unknown[]) {
    const read = windowOf(window, distance);
    if (read === undefined) return undefined;
    hours.push(...read);
  }
  return hours;
}

function windowOf(window: unknown, distance: number): WeekHours[] | undefined {
  if (typeof window !== 'object' || window === null) return undefined;
  const { hours_utc: texts, weekdays } = window as { readonly hours_utc?: unknown; readonly weekdays?: unknown };
  const days = Array.isArray(weekdays)
    ? weekdays.map((day: unknown) => (isLosslessNumber(day) ? Number(day.value) : 0))
    : [];
  const ranges = (Array.isArray(texts) ? texts : [texts]).map((text: unknown) =>
    typeof text === 'string' ? RANGE.exec(text) : null,
  );
  if (days.length === 0 || !days.every((day) => Number.isInteger(day) && day >= 1 && day <= 7)) return undefined;
  const hours: WeekHours[] = [];
  for (const range of ranges) {
    if (range === null) return undefined;
    const [from, until] = [minutesOf(range[1], range[2]), minutesOf(range[3], range[4])];
    const to = until === 0 ? DAY_MINUTES : until;
    if (to <= from) return undefined;
    hours.push(...inUtc(days, { from, to, distance }));
  }
  return hours;
}

/** East of UTC a day begins before midnight UTC: what lies after that on the clock of UTC belongs to the day before. */
function inUtc(
  days: readonly number[],
  { from, to, distance }: { from: number; to: number; distance: number },
): WeekHours[] {
  const dayBegins = DAY_MINUTES - distance * 60;
  const dayBefore = days.map((day) => (day === 1 ? 7 : day - 1));
  return [
    ...hoursOf(days, from, Math.min(to, dayBegins)),
    ...(distance === 0 ? [] : hoursOf(dayBefore, Math.max(from, dayBegins), to)),
  ];
}

function hoursOf(weekdays: readonly number[], from: number, to: number): WeekHours[] {
  return from < to ? [{ weekdays, from: clockOf(from), to: clockOf(to) }] : [];
}

function minutesOf(hours = '', minutes = ''): number {
  return Number(hours) * 60 + Number(minutes);
}

function clockOf(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
}
