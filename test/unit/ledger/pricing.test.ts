/** Owns: what metered usage costs, on sums checked by hand. */
import { expect } from 'chai';
import type { UsageCompleted } from '../../../src/ledger/events.js';
import {
  canonicalPrice,
  meteredUsage,
  costOf,
  tokenUsage,
  estimateOf,
  type MeteredUsage,
  samePrice,
} from '../../../src/ledger/pricing.js';
import { pending, PRICING } from './usage-samples.js';

function metered(...usage: [quantity: number, pricePer1k: string | undefined][]): MeteredUsage[] {
  return usage.map(([quantity, pricePer1k], index) => ({ meter: `meter_${index}`, quantity, pricePer1k }));
}

function nanoOf(...usage: [quantity: number, pricePer1k: string | undefined][]): bigint {
  const cost = costOf(metered(...usage));
  if (cost.kind !== 'priced') expect.fail(`the usage is ${cost.kind}`);
  return cost.amountNano;
}

describe('the cost of usage', () => {
  it('of 1187 input tokens at 0.003 and 402 output tokens at 0.015 per 1,000 is 0.009591', () => {
    expect(nanoOf([1187, '0.003'], [402, '0.015'])).to.equal(9_591_000n);
  });

  it('of one token at 0.003 per 1,000 is 3,000 nano-units', () => {
    expect(nanoOf([1, '0.003'])).to.equal(3_000n);
  });

  it('of nothing is zero, whatever the prices', () => {
    expect(nanoOf()).to.equal(0n);
    expect(nanoOf([0, '0.003'], [0, '0'], [0, undefined])).to.equal(0n);
  });

  it('rounds half a nano-unit up', () => {
    expect(nanoOf([1, '0.0000005'])).to.equal(1n);
    expect(nanoOf([3, '0.0000005'])).to.equal(2n);
  });

  it('rounds anything less than half a nano-unit down, to the thirtieth decimal', () => {
    expect(nanoOf([1, '0.000000499999999999999999999999'])).to.equal(0n);
    expect(nanoOf([1, '0.000000500000000000000000000001'])).to.equal(1n);
  });

  it('rounds once, at the end, and not each meter', () => {
    expect(nanoOf([1, '0.0000004'], [1, '0.0000004'])).to.equal(1n);
    expect(nanoOf([1, '0.0000005'], [1, '0.0000005'])).to.equal(1n);
    expect(nanoOf([1, '0.0000006'], [1, '0.0000006'], [1, '0.0000006'])).to.equal(2n);
  });

  it('keeps thirty decimals of a price when a large quantity makes them count', () => {
    expect(nanoOf([1_000_000_000_000, '0.000000000000000000000000000001'])).to.equal(0n);
    expect(nanoOf([1_000_000_000_000, '0.000000000000000001499999999999'])).to.equal(1n);
    expect(nanoOf([1_000_000_000_000, '0.123456789012345678901234567890'])).to.equal(123_456_789_012_345_679n);
  });

  it('rounds a large cost by its last decimal and not by its first forty digits', () => {
    expect(nanoOf([1, '1234567890123.000000499999999999999999999999'])).to.equal(1_234_567_890_123_000_000n);
  });

  it('adds every further meter to the tokens', () => {
    expect(nanoOf([1000, '0.003'], [1000, '0.015'], [960, '0.0003'], [1, '10'])).to.equal(28_288_000n);
  });

  it('rounds the whole sum when only one of its prices has more than six decimals', () => {
    expect(nanoOf([1, '0.003'], [1, '0.0000005'])).to.equal(3_001n);
    expect(nanoOf([1, '0.0000004'], [1, '0.003'])).to.equal(3_000n);
  });

  it('is the largest amount at one nano-unit below 2^63, and out of range at exactly 2^63', () => {
    expect(nanoOf([1000, '9223372036.854775807'])).to.equal(2n ** 63n - 1n);
    expect(costOf(metered([1000, '9223372036.854775808']))).to.deep.equal({ kind: 'outOfRange' });
  });

  it('is out of range when only the rounding reaches 2^63', () => {
    expect(nanoOf([1000, '9223372036.8547758074'])).to.equal(2n ** 63n - 1n);
    expect(costOf(metered([1000, '9223372036.8547758075']))).to.deep.equal({ kind: 'outOfRange' });
  });

  it('is out of range when only the sum of the meters reaches 2^63', () => {
    const half = '4611686018.427387904';
    expect(costOf(metered([1000, half]))).to.have.property('kind', 'priced');
    expect(costOf(metered([1000, half], [1000, half]))).to.deep.equal({ kind: 'outOfRange' });
  });
});

describe('usage without a price', () => {
  it('is unpriced and names each meter that was used, in order', () => {
    expect(costOf(metered([1, '0.003'], [1, undefined], [0, undefined], [2, '0']))).to.deep.equal({
      kind: 'unpriced',
      meters: ['meter_1'],
    });
  });

  for (const zero of ['0', '0.0', '000.000000000000000000000000000000']) {
    it(`is not what a price of ${zero} is: that is free`, () => {
      expect(nanoOf([1, zero])).to.equal(0n);
      expect(nanoOf([1, zero], [2000, '0.5'])).to.equal(1_000_000_000n);
    });
  }

  it('is unpriced before it is out of range', () => {
    expect(costOf(metered([1000, '99999999999'], [1, undefined])).kind).to.equal('unpriced');
  });

  it('is priced at the smallest price there is, even where the cost rounds to zero', () => {
    expect(nanoOf([1, '0.000000000000000000000000000001'])).to.equal(0n);
  });
});

describe('what an event is charged for', () => {
  it('is its estimate while it is pending', () => {
    expect(tokenUsage({ inputTokens: 7, outputTokens: 4096 }, PRICING)).to.deep.equal([
      { meter: 'input_tokens', quantity: 7, pricePer1k: '0.003' },
      { meter: 'output_tokens', quantity: 4096, pricePer1k: '0.015' },
    ]);
  });

  for (const [named, limits, held] of [
    [undefined, { outputTokensDefault: 4096, outputTokensMax: null }, 4096],
    [undefined, { outputTokensDefault: 800, outputTokensMax: null }, 800],
    [undefined, { outputTokensDefault: 800, outputTokensMax: 500 }, 500],
    [0, { outputTokensDefault: 800, outputTokensMax: 500 }, 0],
    [500, { outputTokensDefault: 800, outputTokensMax: 500 }, 500],
    [501, { outputTokensDefault: 800, outputTokensMax: 500 }, 500],
    [100_000, { outputTokensDefault: 4096, outputTokensMax: null }, 100_000],
    [7, { outputTokensDefault: 4096, outputTokensMax: 0 }, 0],
  ] as const) {
    const { outputTokensDefault, outputTokensMax } = limits;
    const rule = `default ${outputTokensDefault}, ${outputTokensMax === null ? 'no cap' : `cap ${outputTokensMax}`}`;
    it(`is an estimate of ${held} output tokens when the event names ${named ?? 'none'} (${rule})`, () => {
      const estimate = { inputTokens: 7, ...(named === undefined ? {} : { maxOutputTokens: named }) };
      expect(estimateOf(pending({ estimate }), limits, PRICING)).to.deep.equal({ inputTokens: 7, outputTokens: held });
    });
  }

  for (const [what, meters, pricing, held] of [
    [
      'no default where its meters have prices and output tokens have none',
      { images: 2 },
      { currency: 'USD', meters: { images: '40' } },
      0,
    ],
    ['the default beside its meters where output tokens have a price', { images: 2 }, PRICING, 4096],
    ['the default where it names no meters, whatever has a price', undefined, { currency: 'USD' }, 4096],
  ] as const) {
    it(`is an estimate with ${what}`, () => {
      const estimate = { inputTokens: 7, ...(meters === undefined ? {} : { meters }) };
      const limits = { outputTokensDefault: 4096, outputTokensMax: null };
      expect(estimateOf(pending({ estimate }), limits, pricing)).to.deep.equal({ ...estimate, outputTokens: held });
    });
  }

  it('is what it reports once completed, every further meter with its own price or none', () => {
    const usage: UsageCompleted['usage'] = { inputTokens: 5, outputTokens: 6, meters: { requests: 1, images: 2 } };
    expect(meteredUsage(usage, { ...PRICING, meters: { requests: '10' } })).to.deep.equal([
      { meter: 'input_tokens', quantity: 5, pricePer1k: '0.003' },
      { meter: 'output_tokens', quantity: 6, pricePer1k: '0.015' },
      { meter: 'requests', quantity: 1, pricePer1k: '10' },
      { meter: 'images', quantity: 2, pricePer1k: undefined },
    ]);
  });
});

describe('a price', () => {
  for (const [price, canonical] of [
    ['0.003', '0.003'],
    ['0.00300', '0.00300'],
    ['000.5', '0.5'],
    ['00', '0'],
    ['010', '10'],
    ['100', '100'],
  ] as const) {
    it(`${price} is recorded as ${canonical}: no leading zeros, every decimal kept`, () => {
      expect(canonicalPrice(price)).to.equal(canonical);
    });
  }

  it('is the same number whatever zeros it is written with', () => {
    expect(samePrice('0.003', '00.003000')).to.equal(true);
    expect(samePrice('0.003', '0.003000000000000000000000000001')).to.equal(false);
  });

  it('that is absent is the same as another absent one, and never the same as zero', () => {
    expect(samePrice(null, null)).to.equal(true);
    expect(samePrice(null, '0')).to.equal(false);
    expect(samePrice('0', null)).to.equal(false);
  });
});
