/** Owns: that the simulator's integer arithmetic is exact: it equals decimal.js computed with more digits than any cost has. */
import { Decimal } from 'decimal.js';
import { expect } from 'chai';
import fc from 'fast-check';
import { exactCost } from '../../src/simulator/exact-cost.js';
import { per1kFromLiteral } from '../../src/simulator/price-map.js';
import { propertySeed } from '../model/property-seed.js';

const Exact = Decimal.clone({ precision: 200, rounding: Decimal.ROUND_HALF_UP });

const digits = (most: number): fc.Arbitrary<string> =>
  fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: most }).map((list) => list.join(''));
const price = fc
  .tuple(digits(3), fc.option(digits(30), { nil: undefined }))
  .map(([whole, fraction]) => (fraction === undefined ? whole : `${whole}.${fraction}`));
const charge = fc.record({ quantity: fc.integer({ min: 0, max: 1_000_000_000 }), per1k: price });

describe('the arithmetic of the simulator', () => {
  it('costs what decimal.js says, rounded once, half-up, to nano-units', () => {
    fc.assert(
      fc.property(fc.array(charge, { maxLength: 6 }), (charges) => {
        const sum = charges.reduce(
          (total, { quantity, per1k }) => total.plus(new Exact(per1k).times(quantity)),
          new Exact(0),
        );
        const nano = sum.times(1_000_000).toDecimalPlaces(0, Decimal.ROUND_HALF_UP);
        expect(exactCost(charges)).to.equal(BigInt(nano.toFixed(0)));
      }),
      { seed: propertySeed(), numRuns: 2_000 },
    );
  });

  it('rounds exactly half a nano-unit up, and anything less down', () => {
    expect(exactCost([{ quantity: 1, per1k: '0.0000005' }])).to.equal(1n);
    expect(exactCost([{ quantity: 1, per1k: '0.000000499999999999999999999999' }])).to.equal(0n);
    expect(exactCost(Array.from({ length: 3 }, () => ({ quantity: 1, per1k: '0.0000005' })))).to.equal(2n);
  });

  it('turns any number literal into a plain string of the same value, times a thousand', () => {
    fc.assert(
      fc.property(price, fc.integer({ min: -30, max: 10 }), (mantissa, exponent) => {
        const per1k = per1kFromLiteral(`${mantissa}e${exponent}`);
        expect(per1k).to.match(/^\d+(\.\d+)?$/);
        expect(new Exact(per1k).eq(new Exact(`${mantissa}e${exponent}`).times(1000))).to.equal(true);
      }),
      { seed: propertySeed() },
    );
  });
});
