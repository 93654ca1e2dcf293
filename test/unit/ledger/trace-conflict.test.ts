/** Owns: when a second completion is a duplicate, and which fields a conflict names. */
import { expect } from 'chai';
import type { UsageCompleted } from '../../../src/ledger/events.js';
import type { TraceState } from '../../../src/ledger/trace.js';
import { book, completed, decideOn, NO_TOKENS, PRICING } from './usage-samples.js';

const METERED = completed({
  usage: { inputTokens: 1000, outputTokens: 1000, meters: { requests: 1, images: 0 } },
  pricing: { ...PRICING, meters: { requests: '10' } },
});

/** The state of the trace that a first completion left. */
function chargedBy(first: UsageCompleted): TraceState {
  return { status: 'COMMITTED', content: book({ status: 'NONE' }, first).entry };
}

function again(changes: Partial<UsageCompleted>, first: UsageCompleted = METERED) {
  return decideOn(chargedBy(first), { ...first, ...changes });
}

function priced(changes: Partial<NonNullable<UsageCompleted['pricing']>>): UsageCompleted['pricing'] & object {
  return { ...PRICING, meters: { requests: '10' }, ...changes };
}

describe('a second completion is a duplicate', () => {
  const same: readonly [what: string, changes: Partial<UsageCompleted>][] = [
    ['when it is the same message', {}],
    ['under another event id', { eventId: 'event-2' }],
    ['at another time', { occurredAt: '2026-03-16T10:00:00.000Z' }],
    ['from another producer', { producer: { instance: 'gateway-2', epoch: 1, seq: 0 } }],
    [
      'with its prices written with other zeros',
      { pricing: priced({ inputPer1k: '00.0030', outputPer1k: '0.01500' }) },
    ],
    [
      'without naming a meter it did not use',
      { usage: { inputTokens: 1000, outputTokens: 1000, meters: { requests: 1 } } },
    ],
    ['with other permission to go negative', { allowNegative: true }],
    ['for another user, project and tags, which decide nothing', { userId: 'u', projectId: 'p', tags: { team: 'b' } }],
    ['under another API key and preset', { apiKeyId: 'key-2', presetItemId: 'preset-2' }],
    ['of the standard class by name', { priceClass: 'standard' }],
  ];
  for (const [what, changes] of same) {
    it(what, () => {
      expect(again(changes)).to.deep.equal({ kind: 'duplicate' });
    });
  }
});

describe('a second completion is a conflict that names', () => {
  const differing: readonly [fields: readonly string[], changes: Partial<UsageCompleted>][] = [
    [['usage.input_tokens', 'cost'], { usage: { inputTokens: 1, outputTokens: 1000, meters: { requests: 1 } } }],
    [['usage.output_tokens', 'cost'], { usage: { inputTokens: 1000, outputTokens: 1, meters: { requests: 1 } } }],
    [['usage.meters', 'cost'], { usage: { inputTokens: 1000, outputTokens: 1000, meters: { requests: 2 } } }],
    [['usage.meters', 'cost'], { usage: { inputTokens: 1000, outputTokens: 1000 } }],
    [['pricing.input_per_1k', 'cost'], { pricing: priced({ inputPer1k: '0.004' }) }],
    [['pricing.output_per_1k', 'cost'], { pricing: priced({ outputPer1k: '0.016' }) }],
    [['pricing.currency'], { pricing: priced({ currency: 'EUR' }) }],
    [['pricing.price_version'], { pricing: priced({ priceVersion: 'v2' }) }],
    [['price_class'], { priceClass: 'priority' }],
    [['provider'], { provider: 'openai' }],
    [['model'], { model: 'gpt-4o' }],
    [['outcome'], { outcome: 'failed' }],
  ];
  for (const [fields, changes] of differing) {
    it(`${fields.join(' and ')}, given ${JSON.stringify(changes)}`, () => {
      expect(again(changes)).to.deep.equal({ kind: 'conflict', fields });
    });
  }

  it('every field that differs, in the order of the contract', () => {
    const changes = { model: 'gpt-4o', provider: 'openai', outcome: 'cancelled', usage: NO_TOKENS } as const;
    expect(again(changes)).to.deep.equal({
      kind: 'conflict',
      fields: ['usage.input_tokens', 'usage.output_tokens', 'usage.meters', 'provider', 'model', 'outcome', 'cost'],
    });
  });

  it('the price and not the cost, when the second carries no price to compute one', () => {
    const pricing = { currency: 'USD', priceVersion: 'v1', outputPer1k: '0.015' };
    expect(again({ pricing }, completed())).to.deep.equal({ kind: 'conflict', fields: ['pricing.input_per_1k'] });
  });
});
