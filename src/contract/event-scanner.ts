/**
 * Owns: decoding plain messages straight from their bytes, without JSON.parse, the compiled schema and the mapping: a
 * quarter of the time and a third of the garbage (decision 18). Plain is what publishers write: ASCII without escapes,
 * every key known and there once, in any order, integers in digits alone.
 * Does not own: any other message, accepted or refused: to those it says undefined, and the gate decides.
 * Invariants: an event that is returned is the one that the gate decodes without it, field by field (a property test
 * compares the two); never throws, whatever the bytes; texts and pricings that recur are shared between events, the
 * pricings frozen; nothing that is remembered keeps a message alive.
 */
import type { UsageCompleted, UsageOutcome, UsagePending } from '../ledger/events.js';
import { type NameMap, nameMap } from '../runtime/name-map.js';
import { ByteCursor } from './byte-cursor.js';
import { METERS_MAX, QUANTITY_MAX } from './meter-map.js';
import { declaredProblem } from './declared-totals.js';
import {
  COMPLETED_KEYS,
  DECLARED_FIELD,
  DECLARED_KEYS,
  ESTIMATE_KEYS,
  FIELD,
  PENDING_KEYS,
  USAGE_KEYS,
  bitsOf,
} from './plain-fields.js';
import {
  IDENTITY_REQUIRED,
  emptyIdentity,
  eventIdIn,
  occurredAtIn,
  ownTextOf,
  readIdentityField,
  traceIdIn,
} from './plain-identity.js';
import { METER_NAMES, REASONS, readText } from './plain-texts.js';
import { passWord, readFlag, readInteger } from './plain-values.js';
import { OUTCOMES } from './usage-completed-dto.js';
import { INPUT_TOKENS_DEFAULT } from './usage-pending-dto.js';

type Draft<T> = { -readonly [Field in keyof T]: T[Field] };
type OptionalIdentity =
  | 'tenantId'
  | 'apiKeyId'
  | 'priceClass'
  | 'presetItemId'
  | 'userId'
  | 'projectId'
  | 'tags'
  | 'pricing'
  | 'producer';

const PENDING_REQUIRED = IDENTITY_REQUIRED | bitsOf(FIELD.estimate);
const COMPLETED_REQUIRED = IDENTITY_REQUIRED | bitsOf(FIELD.outcome, FIELD.usage);
const USAGE_REQUIRED = bitsOf(FIELD.inputTokens, FIELD.outputTokens);

/** The optional fields that nearly all events have: with these and no others an event is made at once, in one shape. */
const USUAL = bitsOf(FIELD.tenantId, FIELD.apiKeyId, FIELD.pricing, FIELD.producer);
const ATTRIBUTION = bitsOf(FIELD.userId, FIELD.projectId, FIELD.tags);
const OPTIONAL = USUAL | ATTRIBUTION | bitsOf(FIELD.priceClass, FIELD.presetItemId, FIELD.skipReason);

const OUTCOME_WORDS = OUTCOMES.map((outcome) => ({ outcome, word: Buffer.from(`"${outcome}"`) }));

/** What the message that is scanned says; a message is scanned at one go, so that one of each is enough. */
const cursor = new ByteCursor();
const identity = emptyIdentity();
const completion = { outcome: 'failed' as UsageOutcome, allowNegative: false, skipReason: '' };

/** Decodes a plain message of the pending topic; undefined: it is not plain, and nothing is known about it. */
export function scanPending(message: Buffer): UsagePending | undefined {
  let estimate: UsagePending['estimate'] = { inputTokens: INPUT_TOKENS_DEFAULT };
  cursor.start(message);
  for (let field = cursor.enter(PENDING_KEYS); field >= 0; field = cursor.next(PENDING_KEYS)) {
    if (field === FIELD.estimate) estimate = readEstimate();
    else readIdentityField(cursor, field, identity);
  }
  return isWhole(PENDING_REQUIRED) ? pendingOf(estimate) : undefined;
}

/** Decodes a plain message of the completed topic; undefined: it is not plain, and nothing is known about it. */
export function scanCompleted(message: Buffer): UsageCompleted | undefined {
  let usage: UsageCompleted['usage'] | undefined;
  cursor.start(message);
  for (let field = cursor.enter(COMPLETED_KEYS); field >= 0; field = cursor.next(COMPLETED_KEYS)) {
    if (field === FIELD.usage) usage = readUsage();
    else if (field === FIELD.outcome) completion.outcome = readOutcome();
    else if (field === FIELD.allowNegative) completion.allowNegative = readFlag(cursor);
    else if (field === FIELD.skipReason) completion.skipReason = readText(cursor, REASONS);
    else readIdentityField(cursor, field, identity);
  }
  return isWhole(COMPLETED_REQUIRED) && usage !== undefined ? completedOf(usage) : undefined;
}

function isWhole(required: number): boolean {
  return cursor.isDone() && (cursor.seen & required) === required;
}

function has(field: number): boolean {
  return (cursor.seen & (1 << field)) !== 0;
}

function readEstimate(): UsagePending['estimate'] {
  let [inputTokens, maxOutputTokens] = [INPUT_TOKENS_DEFAULT, 0];
  let meters: NameMap<number> | undefined;
  for (let field = cursor.enter(ESTIMATE_KEYS); field >= 0; field = cursor.next(ESTIMATE_KEYS)) {
    if (field === FIELD.inputTokens) inputTokens = readInteger(cursor, QUANTITY_MAX);
    else if (field === FIELD.outputTokens) maxOutputTokens = readInteger(cursor, QUANTITY_MAX);
    else meters = readMeterQuantities();
  }
  if (meters === undefined) return has(FIELD.outputTokens) ? { inputTokens, maxOutputTokens } : { inputTokens };
  return has(FIELD.outputTokens) ? { inputTokens, maxOutputTokens, meters } : { inputTokens, meters };
}

function readUsage(): UsageCompleted['usage'] {
  let [inputTokens, outputTokens] = [0, 0];
  let meters: NameMap<number> | undefined;
  let declared: Declared | undefined;
  for (let field = cursor.enter(USAGE_KEYS); field >= 0; field = cursor.next(USAGE_KEYS)) {
    if (field === FIELD.inputTokens) inputTokens = readInteger(cursor, QUANTITY_MAX);
    else if (field === FIELD.outputTokens) outputTokens = readInteger(cursor, QUANTITY_MAX);
    else if (field === FIELD.usageMeters) meters = readMeterQuantities();
    else declared = readDeclared();
  }
  if ((cursor.seen & USAGE_REQUIRED) !== USAGE_REQUIRED) cursor.refuse();
  if (declared !== undefined && countsTwice({ inputTokens, outputTokens, meters, declared })) cursor.refuse();
  return meters === undefined ? { inputTokens, outputTokens } : { inputTokens, outputTokens, meters };
}

interface Declared {
  input_tokens?: number;
  output_tokens?: number;
}

function readDeclared(): Declared {
  const declared: Declared = {};
  const ofMessage = cursor.countsApart();
  for (let field = cursor.enter(DECLARED_KEYS); field >= 0; field = cursor.next(DECLARED_KEYS)) {
    const tokens = readInteger(cursor, QUANTITY_MAX);
    if (field === DECLARED_FIELD.inputTokens) declared.input_tokens = tokens;
    else declared.output_tokens = tokens;
  }
  cursor.goesBackTo(ofMessage);
  return declared;
}

interface ReadUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly meters: NameMap<number> | undefined;
  readonly declared: Declared;
}

function countsTwice({ inputTokens, outputTokens, meters, declared }: ReadUsage): boolean {
  const usage = { input_tokens: inputTokens, output_tokens: outputTokens, meters, declared };
  return declaredProblem({ usage }) !== undefined;
}

function readMeterQuantities(): NameMap<number> {
  const meters = nameMap<number>();
  let count = 0;
  for (let hasMeter = cursor.opens(); hasMeter; hasMeter = cursor.goesOn()) {
    const name = readText(cursor, METER_NAMES);
    cursor.passColon();
    count += 1;
    if (count > METERS_MAX) cursor.refuse();
    if (name in meters) cursor.refuse();
    meters[name] = readInteger(cursor, QUANTITY_MAX);
  }
  return meters;
}

/** Reads an outcome; the first byte tells the three apart, and all of them are compared. */
function readOutcome(): UsageOutcome {
  const first = cursor.bytes[cursor.at + 1];
  for (const { outcome, word } of OUTCOME_WORDS) {
    if (word[1] === first && passWord(cursor, word)) return outcome;
  }
  cursor.refuse();
  return 'failed';
}

function pendingOf(estimate: UsagePending['estimate']): UsagePending {
  const { provider, model, stream, tenantId, apiKeyId, pricing, instance, epoch, seq } = identity;
  const own = ownTextOf(cursor, identity);
  const eventId = eventIdIn(own, identity);
  const traceId = traceIdIn(own, identity);
  const occurredAt = occurredAtIn(own, identity);
  if ((cursor.seen & OPTIONAL) === USUAL) {
    return {
      kind: 'pending',
      eventId,
      traceId,
      occurredAt,
      provider,
      model,
      stream,
      estimate,
      tenantId,
      apiKeyId,
      pricing,
      producer: { instance, epoch, seq },
    };
  }
  const event: Draft<UsagePending> = {
    kind: 'pending',
    eventId,
    traceId,
    occurredAt,
    provider,
    model,
    stream,
    estimate,
  };
  fillOptional(event);
  return event;
}

function completedOf(usage: UsageCompleted['usage']): UsageCompleted {
  const { provider, model, stream, tenantId, apiKeyId, pricing, instance, epoch, seq } = identity;
  const own = ownTextOf(cursor, identity);
  const eventId = eventIdIn(own, identity);
  const traceId = traceIdIn(own, identity);
  const occurredAt = occurredAtIn(own, identity);
  const { outcome } = completion;
  const allowNegative = has(FIELD.allowNegative) ? completion.allowNegative : stream;
  if ((cursor.seen & OPTIONAL) === USUAL) {
    return {
      kind: 'completed',
      eventId,
      traceId,
      occurredAt,
      provider,
      model,
      stream,
      outcome,
      usage,
      allowNegative,
      tenantId,
      apiKeyId,
      pricing,
      producer: { instance, epoch, seq },
    };
  }
  const event: Draft<UsageCompleted> = {
    kind: 'completed',
    eventId,
    traceId,
    occurredAt,
    provider,
    model,
    stream,
    outcome,
    usage,
    allowNegative,
  };
  if (has(FIELD.skipReason)) event.skipReason = completion.skipReason;
  fillOptional(event);
  return event;
}

function fillOptional(event: Draft<Pick<UsagePending, OptionalIdentity>>): void {
  const { tenantId, apiKeyId, priceClass, presetItemId, pricing, instance, epoch, seq } = identity;
  if (has(FIELD.tenantId)) event.tenantId = tenantId;
  if (has(FIELD.apiKeyId)) event.apiKeyId = apiKeyId;
  if (has(FIELD.priceClass)) event.priceClass = priceClass;
  if (has(FIELD.presetItemId)) event.presetItemId = presetItemId;
  if ((cursor.seen & ATTRIBUTION) !== 0) fillAttribution(event);
  if (has(FIELD.pricing)) event.pricing = pricing;
  if (has(FIELD.producer)) event.producer = { instance, epoch, seq };
}

function fillAttribution(event: Draft<Pick<UsagePending, 'userId' | 'projectId' | 'tags'>>): void {
  if (has(FIELD.userId)) event.userId = identity.userId;
  if (has(FIELD.projectId)) event.projectId = identity.projectId;
  if (has(FIELD.tags)) event.tags = identity.tags;
}
