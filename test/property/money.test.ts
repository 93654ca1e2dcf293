/** Owns: that no amount changes on its way through its decimal form and through JSON. */
import { expect } from 'chai';
import fc from 'fast-check';
import { amountNano, displayAmount, formatAmount, parseAmount } from '../../src/ledger/money.js';
import { propertySeed } from '../model/property-seed.js';

const LIMIT = 2n ** 63n;
const edges = [0n, 10n ** 9n, 2n ** 53n, LIMIT - 1n];
const nearEdge = fc
  .tuple(fc.constantFrom(...edges), fc.bigInt(-3n, 3n), fc.constantFrom(1n, -1n))
  .map(([edge, distance, sign]) => sign * (edge + distance))
  .filter((nano) => nano < LIMIT && nano > -LIMIT);
const amounts = fc.oneof(fc.bigInt(1n - LIMIT, LIMIT - 1n), nearEdge, fc.bigInt(-2000n, 2000n)).map(amountNano);

const RUNS = 5_000;

describe('any amount', () => {
  it('is the same after it was written and read', () => {
    const property = fc.property(amounts, (amount) => {
      expect(parseAmount(formatAmount(amount))).to.equal(amount);
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  });

  it('is the same after it travelled through JSON', () => {
    const property = fc.property(amounts, (amount) => {
      const sent = JSON.stringify({ amount: formatAmount(amount) });
      expect(parseAmount((JSON.parse(sent) as { amount: string }).amount)).to.equal(amount);
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  });

  it('is written with nine decimals, without a superfluous zero in front and never as minus zero', () => {
    const property = fc.property(amounts, (amount) => {
      expect(formatAmount(amount)).to.match(/^(0|-?[1-9]\d*|-0(?=\.0*[1-9]))\.\d{9}$/);
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  });

  it('shown to people is the same amount with at least two decimals', () => {
    const property = fc.property(amounts, (amount) => {
      expect(displayAmount(amount)).to.match(/\.\d{2,9}$/);
      expect(parseAmount(displayAmount(amount))).to.equal(amount);
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  });

  it('reads the same with zeros around it', () => {
    const property = fc.property(amounts, fc.nat(8), fc.nat(12), (amount, front, back) => {
      const [sign, digits] = amount < 0n ? ['-', formatAmount(amount).slice(1)] : ['', formatAmount(amount)];
      expect(parseAmount(`${sign}${'0'.repeat(front)}${digits}${'0'.repeat(back)}`)).to.equal(amount);
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  });
});
