/**
 * Owns: reading what both usage events share out of a plain message.
 * Does not own: the fields of one kind alone, and the events that are made of all this (event-scanner.ts).
 * Invariants: one draft serves every message, since one is scanned at a time; which of its fields belong to the present
 * message is what the cursor has seen. Texts that do not recur are noted by their places, and cut out of one text in the
 * end, which costs one native call instead of three; that text is the part of the message that has all three.
 */
import type { EventPricing } from '../ledger/events.js';
import { nameMap } from '../runtime/name-map.js';
import { IDENTIFIER_FORM } from './byte-classes.js';
import type { ByteCursor } from './byte-cursor.js';
import { normalizeInstant } from './instant.js';
import { FIELD, PRODUCER_KEYS, bitsOf } from './plain-fields.js';
import { passInstant } from './plain-instant.js';
import { IDENTIFIERS, LABELS, PRICE_CLASSES, TAG_NAMES, TAG_VALUES, passText, readText } from './plain-texts.js';
import { readFlag, readInteger } from './plain-values.js';
import { readPricing } from './pricing-scanner.js';
import { TAGS_MAX } from './tag-map.js';
import { SCHEMA_VERSION } from './usage-identity-dto.js';

/** The shared fields of the message that is scanned, and of those before it. */
export interface IdentityDraft {
  eventIdStart: number;
  eventIdEnd: number;
  traceIdStart: number;
  traceIdEnd: number;
  occurredAtStart: number;
  occurredAtEnd: number;
  tenantId: string;
  apiKeyId: string;
  provider: string;
  model: string;
  presetItemId: string;
  priceClass: string;
  userId: string;
  projectId: string;
  tags: Readonly<Record<string, string>>;
  stream: boolean;
  pricing: EventPricing;
  instance: string;
  epoch: number;
  seq: number;
}

const PRODUCER_REQUIRED = bitsOf(FIELD.instance, FIELD.epoch, FIELD.seq);

/** The fields that every event has. */
export const IDENTITY_REQUIRED = bitsOf(
  FIELD.schemaVersion,
  FIELD.eventId,
  FIELD.traceId,
  FIELD.occurredAt,
  FIELD.provider,
  FIELD.model,
  FIELD.stream,
);

const NO_TAGS: Readonly<Record<string, string>> = nameMap();

/** Makes a draft for any number of messages. */
export function emptyIdentity(): IdentityDraft {
  return {
    ...{ eventIdStart: 0, eventIdEnd: 0, traceIdStart: 0, traceIdEnd: 0, occurredAtStart: 0, occurredAtEnd: 0 },
    ...{ tenantId: '', apiKeyId: '', provider: '', model: '', presetItemId: '', stream: false },
    ...{ priceClass: '', userId: '', projectId: '', tags: NO_TAGS },
    ...{ pricing: { currency: '' }, instance: '', epoch: 0, seq: 0 },
  };
}

/** Reads the value of a shared field into the draft. */
export function readIdentityField(cursor: ByteCursor, field: number, draft: IdentityDraft): void {
  switch (field) {
    case FIELD.schemaVersion:
      if (readInteger(cursor, SCHEMA_VERSION) !== SCHEMA_VERSION) cursor.refuse();
      break;
    case FIELD.eventId:
      draft.eventIdStart = cursor.at + 1;
      passText(cursor, IDENTIFIER_FORM);
      draft.eventIdEnd = cursor.at - 1;
      break;
    case FIELD.traceId:
      draft.traceIdStart = cursor.at + 1;
      passText(cursor, IDENTIFIER_FORM);
      draft.traceIdEnd = cursor.at - 1;
      break;
    case FIELD.tenantId:
      draft.tenantId = readText(cursor, IDENTIFIERS);
      break;
    case FIELD.apiKeyId:
      draft.apiKeyId = readText(cursor, IDENTIFIERS);
      break;
    case FIELD.occurredAt:
      draft.occurredAtStart = cursor.at + 1;
      passInstant(cursor);
      draft.occurredAtEnd = cursor.at - 1;
      break;
    case FIELD.provider:
      draft.provider = readText(cursor, LABELS);
      break;
    case FIELD.model:
      draft.model = readText(cursor, LABELS);
      break;
    case FIELD.presetItemId:
      draft.presetItemId = readText(cursor, IDENTIFIERS);
      break;
    case FIELD.priceClass:
      draft.priceClass = readText(cursor, PRICE_CLASSES);
      break;
    case FIELD.userId:
      draft.userId = readText(cursor, IDENTIFIERS);
      break;
    case FIELD.projectId:
      draft.projectId = readText(cursor, IDENTIFIERS);
      break;
    case FIELD.tags:
      draft.tags = readTags(cursor);
      break;
    case FIELD.stream:
      draft.stream = readFlag(cursor);
      break;
    case FIELD.pricing:
      draft.pricing = readPricing(cursor);
      break;
    case FIELD.producer:
      readProducer(cursor, draft);
      break;
    default:
      cursor.refuse();
  }
}

function readTags(cursor: ByteCursor): Readonly<Record<string, string>> {
  const tags = nameMap<string>();
  let count = 0;
  for (let hasTag = cursor.opens(); hasTag; hasTag = cursor.goesOn()) {
    const name = readText(cursor, TAG_NAMES);
    cursor.passColon();
    count += 1;
    if (count > TAGS_MAX || name in tags) cursor.refuse();
    tags[name] = readText(cursor, TAG_VALUES);
  }
  return tags;
}

function readProducer(cursor: ByteCursor, draft: IdentityDraft): void {
  for (let field = cursor.enter(PRODUCER_KEYS); field >= 0; field = cursor.next(PRODUCER_KEYS)) {
    if (field === FIELD.instance) draft.instance = readText(cursor, IDENTIFIERS);
    else if (field === FIELD.epoch) draft.epoch = readInteger(cursor, Number.MAX_SAFE_INTEGER);
    else draft.seq = readInteger(cursor, Number.MAX_SAFE_INTEGER);
  }
  if ((cursor.seen & PRODUCER_REQUIRED) !== PRODUCER_REQUIRED) cursor.refuse();
}

/** The part of the message that the own texts of the event are cut out of. */
export function ownTextOf(cursor: ByteCursor, draft: IdentityDraft): string {
  const end = Math.max(draft.eventIdEnd, draft.traceIdEnd, draft.occurredAtEnd);
  return cursor.textBetween(ownTextStart(draft), end);
}

/** The name of the event, out of its own text. */
export function eventIdIn(own: string, draft: IdentityDraft): string {
  const start = ownTextStart(draft);
  return own.slice(draft.eventIdStart - start, draft.eventIdEnd - start);
}

/** The request of the event, out of its own text. */
export function traceIdIn(own: string, draft: IdentityDraft): string {
  const start = ownTextStart(draft);
  return own.slice(draft.traceIdStart - start, draft.traceIdEnd - start);
}

/** The time of the event in its normal form, out of its own text. */
export function occurredAtIn(own: string, draft: IdentityDraft): string {
  const start = ownTextStart(draft);
  return normalizeInstant(own.slice(draft.occurredAtStart - start, draft.occurredAtEnd - start));
}

function ownTextStart({ eventIdStart, traceIdStart, occurredAtStart }: IdentityDraft): number {
  return Math.min(eventIdStart, traceIdStart, occurredAtStart);
}
