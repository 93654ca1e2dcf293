/** Owns: what the scanner of plain messages shares between events, and which messages it leaves to the gate. */
import { expect } from 'chai';
import { scanCompleted, scanPending } from '../../../src/contract/event-scanner.js';
import type { UsageCompleted } from '../../../src/ledger/events.js';
import { COMPLETED, PENDING, bytesOf, completed } from './sample-messages.js';

function scanned(bytes: Buffer): UsageCompleted {
  const event = scanCompleted(bytes);
  if (event === undefined) expect.fail('the message was left to the gate');
  return event;
}

function priced(price: string, more: object = {}): Buffer {
  return completed({ pricing: { input_per_1k: price, currency: 'USD', ...more } });
}

describe('the scanner of plain messages shares', () => {
  it('one frozen pricing between all events that carry the same bytes', () => {
    const [one, other] = [scanned(bytesOf(COMPLETED)), scanned(bytesOf(COMPLETED))];
    expect(one.pricing).to.equal(other.pricing);
    expect(Object.isFrozen(one.pricing)).to.equal(true);
    expect(Object.isFrozen(one.pricing?.meters)).to.equal(true);
    expect(scanPending(bytesOf({ ...PENDING, pricing: COMPLETED['pricing'] }))?.pricing).to.equal(one.pricing);
  });

  it('no pricing between events whose bytes differ, however little and however many there are', () => {
    for (const price of ['0.003', '0.0030', '0.004', '0.003']) {
      expect(scanned(priced(price)).pricing).to.deep.equal({ currency: 'USD', inputPer1k: price });
    }
    expect(scanned(priced('0.003', { price_version: 'a' })).pricing?.priceVersion).to.equal('a');
    for (let index = 0; index < 5000; index += 1) {
      const price = `${index}.003`;
      expect(scanned(priced(price)).pricing?.inputPer1k).to.equal(price);
    }
  });

  it('no pricing that is longer than a place has room for, and reads it all the same', () => {
    const meters = Object.fromEntries(
      Array.from({ length: 16 }, (_, index) => [`meter_number_${index}`, `${index}.5`]),
    );
    const [one, other] = [scanned(priced('1', { meters })), scanned(priced('1', { meters }))];
    expect(one.pricing).to.deep.equal(other.pricing);
    expect(one.pricing).to.not.equal(other.pricing);
    expect(Object.keys(one.pricing?.meters ?? {})).to.have.length(16);
  });

  it('nothing else: another event has a usage, meters and a producer of its own', () => {
    const [one, other] = [scanned(bytesOf(COMPLETED)), scanned(bytesOf(COMPLETED))];
    expect(one).to.deep.equal(other);
    expect(one).to.not.equal(other);
    expect(one.usage).to.not.equal(other.usage);
    expect(one.usage.meters).to.not.equal(other.usage.meters);
    expect(one.producer).to.not.equal(other.producer);
  });

  it('no optional field of the message before', () => {
    scanned(completed({ preset_item_id: 'preset-3', skip_reason: 'internal' }));
    const { event_id, trace_id, occurred_at, provider, model, stream, outcome, usage } = COMPLETED;
    const bare = { schema_version: 1, event_id, trace_id, occurred_at, provider, model, stream, outcome, usage };
    const event = scanned(bytesOf(bare));
    expect(event).to.not.have.any.keys('tenantId', 'apiKeyId', 'presetItemId', 'pricing', 'producer', 'skipReason');
  });
});

describe('the scanner of plain messages leaves to the gate', () => {
  const text = JSON.stringify(COMPLETED);
  for (const [what, message] of [
    ['an escape', text.replace('trace-81f3', '\\u0074race-81f3')],
    ['a letter of another alphabet', text.replace('"allow_negative"', '"skip_reason":"überlassen","allow_negative"')],
    ['a key that comes twice', text.replace('{', '{"trace_id":"trace-1",')],
    ['an unknown key', text.replace('{', '{"eventId":"event-1",')],
    ['a fraction', text.replace('1187', '1187.0')],
    ['an exponent', text.replace('1187', '1e3')],
    ['a negative zero', text.replace('1187', '-0')],
    ['a byte order mark', `\ufeff${text}`],
    ['a missing field', text.replace('"outcome":"succeeded",', '')],
    ['a second object', `${text}${text}`],
    ['a missing end', text.slice(0, -1)],
    ['an empty message', ''],
    ['a message that is longer than any plain one', text.replace('{', `{${' '.repeat(13_000)}`)],
  ] as const) {
    it(what, () => {
      expect(scanCompleted(Buffer.from(message))).to.equal(undefined);
      expect(scanned(Buffer.from(text)).traceId).to.equal('trace-81f3');
    });
  }
});
