/** Owns: how good messages become events: names, defaults, times, numbers, meter maps. */
import { expect } from 'chai';
import { decodeCompleted, decodePending } from '../../../src/contract/event-gate.js';
import { EXAMPLES } from '../../../src/contract/examples.js';
import { nameMap } from '../../../src/runtime/name-map.js';
import { COMPLETED, LIMITS, PENDING, USAGE, bytesOf, completed, without } from './sample-messages.js';

describe('the event gate accepts', () => {
  it('a pending event, with no input estimated, its missing bound left to the ledger, and the time in UTC with milliseconds', () => {
    const event = { ...PENDING, estimate: {}, occurred_at: '2026-03-31T11:30:00+02:00' };
    expect(decodePending(bytesOf(without(event, 'api_key_id')), LIMITS)).to.deep.equal({
      ok: true,
      event: {
        kind: 'pending',
        eventId: '0b9f7c4e-1f1c-4d55-9f0a-6f6f2f3f8c11',
        traceId: 'trace-81f3',
        tenantId: 'tenant-42',
        occurredAt: '2026-03-31T09:30:00.000Z',
        provider: 'anthropic',
        model: 'claude-sonnet-4',
        priceClass: 'priority',
        presetItemId: 'preset-3',
        userId: 'auth0|9f2c',
        projectId: 'project-1',
        tags: nameMap(Object.entries({ team: 'search', cost_center: '4711' })),
        stream: true,
        estimate: { inputTokens: 0 },
        pricing: {
          ...{ inputPer1k: '0.003', outputPer1k: '0.015', currency: 'USD', priceVersion: 'list-2026-03' },
          meters: nameMap([['web_search_requests', '10']]),
        },
        producer: { instance: 'gateway-7c9f', epoch: 1774949400000, seq: 41 },
      },
    });
  });

  it('a completed event, allowing a negative balance exactly when it streams, unless it says otherwise', () => {
    const allowNegative = (changes: Record<string, unknown>): boolean => {
      const result = decodeCompleted(bytesOf({ ...without(COMPLETED, 'allow_negative'), ...changes }), LIMITS);
      if (!result.ok) expect.fail(result.detail);
      return result.event.allowNegative;
    };
    expect(allowNegative({ stream: true })).to.equal(true);
    expect(allowNegative({ stream: false })).to.equal(false);
    expect(allowNegative({ stream: true, allow_negative: false })).to.equal(false);
    expect(allowNegative({ stream: false, allow_negative: true })).to.equal(true);
  });

  it('an event without optional fields, leaving them absent rather than undefined', () => {
    for (const result of [
      decodePending(bytesOf(EXAMPLES.pending[1]), LIMITS),
      decodeCompleted(bytesOf(EXAMPLES.completed[1]), LIMITS),
    ]) {
      if (!result.ok) expect.fail(result.detail);
      expect(Object.values(result.event)).to.not.include(undefined);
      expect(result.event).to.not.have.any.keys('tenantId', 'pricing', 'producer', 'apiKeyId');
    }
  });

  it('a price with every digit it came with', () => {
    const price = `${'9'.repeat(18)}.${'9'.repeat(29)}0`;
    const result = decodeCompleted(completed({ pricing: { input_per_1k: price, currency: 'USD' } }), LIMITS);
    expect(result.ok && result.event.pricing?.inputPer1k).to.equal(price);
  });

  it('1.0 and 1e3 as integers, and -0 as 0', () => {
    const text = JSON.stringify(COMPLETED).replace('"schema_version":1', '"schema_version":1.0').replace('1187', '1e3');
    const result = decodeCompleted(Buffer.from(text.replace('402', '-0')), LIMITS);
    if (!result.ok) expect.fail(result.detail);
    expect(result.event.usage.inputTokens).to.equal(1000);
    expect(Object.is(result.event.usage.outputTokens, 0)).to.equal(true);
  });

  it('a meter named constructor, in a map that knows no other meter', () => {
    const result = decodeCompleted(completed({ usage: { ...USAGE, meters: { constructor: 3 } } }), LIMITS);
    if (!result.ok) expect.fail(result.detail);
    expect(result.event.usage.meters).to.deep.equal({ constructor: 3 });
    expect('toString' in (result.event.usage.meters ?? {})).to.equal(false);
    expect(result.event.pricing?.meters?.['constructor']).to.equal(undefined);
  });

  for (const [written, normal] of [
    ['2026-03-31T09:30:00.999999999Z', '2026-03-31T09:30:00.999Z'],
    ['2026-03-31T09:30:00.9Z', '2026-03-31T09:30:00.900Z'],
    ['2024-02-29T23:30:00-00:30', '2024-03-01T00:00:00.000Z'],
    ['2026-03-31T09:30:00-00:00', '2026-03-31T09:30:00.000Z'],
    ['2000-01-01T00:00:00+14:00', '1999-12-31T10:00:00.000Z'],
  ] as const) {
    it(`the time ${written} as ${normal}`, () => {
      const result = decodeCompleted(completed({ occurred_at: written }), LIMITS);
      expect(result.ok && result.event.occurredAt).to.equal(normal);
    });
  }
});
