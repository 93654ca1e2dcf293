/** Owns: what the gate says about every kind of bad input. */
import { expect } from 'chai';
import { decodeCompleted, validateForPublish } from '../../../src/contract/event-gate.js';
import type { Rejection } from '../../../src/contract/event-gate.js';
import { COMPLETED, LIMITS, PENDING, USAGE, bytesOf, completed, without } from './sample-messages.js';

function refusalOf(bytes: Buffer | null): Rejection {
  const result = decodeCompleted(bytes, LIMITS);
  if (result.ok) expect.fail('the event was accepted');
  return result;
}

function expectInvalid(bytes: Buffer, ...parts: string[]): void {
  const { reason, detail } = refusalOf(bytes);
  expect(reason, detail).to.equal('INVALID_EVENT');
  for (const part of parts) expect(detail).to.include(part);
}

describe('the event gate refuses', () => {
  it('a message without a value', () => {
    expect(refusalOf(null)).to.include({ reason: 'EMPTY_MESSAGE' });
    expect(refusalOf(Buffer.alloc(0))).to.include({ reason: 'EMPTY_MESSAGE' });
  });

  it('a message above the size limit, before it is parsed, with both sizes', () => {
    const { reason, detail } = refusalOf(Buffer.alloc(10 * 1_048_576, '{'));
    expect(reason).to.equal('MESSAGE_TOO_LARGE');
    expect(detail).to.include('10485760 bytes').and.include('at most 65536');
  });

  it('bytes that are no UTF-8', () => {
    const bytes = completed({ skip_reason: 'x' });
    bytes[bytes.indexOf('"x"') + 1] = 0xff;
    expect(refusalOf(bytes)).to.include({ reason: 'INVALID_UTF8' });
  });

  for (const [what, text] of [
    ['a truncated object', '{"schema_version":1,'],
    ['blanks only', '   '],
    ['NaN', JSON.stringify(COMPLETED).replace('1187', 'NaN')],
    ['a byte order mark', `\ufeff${JSON.stringify(COMPLETED)}`],
    ['a number with a leading zero', '{"schema_version":01}'],
    ['endless brackets', '['.repeat(60_000)],
  ] as const) {
    it(`a JSON syntax error: ${what}`, () => {
      const { reason, detail } = refusalOf(Buffer.from(text));
      expect(reason).to.equal('INVALID_JSON');
      expect(detail).to.match(/^not JSON: /).and.to.have.length.below(400);
    });
  }

  for (const [text, found] of [
    ['[1,2]', 'an array (items: 2)'],
    ['null', 'null'],
    ['"text"', '"text"'],
    ['7', '7'],
  ] as const) {
    it(`JSON that is no object: ${text}`, () => {
      expectInvalid(Buffer.from(text), `the message is ${found}`, 'a JSON object');
    });
  }

  for (const [what, side, usage] of [
    ['cached input', 'input', { input_tokens: 1000, output_tokens: 1, meters: { cached_input_tokens: 900 } }],
    ['written input', 'input', { input_tokens: 1000, output_tokens: 1, meters: { cache_creation_1h_input_tokens: 1 } }],
    ['reasoning', 'output', { input_tokens: 1, output_tokens: 1000, meters: { reasoning_output_tokens: 80 } }],
  ] as const) {
    it(`usage whose total still counts ${what}, and says how to mend it`, () => {
      const declared = { [`${side}_tokens`]: 1000 };
      const mend = `send in usage.${side}_tokens only the tokens that no other meter counts`;
      expectInvalid(completed({ usage: { ...usage, declared } }), `${side}_tokens meters add up to`, mend);
      expect(decodeCompleted(completed({ usage }), LIMITS).ok, 'nothing is declared').to.equal(true);
      const wire = JSON.parse(completed({ usage: { ...usage, declared } }).toString()) as Record<string, unknown>;
      expect(validateForPublish('completed', wire)).to.include({ ok: false, reason: 'INVALID_EVENT' });
    });
  }

  for (const [written, read] of [
    ['0.99999999999999999999', '1'],
    ['1186.99999999999999999999999', '1187'],
    ['1187.000000000000000000001', '1187'],
    ['1e-400', '0'],
  ] as const) {
    it(`a quantity of ${written}, which no double holds: it is judged by its digits`, () => {
      const text = JSON.stringify(COMPLETED).replace('1187', written);
      expectInvalid(Buffer.from(text), `input_tokens: found ${written}, which is read as ${read}; allowed: an integer`);
    });
  }

  it('tags that are too many, too long, misnamed, no text, or hide or reorder text', () => {
    const nine = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`t${index}`, 'x']));
    for (const tags of [nine, { a: 'x'.repeat(129) }, { a: '' }, { 'a b': 'x' }, { a: 7 }, { a: 'x\u202ey' }, [], 'a']) {
      expectInvalid(completed({ tags }), 'tags: found');
    }
  });

  it('an unknown schema version under a reason of its own', () => {
    expect(refusalOf(completed({ schema_version: 2 }))).to.deep.equal({
      ok: false,
      reason: 'UNKNOWN_SCHEMA_VERSION',
      detail: 'schema_version: found 2, allowed: 1',
    });
  });

  it('a schema version that is missing or no integer as an invalid event', () => {
    expectInvalid(bytesOf(without(COMPLETED, 'schema_version')), 'schema_version: found nothing, allowed: 1');
    expectInvalid(completed({ schema_version: '1' }), 'schema_version: found "1", allowed: 1');
    expectInvalid(completed({ schema_version: 1.5 }), 'schema_version: found 1.5, allowed: 1');
  });

  for (const field of ['event_id', 'trace_id', 'occurred_at', 'provider', 'model', 'stream', 'outcome', 'usage']) {
    it(`an event without ${field}, naming it`, () => {
      expectInvalid(bytesOf(without(COMPLETED, field)), `${field}: found nothing, allowed: `);
    });
  }

  it('a wrong type with the value found and what is allowed', () => {
    expectInvalid(completed({ stream: 'yes' }), 'stream: found "yes", allowed: true or false');
    expectInvalid(completed({ trace_id: 12 }), 'trace_id: found 12, allowed: 1 to 256 of');
    expectInvalid(completed({ usage: [] }), 'usage: found an array (items: 0), allowed: an object');
    expectInvalid(completed({ pricing: 'free' }), 'pricing: found "free", allowed: an object');
  });

  it('an explicit null in an optional field', () => {
    expectInvalid(completed({ tenant_id: null }), 'tenant_id: found null');
  });

  for (const [what, json, found] of [
    ['negative', '-5', '-5'],
    ['fractional', '1.5', '1.5'],
    ['beyond all numbers (1e400)', '1e400', 'Infinity'],
    ['above 1e12', '1000000000001', '1000000000001'],
    ['written as text', '"7"', '"7"'],
  ] as const) {
    it(`a token count that is ${what}`, () => {
      const text = JSON.stringify(COMPLETED).replace('1187', json);
      expectInvalid(
        Buffer.from(text),
        `usage.input_tokens: found ${found}, allowed: an integer from 0 to 1000000000000`,
      );
    });
  }

  it('an unknown enum value, listing the known ones', () => {
    const sentence = 'outcome: found "exploded", allowed: one of succeeded, failed, cancelled';
    expectInvalid(completed({ outcome: 'exploded' }), sentence);
  });

  for (const identifier of ['{tenant}', 'a b', '', '~command', 'x'.repeat(257), 'a\u0000b', 'ünter']) {
    it(`the tenant id ${JSON.stringify(identifier.slice(0, 20))}, which cannot become a key`, () => {
      expectInvalid(completed({ tenant_id: identifier }), 'tenant_id: found "', 'allowed: 1 to 256 of A-Z a-z 0-9');
    });
  }

  for (const price of [0.003, '-0.1', '+1', '1e3', '1,5', '.5', '5.', '', '1'.repeat(19), `0.${'1'.repeat(31)}`]) {
    it(`the price ${JSON.stringify(price)}, which is no plain decimal string`, () => {
      expectInvalid(completed({ pricing: { input_per_1k: price, currency: 'USD' } }), 'pricing.input_per_1k: found ');
    });
  }

  it('pricing without a currency', () => {
    expectInvalid(completed({ pricing: {} }), 'pricing.currency: found nothing, allowed: 3 to 8 of A-Z');
  });

  for (const time of ['2026-02-30T00:00:00Z', '2026-06-30T23:59:60Z', '2026-06-30T12:00:00', '30.06.2026', 1774949400]) {
    it(`the time ${JSON.stringify(time)}`, () => {
      expectInvalid(completed({ occurred_at: time }), `occurred_at: found ${JSON.stringify(time)}`, 'RFC 3339');
    });
  }

  it('a misspelt field, which would silently change what is charged', () => {
    const sentence = 'allow_negatve (found true): not a field of the contract, allowed: ';
    expectInvalid(completed({ allow_negatve: true }), sentence, 'allow_negative');
    expectInvalid(completed({ usage: { ...USAGE, meter: {} } }), 'usage.meter (found an object (fields: 0))');
  });

  it('meters with a bad name, a bad quantity or in too great a number, naming the meter', () => {
    expectInvalid(completed({ usage: { ...USAGE, meters: { 'Bad-Name': 1 } } }), 'usage.meters', '"Bad-Name"');
    expectInvalid(completed({ usage: { ...USAGE, meters: { cached: 1.5 } } }), 'usage.meters', 'cached is 1.5');
    const meters = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`m${index}`, 1]));
    expectInvalid(completed({ usage: { ...USAGE, meters } }), 'usage.meters', 'at most 16 meters');
    expectInvalid(completed({ pricing: { currency: 'USD', meters: { cached: 1 } } }), 'pricing.meters', 'cached is 1');
  });

  it('control characters and lone surrogates in a skip reason', () => {
    expectInvalid(completed({ skip_reason: 'a\u0000b' }), 'skip_reason: found "a\\u0000b"');
    expectInvalid(completed({ skip_reason: '\ud800' }), 'skip_reason: found "\\ud800"');
  });

  it('an object with own __proto__ and constructor keys, without touching any prototype', () => {
    const text = JSON.stringify(COMPLETED).replace('{', '{"__proto__":{"polluted":1},"constructor":{"x":1},');
    expectInvalid(Buffer.from(text), '__proto__ (found an object', 'constructor (found an object');
    expect(Object.keys(Object.prototype)).to.deep.equal([]);
    expect(({} as Record<string, unknown>)['polluted']).to.equal(undefined);
  });

  it('deep nesting, wherever it stands', () => {
    const deep = `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`;
    for (const field of ['usage', 'stream', 'tenant_id', 'unknown']) {
      const text = JSON.stringify({ ...COMPLETED, [field]: '@' }).replace('"@"', deep);
      expectInvalid(Buffer.from(text), field);
    }
  });

  it('an event with many faults in one report of at most 1,000 characters', () => {
    const faults = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`field_${index}`, 'x'.repeat(60)]));
    const { detail } = refusalOf(bytesOf(faults));
    expect(detail.length).to.be.within(500, 1000);
  });

  it('a long value by its first 64 characters', () => {
    const { detail } = refusalOf(completed({ outcome: 'y'.repeat(5_000) }));
    expect(detail).to.match(/outcome: found "y{50,63}…, allowed/);
  });
});

describe('the check before publishing', () => {
  it('accepts what the consumer accepts and explains what it refuses', () => {
    expect(validateForPublish('pending', PENDING)).to.deep.equal({ ok: true });
    const verdict = validateForPublish('completed', { ...COMPLETED, usage: { input_tokens: NaN, output_tokens: 1 } });
    expect(verdict).to.deep.include({ ok: false, reason: 'INVALID_EVENT' });
    expect(verdict).to.have.property('detail').that.includes('usage.input_tokens: found NaN');
  });
});
