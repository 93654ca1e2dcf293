/**
 * Owns: reading the texts of plain messages: those that recur, such as tenants, models and prices, and the others.
 * Does not own: numbers and flags (plain-values.ts), times (plain-instant.ts).
 * Invariants: a text is read only where the published schema accepts it; what else stands there is refused, and what is
 * then returned means nothing. A text that recurs is the same string every time, made once, with its hash already known
 * to the maps it is looked up in. What was read once in a form is not checked again: the texts of every form are
 * remembered apart.
 */
import {
  BYTE,
  BYTE_CLASSES,
  CURRENCY_FORM,
  IDENTIFIER_FORM,
  LABEL_FORM,
  METER_NAME_FORM,
  PRICE_CLASS_FORM,
  PRICE_FORM,
  REASON_FORM,
  TAG_NAME_FORM,
  TAG_VALUE_FORM,
} from './byte-classes.js';
import type { TextForm } from './byte-classes.js';
import type { ByteCursor } from './byte-cursor.js';
import { hashTo } from './known-bytes.js';
import { RecurringValues } from './recurring-values.js';

/** Texts of one form that recur, and those of them that are known. */
export interface RecurringTexts {
  readonly form: TextForm;
  readonly known: RecurringValues<string>;
}

const QUOTE = BYTE.quote;
const QUOTES = 0x22222222;

/** What is remembered of a text, with its closing quote; a longer one is made anew every time. */
const TEXT_BYTES_MAX = 60;

function recurring(form: TextForm, placesLog2: number): RecurringTexts {
  return { form, known: new RecurringValues<string>({ placesLog2, bytesMax: TEXT_BYTES_MAX }) };
}

/** Tenants, API keys, users, projects, items of presets and instances: room for those of a large gateway, in 1 MB. */
export const IDENTIFIERS = recurring(IDENTIFIER_FORM, 14);

/** Providers, models and versions of prices. */
export const LABELS = recurring(LABEL_FORM, 10);

/** Currencies. */
export const CURRENCIES = recurring(CURRENCY_FORM, 4);

/** Names of meters. */
export const METER_NAMES = recurring(METER_NAME_FORM, 6);

/** Prices, as far as their bytes tell. */
export const PRICE_TEXTS = recurring(PRICE_FORM, 10);

/** Price classes. */
export const PRICE_CLASSES = recurring(PRICE_CLASS_FORM, 5);

/** Names of tags. */
export const TAG_NAMES = recurring(TAG_NAME_FORM, 8);

/** Values of tags. */
export const TAG_VALUES = recurring(TAG_VALUE_FORM, 12);

/** Reasons of what is not billable. */
export const REASONS = recurring(REASON_FORM, 6);

/** Reads a text that recurs: the same string every time. */
export function readText(cursor: ByteCursor, texts: RecurringTexts): string {
  const { bytes, words } = cursor;
  const start = cursor.at + 1;
  const hash = hashTo(QUOTES, words, { start, bytesMax: TEXT_BYTES_MAX });
  const known = bytes[start - 1] === QUOTE ? texts.known.find(hash, words, start) : undefined;
  if (known === undefined) return readNewText(cursor, texts, hash);
  cursor.at = start + known.length + 1;
  return known;
}

function readNewText(cursor: ByteCursor, { form, known }: RecurringTexts, hash: number): string {
  const start = cursor.at + 1;
  if (!passText(cursor, form)) return '';
  const end = cursor.at;
  const text = cursor.textBetween(start, end - 1);
  known.remember({ hash, start, end }, cursor.words, text);
  return text;
}

/** Goes over a text of a form: it ends one byte, its quote, before the cursor. */
export function passText(cursor: ByteCursor, { first, rest, lengthMin, lengthMax }: TextForm): boolean {
  const { bytes } = cursor;
  const start = cursor.at + 1;
  if (bytes[start - 1] !== QUOTE || (classOf(BYTE_CLASSES, bytes, start) & first) === 0) return cursor.refuse();
  const end = runEnd(bytes, start, rest);
  if (bytes[end] !== QUOTE || end - start < lengthMin || end - start > lengthMax) return cursor.refuse();
  cursor.at = end + 1;
  return true;
}

/** Where a run of bytes of a class ends; four are looked at with one branch. */
function runEnd(bytes: Uint8Array, start: number, mask: number): number {
  const classes = BYTE_CLASSES;
  let at = start;
  for (; ; at += 4) {
    const both = classOf(classes, bytes, at) & classOf(classes, bytes, at + 1);
    const others = classOf(classes, bytes, at + 2) & classOf(classes, bytes, at + 3);
    if ((both & others & mask) === 0) break;
  }
  while ((classOf(classes, bytes, at) & mask) !== 0) at += 1;
  return at;
}

/** The classes of a byte; behind every message a byte can be read, so that none is undefined. */
function classOf(classes: Uint16Array, bytes: Uint8Array, at: number): number {
  return classes[bytes[at] as number] as number;
}
