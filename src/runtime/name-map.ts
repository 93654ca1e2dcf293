/**
 * Owns: values by names that come from outside, such as those of meters, headers and fields.
 * Does not own: names that the code knows; those are fields of a type.
 * Invariants: what is found under a name was put there under that name. Every plain object answers to `constructor` and
 * `toString` as well, and a message that brings such a name must find nothing. Lint (lint/own-names.js) refuses to look up
 * any other object by a name that is known at run time only.
 */

declare const WITHOUT_PROTOTYPE: unique symbol;

/** Values by name in an object without a prototype, so that it holds what was put into it and nothing else. */
export interface NameMap<V> {
  [name: string]: V;
  /** Only `nameMap` makes one: a plain object is none. */
  readonly [WITHOUT_PROTOTYPE]: true;
}

/** Makes a map of these entries; of a name that is there twice the last value counts. */
export function nameMap<V>(entries: Iterable<readonly [string, V]> = []): NameMap<V> {
  const map = Object.create(null) as NameMap<V>;
  for (const [name, value] of entries) map[name] = value;
  return map;
}

/** The value that stands under a name in an object, whatever its prototype; undefined when none was put there. */
export function ownValue<V>(map: Readonly<Record<string, V>>, name: string): V | undefined {
  // eslint-disable-next-line tollbook/own-names -- the one place that looks before it reads.
  return Object.hasOwn(map, name) ? map[name] : undefined;
}
