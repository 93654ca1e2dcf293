/**
 * Owns: what a map of meters may hold, and the sentence that names the first meter that does not fit.
 * Does not own: which field is such a map (pricing-dto.ts, usage-completed-dto.ts).
 * Invariants: only own keys count, so a key such as `__proto__` is a bad meter name and nothing else.
 */
import { ownValue } from '../runtime/name-map.js';
import { describeFound, isWireObject } from './found-value.js';

/** The largest quantity of any meter in one event: 1e12 units. */
export const QUANTITY_MAX = 1_000_000_000_000;

/** The most further meters that one event may carry. */
export const METERS_MAX = 16;

/** A meter name: lower-case letters, digits and underscores, at most 63. */
export const METER_NAME_PATTERN = /^[a-z][a-z0-9_]{0,62}$/u;

/** A price: a plain decimal without sign or exponent. */
export const PRICE_PATTERN = /^[0-9]{1,18}(\.[0-9]{1,30})?$/u;

/** What the values of a meter map are, and the sentence that says what is allowed for one. */
export interface MeterMapRule {
  readonly holds: 'quantity' | 'price';
  readonly allowed: string;
}

const FITS: Readonly<Record<MeterMapRule['holds'], (value: unknown) => boolean>> = {
  quantity: (value) => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= QUANTITY_MAX,
  price: (value) => typeof value === 'string' && PRICE_PATTERN.test(value),
};

/** Says what is allowed and which meter breaks it, or returns undefined when the map is in order. */
export function meterMapProblem(value: unknown, rule: MeterMapRule): string | undefined {
  const shape = `at most ${METERS_MAX} meters, each ${rule.allowed}`;
  if (!isWireObject(value)) return shape;
  const names = Object.keys(value);
  if (names.length > METERS_MAX) return shape;
  const badName = names.find((name) => !METER_NAME_PATTERN.test(name));
  if (badName !== undefined) {
    return `meter names of a-z 0-9 _ starting with a letter, at most 63 characters (found ${describeFound(badName)})`;
  }
  const badMeter = names.find((name) => !FITS[rule.holds](ownValue(value, name)));
  return badMeter === undefined ? undefined : `${shape} (${badMeter} is ${describeFound(ownValue(value, badMeter))})`;
}
