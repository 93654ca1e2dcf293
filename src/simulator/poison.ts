/**
 * Owns: the malformed messages a simulation can publish, one row a kind, each with the reason its dead letter must carry.
 * Does not own: how many there are and where they are put (plan.ts).
 * Invariants: a poison message never charges anything: its trace is its own, or (conflict) already charged; every kind is
 * one a careless or hostile producer could really send.
 */
import type { DeadLetterReason } from '../ledger/dead-letter.js';
import { ownValue } from '../runtime/name-map.js';
import type { TopicRole, WireObject, WireValue } from './wire-event.js';

/** One kind of malformed message: how a good event is spoiled. */
export interface PoisonKind {
  readonly kind: string;
  readonly reason: DeadLetterReason;
  /** The only topic it makes sense on; either when undefined. */
  readonly topic?: TopicRole;
  /** Turns a good event into the bytes to publish; null is a message without a value. */
  readonly spoil: (event: WireObject) => Buffer | null;
}

/** The size of a large poison message: 10 MB, of which the model name is the most. */
const LARGE_BYTES = 10_000_000;
/** Stands where a literal goes that JSON.stringify would not write. */
const LITERAL_MARK = '\u0001literal\u0001';

/** Spoils an event by setting fields; a dotted path reaches into an object. */
function setting(fields: Readonly<Record<string, WireValue>>): (event: WireObject) => Buffer {
  return (event) => {
    for (const [path, value] of Object.entries(fields)) place(event, path, value);
    return jsonBytes(event);
  };
}

/** Spoils an event by writing a literal that is no JSON number, or none that a double can hold. */
function literal(path: string, text: string): (event: WireObject) => Buffer {
  return (event) => {
    place(event, path, LITERAL_MARK);
    return Buffer.from(JSON.stringify(event).replace(JSON.stringify(LITERAL_MARK), text));
  };
}

/** The kinds in the order they take turns. `quantities` stands for `usage` or `estimate`, whichever the topic has. */
export const POISON_KINDS: readonly [PoisonKind, ...PoisonKind[]] = [
  { kind: 'json-syntax', reason: 'INVALID_JSON', spoil: (event) => jsonBytes(event).subarray(0, -9) },
  { kind: 'missing-trace-id', reason: 'INVALID_EVENT', spoil: withoutTrace },
  { kind: 'tokens-as-string', reason: 'INVALID_EVENT', spoil: setting({ 'quantities.input_tokens': '12' }) },
  { kind: 'stream-as-string', reason: 'INVALID_EVENT', spoil: setting({ stream: 'yes' }) },
  { kind: 'negative-tokens', reason: 'INVALID_EVENT', spoil: setting({ 'quantities.input_tokens': -1 }) },
  { kind: 'fractional-tokens', reason: 'INVALID_EVENT', spoil: setting({ 'quantities.input_tokens': 1.5 }) },
  { kind: 'unsafe-tokens', reason: 'INVALID_EVENT', spoil: literal('quantities.input_tokens', '9007199254740993') },
  { kind: 'tokens-nan', reason: 'INVALID_JSON', spoil: literal('quantities.input_tokens', 'NaN') },
  { kind: 'tokens-1e400', reason: 'INVALID_EVENT', spoil: literal('quantities.input_tokens', '1e400') },
  { kind: 'unknown-outcome', reason: 'INVALID_EVENT', topic: 'completed', spoil: setting({ outcome: 'exploded' }) },
  { kind: 'invalid-utf8', reason: 'INVALID_UTF8', spoil: invalidUtf8 },
  { kind: 'tenant-with-braces', reason: 'INVALID_EVENT', spoil: setting({ tenant_id: 'tenant-{1}' }) },
  { kind: 'unknown-schema-version', reason: 'UNKNOWN_SCHEMA_VERSION', spoil: setting({ schema_version: 99 }) },
  { kind: 'price-as-number', reason: 'INVALID_EVENT', spoil: literal('pricing.input_per_1k', '0.00125') },
  { kind: 'price-with-exponent', reason: 'INVALID_EVENT', spoil: setting({ 'pricing.input_per_1k': '1.25e-03' }) },
  { kind: 'negative-price', reason: 'INVALID_EVENT', spoil: setting({ 'pricing.output_per_1k': '-0.001' }) },
  { kind: 'time-unreadable', reason: 'INVALID_EVENT', spoil: setting({ occurred_at: 'yesterday' }) },
  {
    kind: 'time-in-future',
    reason: 'OCCURRED_AT_IN_FUTURE',
    spoil: setting({ occurred_at: '2099-01-01T00:00:00.000Z' }),
  },
  { kind: 'time-too-old', reason: 'OCCURRED_AT_TOO_OLD', spoil: setting({ occurred_at: '2001-01-01T00:00:00.000Z' }) },
  { kind: 'wrong-currency', reason: 'CURRENCY_MISMATCH', spoil: setting({ 'pricing.currency': 'EUR' }) },
  {
    kind: 'cost-out-of-range',
    reason: 'AMOUNT_OUT_OF_RANGE',
    spoil: setting({ 'quantities.input_tokens': 1_000_000, 'pricing.input_per_1k': '999999999999999999' }),
  },
  { kind: 'json-array', reason: 'INVALID_EVENT', spoil: (event) => Buffer.from(JSON.stringify([event])) },
  { kind: 'empty-value', reason: 'EMPTY_MESSAGE', spoil: () => Buffer.alloc(0) },
  { kind: 'no-value', reason: 'EMPTY_MESSAGE', spoil: () => null },
];

/** A second completion of a charged trace that reports other tokens; only where the first one surely comes first. */
export const CONFLICTING_POISON: PoisonKind = {
  kind: 'conflicting-duplicate',
  reason: 'CONFLICTING_DUPLICATE',
  topic: 'completed',
  spoil: (event) => {
    const { quantities, tokens } = inputTokensOf(event);
    quantities['input_tokens'] = tokens + 1;
    return jsonBytes(event);
  },
};

/** A message of 10 MB that is well-formed but for its size. */
export const LARGE_POISON: PoisonKind = {
  kind: 'large-message',
  reason: 'MESSAGE_TOO_LARGE',
  topic: 'completed',
  spoil: (event) => jsonBytes({ ...event, model: 'm'.repeat(LARGE_BYTES) }),
};

function invalidUtf8(event: WireObject): Buffer {
  const bytes = jsonBytes({ ...event, model: 'model-?' });
  bytes[bytes.indexOf('model-?') + 'model-'.length] = 0xff;
  return bytes;
}

function withoutTrace(event: WireObject): Buffer {
  const { trace_id: _traceId, ...rest } = event;
  return jsonBytes(rest);
}

function jsonBytes(event: WireObject): Buffer {
  return Buffer.from(JSON.stringify(event));
}

function inputTokensOf(event: WireObject): { quantities: WireObject; tokens: number } {
  const quantities = objectAt(event, 'quantities');
  return { quantities, tokens: Number(quantities['input_tokens'] ?? 0) };
}

function place(event: WireObject, path: string, value: WireValue): void {
  const names = path.split('.');
  const field = names.pop() ?? path;
  const target = names.reduce(objectAt, event);
  Reflect.set(target, field, value);
}

function objectAt(parent: WireObject, name: string): WireObject {
  const key = name === 'quantities' ? ('usage' in parent ? 'usage' : 'estimate') : name;
  const found = ownValue(parent, key);
  return typeof found === 'object' ? found : {};
}
