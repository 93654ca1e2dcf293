/**
 * Owns: one message of every kind that cannot be charged, with what its dead letter must say.
 * Does not own: the rules (src/contract and src/consumers); the details are written out here on purpose.
 */
import type { IHeaders } from 'kafkajs';
import type { DeadLetterReason } from '../../src/ledger/dead-letter.js';
import { completion, pending, type WireEvent } from './usage-messages.js';

/** A message that cannot be charged. */
export interface BadMessage {
  /** Completes the sentence "puts aside …". */
  readonly name: string;
  readonly topic: 'pending' | 'completed';
  readonly value: Buffer | null;
  readonly reason: DeadLetterReason;
  /** What the detail must contain: the field, the value found and what is allowed. */
  readonly detail: readonly string[];
  readonly headers?: IHeaders;
}

const QUANTITY_ALLOWED = 'allowed: an integer from 0 to 1000000000000';
const LARGE_BYTES = 10_000_000;

/** The tenant of every bad message; it has an account in USD. */
export const BAD_TENANT = 'acme';

type Spoiled = Omit<BadMessage, 'topic' | 'value' | 'reason'>;

function completed(reason: DeadLetterReason, fields: WireEvent, rest: Spoiled): BadMessage {
  return { ...rest, topic: 'completed', reason, value: bytesOf(good(rest.name, fields)) };
}

/** A completion with a quantity or price replaced by a literal that JSON.stringify would not write. */
function literal(reason: DeadLetterReason, [from, to]: readonly [string, string], rest: Spoiled): BadMessage {
  const text = JSON.stringify(good(rest.name));
  return { ...rest, topic: 'completed', reason, value: Buffer.from(text.replace(from, to)) };
}

function raw(reason: DeadLetterReason, value: Buffer | null, rest: Spoiled): BadMessage {
  return { ...rest, topic: 'completed', reason, value };
}

function good(name: string, fields: WireEvent = {}): WireEvent {
  return completion(BAD_TENANT, `bad-${name.replaceAll(/[^a-z0-9]+/gi, '-')}`, fields);
}

function bytesOf(event: WireEvent): Buffer {
  return Buffer.from(JSON.stringify(event));
}

function withoutTrace(): Buffer {
  const { trace_id: _traceId, ...rest } = good('a missing field');
  return bytesOf(rest);
}

function invalidUtf8(): Buffer {
  const value = bytesOf(good('bytes that are no UTF-8'));
  value[value.indexOf('gpt-4o')] = 0xff;
  return value;
}

const FUTURE = '2099-01-01T00:00:00.000Z';
const PAST = '2001-01-01T00:00:00.000Z';
const TOKENS = '"input_tokens":1000';
const PRICE = '"input_per_1k":"0.003"';

/** Every kind, once; `chargedTrace` is a trace of BAD_TENANT that is charged before they arrive. */
export function badMessages(chargedTrace: string): readonly BadMessage[] {
  return [
    raw('INVALID_JSON', bytesOf(good('x')).subarray(0, -1), {
      name: 'a JSON syntax error',
      detail: ['not JSON', 'JSON at position'],
    }),
    raw('INVALID_EVENT', withoutTrace(), {
      name: 'a missing field',
      detail: ['trace_id: found nothing, allowed: 1 to 256'],
    }),
    completed(
      'INVALID_EVENT',
      { stream: 'yes' },
      { name: 'a wrong type', detail: ['stream: found "yes", allowed: true or false'] },
    ),
    literal('INVALID_EVENT', [TOKENS, '"input_tokens":-5'], {
      name: 'a negative token count',
      detail: [`usage.input_tokens: found -5, ${QUANTITY_ALLOWED}`],
    }),
    literal('INVALID_EVENT', [TOKENS, '"input_tokens":1.5'], {
      name: 'a fractional token count',
      detail: [`usage.input_tokens: found 1.5, ${QUANTITY_ALLOWED}`],
    }),
    literal('INVALID_JSON', [TOKENS, '"input_tokens":NaN'], {
      name: 'NaN',
      detail: ['not JSON', "Unexpected token 'N'"],
    }),
    literal('INVALID_EVENT', [TOKENS, '"input_tokens":1e400'], {
      name: 'the number 1e400',
      detail: [`usage.input_tokens: found Infinity, ${QUANTITY_ALLOWED}`],
    }),
    completed(
      'INVALID_EVENT',
      { outcome: 'exploded' },
      {
        name: 'an unknown outcome',
        detail: ['outcome: found "exploded", allowed: one of succeeded, failed, cancelled'],
      },
    ),
    completed(
      'INVALID_EVENT',
      { 'a\u0000\ud800b': 1 },
      {
        name: 'an unknown field with a name that no database stores',
        detail: ['(found 1): not a field of the contract, allowed: '],
      },
    ),
    completed(
      'MESSAGE_TOO_LARGE',
      { model: 'm'.repeat(LARGE_BYTES) },
      { name: 'a message of 10 MB', detail: ['the message has 100', 'bytes; allowed: at most 262144'] },
    ),
    raw('INVALID_UTF8', invalidUtf8(), {
      name: 'bytes that are no UTF-8',
      detail: ['the message is not UTF-8; allowed: a JSON object in UTF-8'],
    }),
    completed(
      'INVALID_EVENT',
      { tenant_id: 'ac{m}e' },
      {
        name: 'a tenant id with braces',
        detail: ['tenant_id: found "ac{m}e", allowed: 1 to 256 of A-Z a-z 0-9 . _ : @ / |'],
      },
    ),
    completed(
      'UNKNOWN_SCHEMA_VERSION',
      { schema_version: 2 },
      { name: 'an unknown schema version', detail: ['schema_version: found 2, allowed: 1'] },
    ),
    raw('EMPTY_MESSAGE', null, {
      name: 'a message without a value',
      detail: ['the message has no value; allowed: a JSON object'],
    }),
    raw('EMPTY_MESSAGE', Buffer.alloc(0), {
      name: 'an empty value',
      detail: ['the message has no value; allowed: a JSON object'],
    }),
    raw('INVALID_EVENT', Buffer.from('[1,2]'), {
      name: 'a JSON array',
      detail: ['the message is an array (items: 2); allowed: a JSON object'],
    }),
    literal('INVALID_EVENT', [PRICE, '"input_per_1k":0.003'], {
      name: 'a price as a JSON number',
      detail: ['pricing.input_per_1k: found 0.003, allowed: a decimal string'],
    }),
    completed(
      'OCCURRED_AT_IN_FUTURE',
      { occurred_at: FUTURE },
      { name: 'an event of the far future', detail: [`occurred_at is ${FUTURE}; allowed: at most 2`, '5 minutes'] },
    ),
    completed(
      'OCCURRED_AT_TOO_OLD',
      { occurred_at: PAST },
      {
        name: 'an event that is too old',
        detail: [`occurred_at is ${PAST}; allowed: at least 2`, 'TOLLBOOK_EVENT_AGE_MAX_MS'],
      },
    ),
    completed(
      'CURRENCY_MISMATCH',
      { pricing: { input_per_1k: '0.003', output_per_1k: '0.015', currency: 'EUR' } },
      {
        name: 'another currency than that of the account',
        detail: ['pricing.currency is EUR; allowed: USD, the currency of the tenant'],
      },
    ),
    literal('AMOUNT_OUT_OF_RANGE', [PRICE, '"input_per_1k":"9223372037"'], {
      name: 'a cost of 2^63 nano-units',
      detail: ['2^63', 'allowed: below 9223372036.854775808'],
    }),
    completed(
      'CONFLICTING_DUPLICATE',
      { trace_id: chargedTrace, usage: { input_tokens: 1001, output_tokens: 200 } },
      {
        name: 'a second completion with other usage',
        detail: [`trace_id ${chargedTrace} is already charged; differing: usage.input_tokens, cost`],
      },
    ),
    {
      name: 'a pending event with a negative estimate',
      topic: 'pending',
      reason: 'INVALID_EVENT',
      value: bytesOf(pending(BAD_TENANT, 'bad-pending', { estimate: { input_tokens: -1 } })),
      detail: [`estimate.input_tokens: found -1, ${QUANTITY_ALLOWED}`],
    },
    {
      name: 'a completion on the topic of pending events',
      topic: 'pending',
      reason: 'INVALID_EVENT',
      value: bytesOf(good('misplaced')),
      detail: ['outcome (found "succeeded")', 'not a field of the contract'],
    },
    raw('INVALID_JSON', Buffer.from('{'), {
      name: 'a message with several values of a header',
      detail: ['not JSON'],
      headers: { traceparent: ['00-1', '00-2'] },
    }),
    raw('INVALID_JSON', Buffer.from('{'), {
      name: 'a message with a header named like a method of every object',
      detail: ['not JSON'],
      headers: { toString: 'x', constructor: 'y' },
    }),
    raw('INVALID_JSON', Buffer.from('{'), {
      name: 'a message with a NUL in the name of a header',
      detail: ['not JSON'],
      headers: { 'a\u0000b': 'x' },
    }),
  ];
}
