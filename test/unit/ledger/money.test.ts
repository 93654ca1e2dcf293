/** Owns: what is an amount, what is none, and how amounts are written. */
import { expect } from 'chai';
import {
  AMOUNT_LIMIT_NANO,
  amountNano,
  displayAmount,
  formatAmount,
  isAmountInRange,
  parseAmount,
} from '../../../src/ledger/money.js';
import { errorOf } from './error-of.js';

describe('an amount', () => {
  for (const [text, nano] of [
    ['0', 0n],
    ['-0', 0n],
    ['12.5', 12_500_000_000n],
    ['-12.5', -12_500_000_000n],
    ['0.000000001', 1n],
    ['007.10', 7_100_000_000n],
    ['1.000000000000000000000000000000', 1_000_000_000n],
    ['9223372036.854775807', 2n ** 63n - 1n],
    ['-9223372036.854775807', 1n - 2n ** 63n],
  ] as const) {
    it(`reads ${text} as exactly ${nano} nano-units`, () => {
      expect(parseAmount(text)).to.equal(nano);
    });
  }

  it('keeps nineteen significant digits that no JavaScript number can hold', () => {
    expect(formatAmount(parseAmount('1234567890.123456789'))).to.equal('1234567890.123456789');
    expect(Number('1234567890.123456789')).to.equal(1234567890.1234567);
  });

  for (const text of [
    '',
    ' 1',
    '1 ',
    '1\n',
    '+1',
    '.5',
    '5.',
    '1e3',
    '0x10',
    '1,5',
    '1_0',
    'NaN',
    'Infinity',
    '--1',
    '١',
  ]) {
    it(`refuses ${JSON.stringify(text)} and names the field and the text`, () => {
      const error = errorOf(() => parseAmount(text, 'credit_limit'));
      expect(error.code).to.equal('MONEY_MALFORMED');
      expect(error.message).to.include('credit_limit').and.include(JSON.stringify(text));
    });
  }

  it('refuses a tenth decimal that is not zero, and says how many decimals it found', () => {
    const error = errorOf(() => parseAmount('0.0000000010000000001'));
    expect(error.code).to.equal('MONEY_MALFORMED');
    expect(error.message).to.include('19 decimals found, at most 9 allowed');
  });

  for (const text of ['9223372036.854775808', '-9223372036.854775808', '9'.repeat(30)]) {
    it(`refuses ${text}, whose magnitude is 2^63 nano-units or more`, () => {
      const error = errorOf(() => parseAmount(text));
      expect(error.code).to.equal('MONEY_OUT_OF_RANGE');
      expect(error.disposition).to.equal('deadLetter');
      expect(error.message).to.include('9223372036.854775808');
    });
  }

  it('shows at most 64 characters of a text that is no amount', () => {
    expect(errorOf(() => parseAmount('x'.repeat(10_000))).message).to.have.length.below(150);
  });

  it('is in range below 2^63 nano-units in magnitude and out of range from there', () => {
    expect([AMOUNT_LIMIT_NANO - 1n, 1n - AMOUNT_LIMIT_NANO].map(isAmountInRange)).to.deep.equal([true, true]);
    expect([AMOUNT_LIMIT_NANO, -AMOUNT_LIMIT_NANO].map(isAmountInRange)).to.deep.equal([false, false]);
  });

  it('cannot be made of 2^63 nano-units', () => {
    expect(amountNano(2n ** 63n - 1n)).to.equal(9_223_372_036_854_775_807n);
    expect(errorOf(() => amountNano(2n ** 63n)).code).to.equal('MONEY_OUT_OF_RANGE');
    expect(errorOf(() => amountNano(-(2n ** 63n))).code).to.equal('MONEY_OUT_OF_RANGE');
  });
});

describe('the decimal form of an amount', () => {
  for (const [nano, text] of [
    [0n, '0.000000000'],
    [1n, '0.000000001'],
    [-1n, '-0.000000001'],
    [999_999_999n, '0.999999999'],
    [-1_000_000_000n, '-1.000000000'],
    [2n ** 63n - 1n, '9223372036.854775807'],
  ] as const) {
    it(`of ${nano} nano-units is ${text}, always with nine decimals`, () => {
      expect(formatAmount(amountNano(nano))).to.equal(text);
    });
  }

  for (const [text, shown] of [
    ['0', '0.00'],
    ['12.5', '12.50'],
    ['100', '100.00'],
    ['-5.1', '-5.10'],
    ['0.000075', '0.000075'],
    ['0.000000001', '0.000000001'],
  ] as const) {
    it(`for people shows ${text} as ${shown}`, () => {
      expect(displayAmount(parseAmount(text))).to.equal(shown);
    });
  }
});
