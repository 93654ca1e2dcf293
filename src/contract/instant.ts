/**
 * Owns: the one form of a time on the wire (a strict profile of RFC 3339) and its normal form.
 * Does not own: how old or how far in the future an event may be (the consumer's policy).
 * Invariants: the pattern and the calendar check together accept exactly what `Date.parse` reads as the instant that
 * is written, so every validator that follows the published schema agrees with this code. Leap seconds are refused:
 * POSIX time, and with it every quota window, cannot name them.
 */

/** The shape of a time: upper-case T and Z, an offset, at most nine decimals, years 2000 to 2999. */
export const INSTANT_PATTERN =
  /^2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$/u;

/** What is allowed as a time, for reports. */
export const INSTANT_ALLOWED =
  'an RFC 3339 time with an offset on a real calendar day, years 2000 to 2999, such as "2026-03-31T09:30:00.250Z"';

const NORMAL_LENGTH = '2026-03-31T09:30:00.250Z'.length;
const FEBRUARY = 2;
const FEBRUARY_DAYS_LEAP = 29;
const DAYS_IN_MONTH = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Tells whether a value has the shape of a time on the wire; its day may still not exist. */
export function isInstant(value: unknown): value is string {
  return typeof value === 'string' && INSTANT_PATTERN.test(value);
}

function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/** How many days a month of a year has, from 1 for January; 0 for a month that does not exist. */
export function daysInMonth(year: number, month: number): number {
  return month === FEBRUARY && isLeapYear(year) ? FEBRUARY_DAYS_LEAP : (DAYS_IN_MONTH[month] ?? 0);
}

/**
 * Tells whether the month of a text in the shape of INSTANT_PATTERN has its day; false for 30 February.
 * Only the first ten characters are read; a text of another shape gives either answer, without failing.
 */
export function hasRealCalendarDay(text: string): boolean {
  return Number(text.slice(8, 10)) <= daysInMonth(Number(text.slice(0, 4)), Number(text.slice(5, 7)));
}

/** Writes a valid time in UTC with milliseconds; finer decimals are cut off, never rounded into the next second. */
export function normalizeInstant(text: string): string {
  const isNormal = text.length === NORMAL_LENGTH && text[19] === '.' && text[NORMAL_LENGTH - 1] === 'Z';
  return isNormal ? text : new Date(text).toISOString();
}
