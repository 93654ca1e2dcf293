/** Owns: what the commands about an account itself become: opening, credit, adjustment, limits. */
import { expect } from 'chai';
import { parseAmount } from '../../../../src/ledger/money.js';
import { errorOf } from '../error-of.js';
import { account } from '../usage-samples.js';
import { decideOn, folded, IDENTITY, LARGEST } from './command-samples.js';

const units = parseAmount;
const fresh = account({ seq: 0, balanceNano: units('0') });

describe('opening an account', () => {
  const open = { kind: 'open-account', ...IDENTITY, terms: {} } as const;

  it('becomes its first entry, with its terms, its actor and its reason', () => {
    const from = account({ ...fresh, dailyQuota: 5, creditLimitNano: units('2') });
    const booking = decideOn(open, { from });
    expect(booking.opening).to.equal(undefined);
    expect(booking.entry).to.deep.include({ seq: 1, traceId: '~~open', type: 'LIMITS', status: 'COMMITTED' });
    expect(booking.entry).to.include({ actor: 'ops', description: 'asked by the tenant' });
    expect(booking.entry.detail).to.deep.equal({
      credit_limit: '2.000000000',
      daily_quota: '5',
      monthly_quota: 'unlimited',
      hold_policy: 'estimate',
    });
    expect(booking.account).to.deep.equal(folded(from, booking));
  });

  it('is refused when the tenant has an account, whatever currency it names', () => {
    for (const currency of ['USD', 'EUR']) {
      const error = errorOf(() => decideOn({ ...open, currency }));
      expect(error.code).to.equal('ACCOUNT_EXISTS');
      expect(error.message).to.include('tenant-1').and.include('USD');
    }
  });
});

describe('a credit', () => {
  const credit = { kind: 'credit', ...IDENTITY, amountNano: units('2.5') } as const;

  it('raises the balance by its amount and changes nothing else', () => {
    const booking = decideOn(credit);
    expect(booking.entry).to.include({ type: 'CREDIT', traceId: '~key-1', amountNano: units('2.5'), requests: 0 });
    expect(booking.account).to.deep.equal({ ...account(), seq: 8, balanceNano: units('12.5') });
  });

  it('opens a fresh account first', () => {
    const booking = decideOn(credit, { from: fresh });
    expect(booking.opening).to.include({ seq: 1, traceId: '~~open', type: 'LIMITS', actor: null });
    expect(booking.entry).to.include({ seq: 2, type: 'CREDIT' });
    expect(booking.account).to.deep.equal(folded(fresh, booking));
  });

  it('is refused in another currency than that of the account', () => {
    const error = errorOf(() => decideOn({ ...credit, currency: 'EUR' }));
    expect(error.code).to.equal('CURRENCY_MISMATCH');
    expect(error.message).to.equal('currency is EUR; allowed: USD, the currency of account tenant-1');
  });

  it('is refused when the balance would reach 2^63 nano-units, and not one nano-unit before', () => {
    const from = account({ balanceNano: units('0') });
    expect(decideOn({ ...credit, amountNano: LARGEST }, { from }).account.balanceNano).to.equal(LARGEST);
    const error = errorOf(() => decideOn({ ...credit, amountNano: LARGEST }));
    expect(error.code).to.equal('MONEY_OUT_OF_RANGE');
    expect(error.message).to.include('the balance of tenant-1 would become 9223372046.854775807 USD');
  });
});

describe('an adjustment', () => {
  const adjust = { kind: 'adjust', ...IDENTITY } as const;

  for (const amount of ['3.25', '-3.25', '-13.25']) {
    it(`of ${amount} moves the balance by just that, even below zero`, () => {
      const booking = decideOn({ ...adjust, amountNano: units(amount) });
      expect(booking.entry).to.include({ type: 'ADJUSTMENT', traceId: '~key-1', amountNano: units(amount) });
      expect(booking.account.balanceNano).to.equal(units('10') + units(amount));
      expect(booking.account).to.deep.equal(folded(account(), booking));
    });
  }

  it('is refused when the balance would reach -2^63 nano-units', () => {
    const from = account({ balanceNano: units('-1') });
    const error = errorOf(() => decideOn({ ...adjust, amountNano: -LARGEST as typeof LARGEST }, { from }));
    expect(error.code).to.equal('MONEY_OUT_OF_RANGE');
  });
});

describe('a change of limits', () => {
  const limits = { kind: 'limits', ...IDENTITY } as const;
  const from = account({ creditLimitNano: units('1'), dailyQuota: 10, monthlyQuota: 100, dailyUsed: 4 });

  it('changes the terms that are given and leaves the others, the balance and the counts alone', () => {
    const booking = decideOn({ ...limits, terms: { dailyQuota: 3 } }, { from });
    expect(booking.entry).to.include({ type: 'LIMITS', traceId: '~key-1', amountNano: 0n });
    expect(booking.entry.detail).to.deep.equal({
      credit_limit: '1.000000000',
      daily_quota: '3',
      monthly_quota: '100',
      hold_policy: 'estimate',
    });
    expect(booking.account).to.deep.equal({ ...from, seq: 8, dailyQuota: 3 });
  });

  it('makes a quota unlimited when it says so', () => {
    const booking = decideOn({ ...limits, terms: { monthlyQuota: null, holdPolicy: 'none' } }, { from });
    expect(booking.entry.detail).to.include({ monthly_quota: 'unlimited', hold_policy: 'none' });
    expect(booking.account).to.include({ dailyQuota: 10, monthlyQuota: null, holdPolicy: 'none' });
  });

  it('is refused when it means a credit limit in another currency', () => {
    const terms = { creditLimitNano: units('5') };
    expect(errorOf(() => decideOn({ ...limits, terms, currency: 'EUR' })).code).to.equal('CURRENCY_MISMATCH');
  });
});
