/** Owns: what the quota rule grants and refuses, with which figures, in which order. */
import { expect } from 'chai';
import { parseAmount } from '../../../src/ledger/money.js';
import { availableNano, type QuotaDelta, refusalOf } from '../../../src/ledger/quota-rule.js';
import { account } from './usage-samples.js';

const TODAY = '2026-03-15';

/** A checked charge of so many nano-units that counts one request today. */
function chargeOf(nano: bigint, changes: Partial<QuotaDelta> = {}): QuotaDelta {
  return { availableNano: -nano, checkBalance: true, requests: 1, checkQuota: true, day: TODAY, ...changes };
}

const FULL_DAY = account({ dailyQuota: 5, dailyUsed: 5 });
const FULL_MONTH = account({ monthlyQuota: 90, monthlyUsed: 90 });

describe('what is available', () => {
  it('is the balance and the credit limit less what is held', () => {
    const amounts = { balanceNano: parseAmount('1'), creditLimitNano: parseAmount('5'), heldNano: parseAmount('8') };
    expect(availableNano(account(amounts))).to.equal(-2_000_000_000n);
  });
});

describe('the balance check', () => {
  it('grants a charge of exactly what is available and refuses one nano-unit more', () => {
    const tenant = account({ creditLimitNano: parseAmount('2'), heldNano: parseAmount('3') });
    expect(refusalOf(tenant, chargeOf(9_000_000_000n))).to.equal(undefined);
    expect(refusalOf(tenant, chargeOf(9_000_000_001n))).to.deep.equal({
      code: 'INSUFFICIENT_BALANCE',
      requiredNano: 9_000_000_001n,
      availableNano: 9_000_000_000n,
    });
  });

  it('says a negative amount is available when the account is overdrawn', () => {
    expect(refusalOf(account({ balanceNano: parseAmount('-4') }), chargeOf(1n))).to.deep.equal({
      code: 'INSUFFICIENT_BALANCE',
      requiredNano: 1n,
      availableNano: -4_000_000_000n,
    });
  });

  it('never refuses a delta that does not lower what is available, however overdrawn the account', () => {
    const overdrawn = account({ balanceNano: parseAmount('-4') });
    expect(refusalOf(overdrawn, chargeOf(0n))).to.equal(undefined);
    expect(refusalOf(overdrawn, chargeOf(-1n))).to.equal(undefined);
  });

  it('is left out for a delta that may go negative', () => {
    expect(refusalOf(account(), chargeOf(10n ** 18n, { checkBalance: false }))).to.equal(undefined);
  });
});

describe('the request quotas', () => {
  it('grant the last request of the day and refuse the next with limit and used', () => {
    expect(refusalOf(account({ dailyQuota: 5, dailyUsed: 4 }), chargeOf(1n))).to.equal(undefined);
    expect(refusalOf(FULL_DAY, chargeOf(1n))).to.deep.equal({ code: 'DAILY_QUOTA_EXCEEDED', limit: 5, used: 5 });
  });

  it('grant the last request of the month and refuse the next with limit and used', () => {
    expect(refusalOf(account({ monthlyQuota: 90, monthlyUsed: 89 }), chargeOf(1n))).to.equal(undefined);
    expect(refusalOf(FULL_MONTH, chargeOf(1n))).to.deep.equal({ code: 'MONTHLY_QUOTA_EXCEEDED', limit: 90, used: 90 });
  });

  it('of zero refuse the first request', () => {
    expect(refusalOf(account({ dailyQuota: 0 }), chargeOf(1n))).to.include({ code: 'DAILY_QUOTA_EXCEEDED', limit: 0 });
    expect(refusalOf(account({ monthlyQuota: 0 }), chargeOf(1n))).to.include({ code: 'MONTHLY_QUOTA_EXCEEDED' });
  });

  it('that are null never refuse', () => {
    expect(refusalOf(account({ dailyUsed: 1e15, monthlyUsed: 1e15 }), chargeOf(1n))).to.equal(undefined);
  });

  it('do not bound a delta that counts no request or gives one back, even when they were lowered below what is used', () => {
    const lowered = account({ dailyQuota: 5, dailyUsed: 9, monthlyQuota: 5, monthlyUsed: 9 });
    expect(refusalOf(lowered, chargeOf(1n, { requests: 0 }))).to.equal(undefined);
    expect(refusalOf(lowered, chargeOf(1n, { requests: -1 }))).to.equal(undefined);
  });

  it('are left out for a delta that is not to be checked against them', () => {
    expect(refusalOf(FULL_DAY, chargeOf(1n, { checkQuota: false }))).to.equal(undefined);
  });

  it('start anew on the next day, while the month goes on', () => {
    const full = account({ dailyQuota: 5, dailyUsed: 5, monthlyQuota: 90, monthlyUsed: 90 });
    expect(refusalOf(full, chargeOf(1n, { day: '2026-03-16' }))).to.include({ code: 'MONTHLY_QUOTA_EXCEEDED' });
  });

  it('both start anew with the next month', () => {
    const full = account({ dailyQuota: 5, dailyUsed: 5, monthlyQuota: 90, monthlyUsed: 90 });
    expect(refusalOf(full, chargeOf(1n, { day: '2026-04-01' }))).to.equal(undefined);
  });

  it('judge a request of a past day by what that day has counted, and by its month', () => {
    expect(refusalOf(FULL_DAY, chargeOf(1n, { day: '2026-03-14' }))).to.equal(undefined);
    expect(refusalOf(FULL_MONTH, chargeOf(1n, { day: '2026-03-14' }))).to.include({ code: 'MONTHLY_QUOTA_EXCEEDED' });
    const yesterday = account({ dailyQuota: 5, pastCounts: '5|' });
    expect(refusalOf(yesterday, chargeOf(1n))).to.equal(undefined);
    expect(refusalOf(yesterday, chargeOf(1n, { day: '2026-03-14' }))).to.deep.equal({
      ...{ code: 'DAILY_QUOTA_EXCEEDED', limit: 5, used: 5 },
    });
  });

  it('judge a request of a past month by what that month has counted', () => {
    const full = account({ monthlyQuota: 90, monthlyUsed: 90, pastCounts: '|7' });
    expect(refusalOf(full, chargeOf(1n, { day: '2026-02-28' }))).to.equal(undefined);
    const alsoBefore = account({ monthlyQuota: 90, pastCounts: '|90' });
    expect(refusalOf(alsoBefore, chargeOf(1n, { day: '2026-02-28' }))).to.include({ code: 'MONTHLY_QUOTA_EXCEEDED' });
  });

  it('never refuse a request of a day that lies too far back to be counted', () => {
    const none = account({ dailyQuota: 0, monthlyQuota: 0 });
    expect(refusalOf(none, chargeOf(1n, { day: '2026-01-15' }))).to.include({ code: 'DAILY_QUOTA_EXCEEDED' });
    expect(refusalOf(none, chargeOf(1n, { day: '2026-01-14' }))).to.include({ code: 'MONTHLY_QUOTA_EXCEEDED' });
    expect(refusalOf(none, chargeOf(1n, { day: '2025-12-31' }))).to.equal(undefined);
  });
});

describe('the order of refusals', () => {
  const everythingSpent = account({
    balanceNano: parseAmount('0'),
    dailyQuota: 5,
    dailyUsed: 5,
    monthlyQuota: 90,
    monthlyUsed: 90,
  });

  it('is the balance first', () => {
    expect(refusalOf(everythingSpent, chargeOf(1n))?.code).to.equal('INSUFFICIENT_BALANCE');
  });

  it('is the daily quota second', () => {
    expect(refusalOf(everythingSpent, chargeOf(0n))?.code).to.equal('DAILY_QUOTA_EXCEEDED');
  });

  it('is the monthly quota last', () => {
    const unlimitedDay = { ...everythingSpent, dailyQuota: null };
    expect(refusalOf(unlimitedDay, chargeOf(0n))?.code).to.equal('MONTHLY_QUOTA_EXCEEDED');
  });
});
