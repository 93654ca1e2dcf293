/**
 * Owns: which row of a model's prices prices a request.
 *
 * | asked by        | the row                                                                                             |
 * | --------------- | --------------------------------------------------------------------------------------------------- |
 * | price class     | is of that class; without one, of `standard`                                                        |
 * | input tokens    | begins at the highest boundary of the model that lies below them; cached and written tokens count   |
 * | occurred_at     | names hours that hold it, where the class has such rows; otherwise names none                       |
 *
 * The whole request is charged by that one row, as providers do it. No row, or tokens beyond its end: not priced.
 * Invariants: pure; a boundary of one class is one of all, so that a class without a row for long inputs does not price
 * them at its row for short ones.
 */
import { METERS } from './meters.js';

/** The class of requests that name none. */
export const STANDARD_CLASS = 'standard';

/** A time of the week, in UTC. */
export interface WeekHours {
  /** 1 Monday to 7 Sunday. */
  readonly weekdays: readonly number[];
  /** HH:MM, included. */
  readonly from: string;
  /** HH:MM, not included; 24:00 is the end of the day. */
  readonly to: string;
}

/** Prices per 1,000 units, as decimal strings; what is absent has no price. */
export interface PriceRow {
  readonly priceClass: string;
  /** For inputs of more tokens than this. */
  readonly contextAbove: number;
  /** For inputs of at most so many tokens; null: of any length. */
  readonly contextUpTo: number | null;
  /** Only in these hours; null: at any time. */
  readonly hours: readonly WeekHours[] | null;
  readonly inputPer1k?: string;
  readonly outputPer1k?: string;
  /** By name of the further meter. */
  readonly meters: ReadonlyMap<string, string>;
}

/** What the row depends on. `occurredAt` is ISO 8601 UTC with milliseconds. */
export interface RowQuestion {
  readonly priceClass?: string;
  readonly contextTokens: number;
  readonly occurredAt: string;
}

/** The row that prices a request; undefined when it is not priced. */
export function rowFor(rows: readonly PriceRow[], question: RowQuestion): PriceRow | undefined {
  const { priceClass = STANDARD_CLASS, contextTokens, occurredAt } = question;
  let boundary = 0;
  for (const { contextAbove } of rows) {
    if (contextAbove < contextTokens && contextAbove > boundary) boundary = contextAbove;
  }
  const fitting = rows.filter((row) => row.priceClass === priceClass && row.contextAbove === boundary);
  const row = fitting.find(({ hours }) => hours !== null && isWithin(hours, occurredAt)) ?? fitting.find(isAtAnyTime);
  return row === undefined || (row.contextUpTo !== null && contextTokens > row.contextUpTo) ? undefined : row;
}

function isAtAnyTime({ hours }: PriceRow): boolean {
  return hours === null;
}

/** `HH:MM` of one day compare as texts. */
function isWithin(hours: readonly WeekHours[], occurredAt: string): boolean {
  const weekday = new Date(occurredAt).getUTCDay() || 7;
  const time = occurredAt.slice(11, 16);
  return hours.some(({ weekdays, from, to }) => weekdays.includes(weekday) && from <= time && time < to);
}

/** What tells a row from the others of its model, as entries record it; empty for the ordinary one. */
export function rowName({ priceClass, contextAbove, hours }: PriceRow): string {
  const words = [
    ...(priceClass === STANDARD_CLASS ? [] : [priceClass]),
    ...(contextAbove === 0 ? [] : [`above-${contextAbove}`]),
    ...(hours === null ? [] : ['off-peak']),
  ];
  return words.join('/');
}

/** The tokens of the input, whatever meter counts them: a row is chosen by them. */
export function contextTokensOf(quantities: Iterable<readonly [meter: string, quantity: number]>): number {
  let tokens = 0;
  for (const [meter, quantity] of quantities) if (meter.endsWith(METERS.inputTokens)) tokens += quantity;
  return tokens;
}
