/** Owns: the property that a price survives its way from the price map to a price per 1,000, and back, with every digit. */
import { expect } from 'chai';
import fc from 'fast-check';
import { Decimal } from 'decimal.js';
import { per1kOf } from '../../src/prices/exact-price.js';
import { parsePriceMap } from '../../src/prices/price-map-reader.js';
import { propertySeed } from '../model/property-seed.js';
import { shiftedLiteral } from '../support/shifted-literal.js';

const digits = (min: number, max: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...'0123456789'.split('')), minLength: min, maxLength: max });

/** Number literals as JSON allows them, from 1e-33 to 1e14, written in any way. */
const literals = fc
  .record({
    whole: fc.oneof(fc.constant('0'), fc.integer({ min: 1, max: 99_999 }).map(String)),
    fraction: fc.option(digits(1, 15), { nil: undefined }),
    exponent: fc.option(fc.integer({ min: -18, max: 9 }), { nil: undefined }),
    sign: fc.constantFrom('e', 'E'),
    padded: fc.boolean(),
  })
  .map(({ whole, fraction, exponent, sign, padded }) => {
    const mantissa = fraction === undefined ? whole : `${whole}.${fraction}`;
    if (exponent === undefined) return mantissa;
    const power = String(Math.abs(exponent)).padStart(padded ? 2 : 1, '0');
    return `${mantissa}${sign}${exponent < 0 ? '-' : '+'}${power}`;
  });

const Exact = Decimal.clone({ precision: 200 });

describe('a price per token as a number literal', () => {
  it('becomes the price per 1,000 that moving the point in its text gives', () => {
    fc.assert(
      fc.property(literals, (literal) => {
        expect(per1kOf(literal)).to.equal(shiftedLiteral(literal));
      }),
      { seed: propertySeed(), numRuns: 2_000 },
    );
  });

  it('is found again, exactly, by dividing by 1,000', () => {
    fc.assert(
      fc.property(literals, (literal) => {
        expect(new Exact(per1kOf(literal)).div(1000).equals(literal)).to.equal(true);
      }),
      { seed: propertySeed(), numRuns: 2_000 },
    );
  });

  it('comes out of a price map as it comes out of its text', () => {
    fc.assert(
      fc.property(literals, literals, (input, output) => {
        const entry = `{"litellm_provider":"p","input_cost_per_token":${input},"output_cost_per_token":${output}}`;
        const [prices] = parsePriceMap(Buffer.from(`{"m":${entry}}`)).prices;
        const [row] = prices?.rows ?? [];
        expect([row?.inputPer1k, row?.outputPer1k]).to.deep.equal([per1kOf(input), per1kOf(output)]);
      }),
      { seed: propertySeed(), numRuns: 2_000 },
    );
  });
});
