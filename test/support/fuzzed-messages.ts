/**
 * Owns: messages as a hostile or broken gateway might send them: plausible events of a few tenants and traces, so that
 * histories come about; events spoiled field by field or byte by byte; events at the bounds of the contract; raw garbage.
 * Invariants: a function of the seed, the number of the part and the clock alone.
 */
import fc from 'fast-check';
import type { Message } from 'kafkajs';
import type { UsageKind } from '../../src/contract/dto-kinds.js';
import { validWire } from '../property/wire-events.js';
import { completion, pending, type WireEvent } from './usage-messages.js';

/** A message, and the topic it is for. */
export interface FuzzedMessage {
  readonly kind: UsageKind;
  readonly message: Message;
}

/** Which messages are made. */
export interface FuzzOptions {
  readonly seed: number;
  /** Which part of the endless sequence, from 0. */
  readonly part: number;
  readonly count: number;
}

/** The tenants of plausible events; the first half is to have credit. */
export const FUZZED_TENANTS = Array.from({ length: 20 }, (_, index) => `fuzzed-${index}`);

/** Few enough that most traces have several events in a part. */
const TRACES_PER_PART = 400;
/** Every tenth message repeats the one before it. */
const REPEAT_EVERY = 10;

const kinds = fc.constantFrom<UsageKind>('pending', 'completed');
const tokens = fc.oneof(fc.integer({ min: 0, max: 5_000 }), fc.constantFrom(0, 1, 1e12));
const awkward: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(null, true, '', 'NaN', '-0', '1e400', '00.1', '\u0000', '\ud800', -1, 1.5, 2 ** 53, 1e308, [], {}),
  fc.constantFrom('2001-01-01T00:00:00Z', '2099-01-01T00:00:00Z', '2026-02-30T00:00:00Z', 'EUR', 'x'.repeat(5_000)),
);
const fields = fc.constantFrom(
  ...['schema_version', 'event_id', 'trace_id', 'tenant_id', 'occurred_at', 'provider', 'model', 'stream', 'pricing'],
  ...['outcome', 'usage', 'estimate', 'producer', 'allow_negative', 'skip_reason', 'api_key_id'],
  ...['price_class', 'user_id', 'project_id', 'tags', 'tags.team', 'estimate.meters', 'usage.declared'],
  ...['pricing.input_per_1k', 'pricing.output_per_1k', 'pricing.currency', 'pricing.meters', 'usage.input_tokens'],
  ...['usage.output_tokens', 'usage.meters', 'estimate.input_tokens', 'unknown', '__proto__', 'constructor'],
);

function plausible(part: number, kind: UsageKind): fc.Arbitrary<WireEvent> {
  const choices = fc.record({
    trace: fc.integer({ min: 0, max: TRACES_PER_PART - 1 }),
    stream: fc.boolean(),
    input: tokens,
    price: fc.constantFrom('0.003', '0.003', '0.003', '0.003', '0', '0.0000000001'),
    outcome: fc.constantFrom('succeeded', 'succeeded', 'succeeded', 'failed', 'cancelled'),
    skip: fc.integer({ min: 0, max: 30 }),
  });
  return choices.map(({ trace, stream, input, price, outcome, skip }) => {
    const pricing = { input_per_1k: price, output_per_1k: '0.015', currency: 'USD' };
    const shared = {
      stream,
      ...(skip === 0 ? { tenant_id: undefined } : {}),
      pricing: skip === 1 ? undefined : pricing,
    };
    const [tenantId, traceId] = [FUZZED_TENANTS[trace % FUZZED_TENANTS.length] ?? '', `fuzzed-${part}-${trace}`];
    if (kind === 'pending') return pending(tenantId, traceId, { ...shared, estimate: { input_tokens: input } });
    return completion(tenantId, traceId, { ...shared, outcome, usage: { input_tokens: input, output_tokens: 20 } });
  });
}

/** Sets or removes a field, which may lie within another. */
function withField(event: WireEvent, path: string, value: unknown): WireEvent {
  const [name = '', inner] = path.split('.');
  const old = event[name];
  const isObject = typeof old === 'object' && old !== null;
  const replaced = inner === undefined ? value : { ...(isObject ? old : {}), [inner]: value };
  return Object.fromEntries([...Object.entries(event).filter(([key]) => key !== name), [name, replaced]]);
}

function spoiledFields(part: number, kind: UsageKind): fc.Arbitrary<Buffer> {
  const spoils = fc.array(fc.tuple(fields, fc.option(awkward, { nil: undefined })), { minLength: 1, maxLength: 3 });
  return fc
    .tuple(plausible(part, kind), spoils)
    .map(([event, list]) =>
      bytesOf(list.reduce<WireEvent>((whole, [path, value]) => withField(whole, path, value), event)),
    );
}

/** Overwrites, removes, repeats or inserts bytes somewhere. */
function spoiledBytes(part: number, kind: UsageKind): fc.Arbitrary<Buffer> {
  const change = fc.record({
    how: fc.constantFrom('overwrite', 'insert', 'remove', 'repeat', 'cut'),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
  });
  return fc
    .tuple(plausible(part, kind).map(bytesOf), fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([whole, list]) =>
      list.reduce((bytes, { how, at, bytes: drawn }) => {
        const place = Math.floor(at * bytes.length);
        const [head, tail] = [bytes.subarray(0, place), bytes.subarray(place)];
        switch (how) {
          case 'overwrite':
            return Buffer.concat([head, drawn, tail.subarray(drawn.length)]);
          case 'insert':
            return Buffer.concat([head, drawn, tail]);
          case 'remove':
            return Buffer.concat([head, tail.subarray(drawn.length)]);
          case 'repeat':
            return Buffer.concat([head, tail, tail]);
          case 'cut':
            return head;
        }
      }, whole),
    );
}

const garbage: fc.Arbitrary<Buffer | null> = fc.oneof(
  fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((text) => Buffer.from(text)),
  fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
  fc.constantFrom(null, Buffer.from('['.repeat(20_000)), Buffer.from(`{"a":${'9'.repeat(5_000)}}`)),
);

const headers = fc.option(
  fc.dictionary(
    fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom('toString', '__proto__', 'traceparent')),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    { maxKeys: 3 },
  ),
  { nil: undefined, freq: 8 },
);

function values(part: number, kind: UsageKind): fc.Arbitrary<Buffer | null> {
  return fc.oneof(
    { weight: 45, arbitrary: plausible(part, kind).map(bytesOf) },
    { weight: 25, arbitrary: spoiledFields(part, kind) },
    { weight: 15, arbitrary: spoiledBytes(part, kind) },
    { weight: 5, arbitrary: validWire(kind).map((event) => bytesOf(event)) },
    { weight: 10, arbitrary: garbage },
  );
}

/** Makes a part of the sequence. */
export function fuzzedMessages({ seed, part, count }: FuzzOptions): FuzzedMessage[] {
  const keys = fc.oneof(fc.constantFrom(...FUZZED_TENANTS), fc.constantFrom(null, '', 'another'));
  const messages = kinds.chain((kind) =>
    fc.record({ value: values(part, kind), key: keys, headers }).map(({ headers: drawn, ...message }) => ({
      kind,
      message: { ...message, ...(drawn === undefined ? {} : { headers: drawn }) },
    })),
  );
  const made = fc.sample(messages, { seed: seed + part, numRuns: count });
  return made.map((message, index) =>
    index % REPEAT_EVERY < REPEAT_EVERY - 1 ? message : (made[index - 1] ?? message),
  );
}

/** JSON as it would be sent; a lone surrogate becomes what UTF-8 makes of it. */
function bytesOf(event: WireEvent): Buffer {
  return Buffer.from(JSON.stringify(event));
}
