/** Owns: that a cost is exact: it equals a fraction of bigints, rounded once, half-up. */
import { expect } from 'chai';
import fc from 'fast-check';
import {
  canonicalPrice,
  costOf,
  tokenUsage,
  type MeteredUsage,
  samePrice,
  tokenCost,
} from '../../src/ledger/pricing.js';
import { propertySeed } from '../model/property-seed.js';

const RUNS = 3_000;
const SCALE_DIGITS = 30;
const SCALE = 10n ** BigInt(SCALE_DIGITS);

const smallPrices = fc.stringMatching(/^0{1,3}(\.[0-9]{1,30})?$/);
const anyPrices = fc.stringMatching(/^[0-9]{1,18}(\.[0-9]{1,30})?$/);
const prices = fc.oneof({ weight: 3, arbitrary: smallPrices }, { weight: 1, arbitrary: anyPrices });
const quantities = fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 0, max: 1e12 }));
/** Prices of at most six decimals are whole nano-units per unit: nothing is rounded, and another path computes it. */
const wholePrices = fc.stringMatching(/^[0-9]{1,6}(\.[0-9]{1,6}0{0,3})?$/);

function usagesAt(pricePer1k: fc.Arbitrary<string>): fc.Arbitrary<MeteredUsage[]> {
  const meter = fc.constantFrom('input_tokens', 'requests');
  const price = fc.option(pricePer1k, { nil: undefined, freq: 40 });
  return fc.array(fc.record({ meter, quantity: quantities, pricePer1k: price }), { maxLength: 18 });
}

const usages = fc.oneof(usagesAt(prices), usagesAt(wholePrices), usagesAt(fc.oneof(prices, wholePrices)));

/** A price as a count of 1e-30 of the currency unit. */
function scaled(price: string): bigint {
  const [whole = '', fraction = ''] = price.split('.');
  return BigInt(whole + fraction.padEnd(SCALE_DIGITS, '0'));
}

/** Σ quantity × price / 1000 in nano-units, as the fraction numerator / (1000 × SCALE), rounded half-up. */
function costByFractions(usage: readonly MeteredUsage[]): bigint {
  const numerator = usage.reduce((total, each) => total + BigInt(each.quantity) * scaled(each.pricePer1k ?? '0'), 0n);
  const denominator = 1000n * SCALE;
  return (2n * numerator * 10n ** 9n + denominator) / (2n * denominator);
}

describe('the cost of any usage', () => {
  it('is the exact sum rounded once, unpriced without a price, out of range from 2^63 nano-units', () => {
    const seen = { priced: 0, unpriced: 0, outOfRange: 0 };
    const property = fc.property(usages, (usage) => {
      const cost = costOf(usage);
      seen[cost.kind] += 1;
      const lacksPrice = usage.some(({ quantity, pricePer1k }) => quantity > 0 && pricePer1k === undefined);
      const nano = costByFractions(usage);
      expect(cost.kind).to.equal(lacksPrice ? 'unpriced' : nano < 2n ** 63n ? 'priced' : 'outOfRange');
      if (cost.kind === 'priced') expect(cost.amountNano).to.equal(nano);
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
    expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).to.be.above(0);
  });

  it('does not depend on the order of the meters', () => {
    const shuffled = usages.chain((usage) =>
      fc.tuple(fc.constant(usage), fc.shuffledSubarray(usage, { minLength: usage.length })),
    );
    const property = fc.property(shuffled, ([usage, again]) => {
      const [cost, same] = [costOf(usage), costOf(again)];
      expect(same.kind).to.equal(cost.kind);
      if (cost.kind === 'priced') expect(same).to.deep.equal(cost);
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  });
});

describe('the cost of tokens alone', () => {
  it('is that of their metered usage, whatever their prices, and with one or both missing', () => {
    const price = fc.oneof(prices, wholePrices, fc.constantFrom('0', '0.000', undefined));
    const seen = { priced: 0, unpriced: 0, outOfRange: 0 };
    const property = fc.property(quantities, quantities, price, price, (input, output, inputPrice, outputPrice) => {
      const tokens = { inputTokens: input, outputTokens: output };
      const pricing = {
        currency: 'USD',
        ...(inputPrice === undefined ? {} : { inputPer1k: inputPrice }),
        ...(outputPrice === undefined ? {} : { outputPer1k: outputPrice }),
      };
      const cost = tokenCost(tokens, pricing);
      seen[cost.kind] += 1;
      expect(cost).to.deep.equal(costOf(tokenUsage(tokens, pricing)));
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
    expect(Math.min(...Object.values(seen)), JSON.stringify(seen)).to.be.above(0);
  });
});

describe('any price', () => {
  it('keeps its value and every decimal in the form that is recorded', () => {
    const property = fc.property(prices, (price) => {
      const recorded = canonicalPrice(price);
      expect(recorded).to.match(/^(0|[1-9]\d*)(\.\d+)?$/);
      expect(scaled(recorded)).to.equal(scaled(price));
      expect(recorded.split('.')[1]).to.equal(price.split('.')[1]);
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  });

  it('is the same as another exactly when both are the same number', () => {
    const short = fc.stringMatching(/^[0-1]{1,2}(\.[0-1]{1,2})?$/);
    const property = fc.property(short, short, (left, right) => {
      expect(samePrice(left, right)).to.equal(scaled(left) === scaled(right));
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  });
});
