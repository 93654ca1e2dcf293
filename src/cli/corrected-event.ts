/**
 * Owns: making the corrected copy of a message: from a file, or from the message itself with some fields set or taken out.
 * Does not own: whether the copy is a valid event (the event gate).
 * Invariants: a field is set on the copy's own objects alone, whatever its name; what is not named stays as it was, so a message
 * in which JSON readers do not agree (a key twice, a number beyond a double, bytes that are not UTF-8) is corrected by a file alone.
 */
import { readFile } from 'node:fs/promises';
import { InvalidArgumentError } from 'commander';
import { inexactNumber } from '../contract/exact-numbers.js';
import { repeatedKey } from '../contract/repeated-key.js';
import { TollbookError } from '../runtime/errors.js';

/** How a copy differs from the message: fields to set to JSON values, and fields to take out; dots go into objects. */
export interface Correction {
  readonly set: readonly FieldValue[];
  readonly unset: readonly string[];
}

/** A field, such as `usage.input_tokens`, and its JSON value. */
export interface FieldValue {
  readonly field: string;
  readonly value: unknown;
}

const FIELD = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_:-]+)*$/;
const FIELD_ALLOWED = 'the name of a field, with dots into objects, such as usage.input_tokens';

/** Parses FIELD=VALUE; a value that is no JSON is taken as text. */
export function fieldValues(text: string, before: readonly FieldValue[] = []): readonly FieldValue[] {
  const middle = text.indexOf('=');
  if (middle < 1) throw new InvalidArgumentError(`found ${text}, allowed: FIELD=VALUE, such as usage.input_tokens=120`);
  const value = text.slice(middle + 1);
  const parsed = jsonOrText(value);
  const inexact = typeof parsed === 'string' ? undefined : inexactNumber(value);
  if (inexact !== undefined)
    throw new InvalidArgumentError(`found ${text}, allowed: a number that is read as it is written`);
  return [...before, { field: fieldName(text.slice(0, middle)), value: parsed }];
}

/** Parses names of fields, one by one. */
export function fieldNames(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, fieldName(text)];
}

function fieldName(text: string): string {
  if (!FIELD.test(text)) throw new InvalidArgumentError(`found ${text}, allowed: ${FIELD_ALLOWED}`);
  return text;
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** The bytes of a file. Throws FILE_UNREADABLE. */
export async function readCorrected(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `${file} cannot be read`, { cause });
  }
}

/** The message with the correction made. Throws USAGE_INVALID where that is not certain, and for a field that is in no object. */
export function corrected(message: Buffer | null, { set, unset }: Correction): Buffer {
  const text = textOf(message);
  const event = text === undefined ? undefined : jsonOrText(text);
  if (text === undefined || !isObject(event)) throw onlyByFile('is no JSON object in UTF-8');
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw onlyByFile(`has ${JSON.stringify(repeated)} twice`);
  const inexact = inexactNumber(text);
  if (inexact !== undefined) throw onlyByFile(`has a number that not every reader takes as it is: ${inexact.number}`);
  for (const field of unset) {
    const { holder, name } = placeOf(event, field);
    Reflect.deleteProperty(holder, name);
  }
  for (const { field, value } of set) {
    const { holder, name } = placeOf(event, field);
    Object.defineProperty(holder, name, { value, enumerable: true, writable: true, configurable: true });
  }
  return Buffer.from(JSON.stringify(event));
}

function textOf(message: Buffer | null): string | undefined {
  try {
    return message === null ? undefined : new TextDecoder('utf-8', { fatal: true }).decode(message);
  } catch {
    return undefined;
  }
}

function onlyByFile(what: string): TollbookError {
  return new TollbookError('USAGE_INVALID', `the message ${what}; allowed: --file with the whole event`);
}

function placeOf(event: object, field: string): { readonly holder: object; readonly name: string } {
  const names = field.split('.');
  const name = names.pop() ?? '';
  let holder = event;
  for (const each of names) {
    const next: unknown = Object.getOwnPropertyDescriptor(holder, each)?.value;
    if (isObject(next)) {
      holder = next;
      continue;
    }
    if (next !== undefined) throw new TollbookError('USAGE_INVALID', `${field}: ${each} is no object in the message`);
    const value = {};
    Object.defineProperty(holder, each, { value, enumerable: true, writable: true, configurable: true });
    holder = value;
  }
  return { holder, name };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
