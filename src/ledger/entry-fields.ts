/**
 * Owns: reading the canonical form of an entry back: the inverse of `canonicalEntry` (entry.ts).
 * Does not own: the hash, which is of the text itself.
 * Invariants: pure; `canonicalEntry` of what is read here is the text it was read from, or it was no canonical form; what
 * does not have the shape of its field is undefined, never guessed.
 */
import { TollbookError } from '../runtime/errors.js';
import { ownValue } from '../runtime/name-map.js';
import { canonicalEntry, ENTRY_DOMAIN } from './canonical-entry.js';
import type { EntryMeters, EntryStatus, EntryType, EntryUsage, LedgerEntry } from './entry.js';
import type { UsageOutcome } from './events.js';
import { type AmountNano, parseAmount } from './money.js';

const ABSENT = '\\N';
const UNESCAPED: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** Where the fields of the canonical form stand, its domain being field 0: docs/hashing.md. */
export const FIELD_COUNT = 40;
/** The position of the field `meters`. */
export const METERS_AT = 18;
/** The position of the field `tags`. */
export const TAGS_AT = 30;
/** The position of the field `detail`. */
export const DETAIL_AT = 32;

/** Takes the escapes of COPY's text format off a field; null for a column that is null. */
export function unescapedField(field: string): string | null {
  if (field === ABSENT) return null;
  if (!field.includes('\\')) return field;
  return field.replace(/\\(.)/gs, (_, character: string) => ownValue(UNESCAPED, character) ?? character);
}

/** Reads the canonical form of an entry; undefined when the text is none. */
export function entryOfCanonical(text: string): LedgerEntry | undefined {
  const fields = text.split('\t');
  if (fields[0] !== ENTRY_DOMAIN) return undefined;
  const entry = entryOfFields(fields);
  return entry !== undefined && canonicalEntry(entry) === text ? entry : undefined;
}

/** Reads an entry from its fields, the domain first, as COPY writes them; undefined when one does not have its shape. */
export function entryOfFields(fields: readonly string[]): LedgerEntry | undefined {
  if (fields.length !== FIELD_COUNT) return undefined;
  try {
    return readEntry(fields.map(unescapedField));
  } catch {
    // Whoever threw (JSON, BigInt, an amount, a field that is missing): a field does not have its shape.
    return undefined;
  }
}

function readEntry(texts: readonly (string | null)[]): LedgerEntry {
  const [, tenantId, seq, traceId, type, status, amount, balanceBefore, balanceAfter, heldBefore, ...more] = texts;
  const [heldAfter, currency, requests, countedOn] = more;
  const [description, detail, referenceSeq, actor, commandHash, ...origin] = texts.slice(31);
  const [topic, partition, kafkaOffset, occurredAt] = origin;
  return {
    tenantId: present(tenantId),
    seq: integer(present(seq)),
    traceId: present(traceId),
    type: present(type) as EntryType,
    status: present(status) as EntryStatus,
    amountNano: amountOf(amount),
    balanceBeforeNano: amountOf(balanceBefore),
    balanceAfterNano: amountOf(balanceAfter),
    heldBeforeNano: amountOf(heldBefore),
    heldAfterNano: amountOf(heldAfter),
    currency: present(currency),
    usage: usageOf(texts.slice(14, 31)),
    requests: integer(present(requests)) as LedgerEntry['requests'],
    countedOn: countedOn ?? null,
    description: description ?? null,
    detail: objectOf(detail, textsIn),
    referenceSeq: integerOrNull(referenceSeq),
    actor: actor ?? null,
    commandHash: commandHash ?? null,
    source: {
      topic: present(topic),
      partition: integer(present(partition)),
      kafkaOffset: BigInt(present(kafkaOffset)),
    },
    occurredAt: present(occurredAt),
  };
}

function usageOf(texts: readonly (string | null)[]): EntryUsage {
  const [inputTokens, outputTokens, inputPrice, outputPrice, meters, priceVersion, provider, ...more] = texts;
  const [model, apiKeyId, presetItemId, stream, outcome, allowNegative, ...attribution] = more;
  const [priceClass, userId, projectId, tags] = attribution;
  return {
    inputTokens: integerOrNull(inputTokens),
    outputTokens: integerOrNull(outputTokens),
    inputPrice: inputPrice ?? null,
    outputPrice: outputPrice ?? null,
    meters: objectOf(meters, metersOf),
    priceVersion: priceVersion ?? null,
    provider: provider ?? null,
    model: model ?? null,
    apiKeyId: apiKeyId ?? null,
    presetItemId: presetItemId ?? null,
    stream: booleanOrNull(stream),
    outcome: (outcome ?? null) as UsageOutcome | null,
    allowNegative: booleanOrNull(allowNegative),
    priceClass: priceClass ?? null,
    userId: userId ?? null,
    projectId: projectId ?? null,
    tags: objectOf(tags, textsIn),
  };
}

/** A value that is the meters of an entry, and nothing beside them. */
export function metersOf(value: unknown): EntryMeters | undefined {
  if (!isRecord(value)) return undefined;
  return Object.values(value).every(isMeter) ? (value as EntryMeters) : undefined;
}

function isMeter(value: unknown): boolean {
  if (!isRecord(value) || Object.keys(value).length !== 2) return false;
  return Number.isSafeInteger(value['quantity']) && typeof value['price'] === 'string';
}

/** A value that is the detail of an entry, or its tags, and nothing beside it. */
export function textsIn(value: unknown): Readonly<Record<string, string>> | undefined {
  if (!isRecord(value)) return undefined;
  return Object.values(value).every((each) => typeof each === 'string')
    ? (value as Readonly<Record<string, string>>)
    : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectOf<T>(text: string | null | undefined, shape: (value: unknown) => T | undefined): T | null {
  if (text === null || text === undefined) return null;
  return present(shape(JSON.parse(text)));
}

function amountOf(text: string | null | undefined): AmountNano {
  return parseAmount(present(text));
}

function booleanOrNull(text: string | null | undefined): boolean | null {
  if (text === null || text === undefined) return null;
  return text === 'true' ? true : text === 'false' ? false : malformed();
}

function integerOrNull(text: string | null | undefined): number | null {
  return text === null || text === undefined ? null : integer(text);
}

function integer(text: string): number {
  const value = Number(text);
  return Number.isSafeInteger(value) && String(value) === text ? value : malformed();
}

function present<T>(value: T | null | undefined): T {
  return value ?? malformed();
}

function malformed(): never {
  throw new TollbookError('LEDGER_CORRUPT', 'a field of an entry does not have its shape');
}
