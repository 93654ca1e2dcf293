/**
 * Owns: what the tags of an event may be, and the sentence that names the first one that does not fit.
 * Does not own: what tags are for; they decide nothing, and are there to be filtered and summed by.
 * Invariants: only own keys count; the patterns name characters by their code points, so that every reader of JSON Schema
 * reads them alike; nothing invisible and nothing that reorders text is in a value.
 */
import { ownValue } from '../runtime/name-map.js';
import { describeFound, isWireObject } from './found-value.js';

/** The most tags that one event may carry. */
export const TAGS_MAX = 8;

/** The name of a tag. */
export const TAG_NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/u;

/** The value of a tag: 1 to 128 characters that can be seen, and blanks. */
export const TAG_VALUE_PATTERN =
  // eslint-disable-next-line no-control-regex
  /^[^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\uffff]{1,128}$/u;

const SHAPE = `at most ${TAGS_MAX} tags, each a name and a text of 1 to 128 visible characters`;
const NAMES = 'names of tags of A-Z a-z 0-9 . _ + -, a letter or digit first, at most 64 characters';

/** Says what is allowed and which tag breaks it, or returns undefined when the tags are in order. */
export function tagProblem(value: unknown): string | undefined {
  if (!isWireObject(value)) return SHAPE;
  const names = Object.keys(value);
  if (names.length > TAGS_MAX) return SHAPE;
  const badName = names.find((name) => !TAG_NAME_PATTERN.test(name));
  if (badName !== undefined) return `${NAMES} (found ${describeFound(badName)})`;
  const badTag = names.find((name) => !isTagValue(ownValue(value, name)));
  return badTag === undefined ? undefined : `${SHAPE} (${badTag} is ${describeFound(ownValue(value, badTag))})`;
}

function isTagValue(value: unknown): boolean {
  return typeof value === 'string' && TAG_VALUE_PATTERN.test(value);
}
