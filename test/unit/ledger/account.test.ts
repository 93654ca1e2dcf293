/** Owns: how an account folds its entries: windows, terms, and what does not follow. */
import { expect } from 'chai';
import { type Account, emptyAccount, evolve, termsOf } from '../../../src/ledger/account.js';
import type { LedgerEntry } from '../../../src/ledger/entry.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { dayOf } from '../../../src/ledger/trace.js';
import { errorOf } from './error-of.js';
import { account, book, charge, completed, NO_TOKENS, pending } from './usage-samples.js';

type Windows = Pick<Account, 'dailyDate' | 'dailyUsed' | 'monthlyMonth' | 'monthlyUsed'>;

function windowsOf({ dailyDate, dailyUsed, monthlyMonth, monthlyUsed }: Account): Windows {
  return { dailyDate, dailyUsed, monthlyMonth, monthlyUsed };
}

/** An account in the windows of a day, with 3 requests counted that day and 40 that month. */
function busyOn(day: string): Account {
  return account({ dailyDate: day, dailyUsed: 3, monthlyMonth: day.slice(0, 7), monthlyUsed: 40 });
}

/** The windows after a request that a busy account of `day` charges at `occurredAt`. */
function afterChargeAt(occurredAt: string, day: string): Windows {
  return windowsOf(book({ status: 'NONE' }, completed({ occurredAt }), busyOn(day)).account);
}

describe('the request windows of an account', () => {
  it('count a request at 23:59:59.999 in the day that ends', () => {
    expect(afterChargeAt('2026-03-15T23:59:59.999Z', '2026-03-15')).to.deep.equal({
      dailyDate: '2026-03-15',
      dailyUsed: 4,
      monthlyMonth: '2026-03',
      monthlyUsed: 41,
    });
  });

  it('open the next day at 00:00:00.000, while the month goes on', () => {
    expect(afterChargeAt('2026-03-16T00:00:00.000Z', '2026-03-15')).to.deep.equal({
      dailyDate: '2026-03-16',
      dailyUsed: 1,
      monthlyMonth: '2026-03',
      monthlyUsed: 41,
    });
  });

  for (const [what, last, next] of [
    ['a month of 30 days', '2026-04-30', '2026-05-01'],
    ['a year', '2026-12-31', '2027-01-01'],
    ['February of a leap year', '2028-02-29', '2028-03-01'],
    ['February of a common year', '2026-02-28', '2026-03-01'],
  ] as const) {
    it(`stay open until the last millisecond of ${what} and open day and month anew right after`, () => {
      const open = { dailyDate: last, dailyUsed: 4, monthlyMonth: last.slice(0, 7), monthlyUsed: 41 };
      const opened = { dailyDate: next, dailyUsed: 1, monthlyMonth: next.slice(0, 7), monthlyUsed: 1 };
      expect(afterChargeAt(`${last}T23:59:59.999Z`, last)).to.deep.equal(open);
      expect(afterChargeAt(`${next}T00:00:00.000Z`, last)).to.deep.equal(opened);
    });
  }

  it('count 29 February of a leap year in February', () => {
    expect(afterChargeAt('2028-02-29T00:00:00.000Z', '2028-02-28')).to.deep.equal({
      dailyDate: '2028-02-29',
      dailyUsed: 1,
      monthlyMonth: '2028-02',
      monthlyUsed: 41,
    });
  });

  it('leave the open day alone when a late event belongs to an earlier day of the same month', () => {
    expect(afterChargeAt('2026-03-14T23:59:59.999Z', '2026-03-15')).to.deep.equal({
      dailyDate: '2026-03-15',
      dailyUsed: 3,
      monthlyMonth: '2026-03',
      monthlyUsed: 41,
    });
  });

  it('are both left alone by a late event of a past month', () => {
    expect(afterChargeAt('2026-02-28T23:59:59.999Z', '2026-03-01')).to.deep.equal(windowsOf(busyOn('2026-03-01')));
  });

  it('still take the money of a late event of a past month', () => {
    const late = completed({ occurredAt: '2026-02-28T23:59:59.999Z' });
    expect(book({ status: 'NONE' }, late, busyOn('2026-03-01')).account.balanceNano).to.equal(parseAmount('9.982'));
  });

  it('are UTC days of the event', () => {
    expect(dayOf('2026-03-15T23:59:59.999Z')).to.equal('2026-03-15');
  });
});

describe('a request that is given back', () => {
  const cancelled = completed({ outcome: 'cancelled', usage: NO_TOKENS, occurredAt: '2026-03-16T08:00:00.000Z' });

  function afterVoid(countedOn: string, from: Account): Windows {
    return windowsOf(book({ status: 'PENDING', heldNano: from.heldNano, countedOn }, cancelled, from).account);
  }

  it('leaves the day and the month it was counted in', () => {
    expect(afterVoid('2026-03-15', busyOn('2026-03-15'))).to.include({ dailyUsed: 2, monthlyUsed: 39 });
  });

  it('on the next day leaves the month only', () => {
    expect(afterVoid('2026-03-15', busyOn('2026-03-16'))).to.include({ dailyUsed: 3, monthlyUsed: 39 });
  });

  it('in the next month leaves neither', () => {
    expect(afterVoid('2026-02-28', busyOn('2026-03-16'))).to.deep.equal(windowsOf(busyOn('2026-03-16')));
  });
});

describe('an account', () => {
  it('starts empty, in the windows of the day it opens, with the given terms', () => {
    const terms = {
      creditLimitNano: parseAmount('5'),
      dailyQuota: 10,
      monthlyQuota: null,
      holdPolicy: 'none',
    } as const;
    const opening = { tenantId: 'tenant-1', currency: 'EUR', day: '2026-03-15' };
    const nothing = { balanceNano: 0n, heldNano: 0n, dailyUsed: 0, monthlyUsed: 0, seq: 0 };
    const windows = { dailyDate: '2026-03-15', monthlyMonth: '2026-03', pastCounts: '|' };
    const expected = { ...terms, ...nothing, ...windows, tenantId: 'tenant-1', currency: 'EUR' };
    expect(emptyAccount(opening, terms)).to.deep.equal(expected);
  });

  it('takes balance, held amount and seq from the entry', () => {
    const { account: after, entry } = book({ status: 'NONE' }, pending());
    expect(evolve(account(), entry)).to.deep.equal(after);
    expect(after).to.include({ balanceNano: parseAmount('10'), heldNano: parseAmount('0.033'), seq: 8 });
  });

  it('takes its terms from a LIMITS entry and from no other', () => {
    const detail = { credit_limit: '7.500000000', daily_quota: '0', monthly_quota: 'unlimited', hold_policy: 'none' };
    const limits = { creditLimitNano: parseAmount('7.5'), dailyQuota: 0, monthlyQuota: null, holdPolicy: 'none' };
    const before = account({ dailyQuota: 5, monthlyQuota: 6 });
    expect(evolve(before, charge({ type: 'LIMITS', detail }))).to.include(limits);
    expect(evolve(before, charge({ detail }))).to.include({ dailyQuota: 5, monthlyQuota: 6, holdPolicy: 'estimate' });
  });

  const strangers: readonly [what: string, changes: Partial<LedgerEntry>][] = [
    ['of another tenant', { tenantId: 'tenant-2' }],
    ['that leaves a gap in seq', { seq: 9 }],
    ['that repeats a seq', { seq: 7 }],
    ['that starts from another balance', { balanceBeforeNano: parseAmount('10.000000001') }],
    ['that starts from another held amount', { heldBeforeNano: parseAmount('0.000000001') }],
  ];
  for (const [what, changes] of strangers) {
    it(`refuses an entry ${what} as a corrupt ledger`, () => {
      const error = errorOf(() => evolve(account(), charge(changes)));
      expect(error).to.include({ code: 'LEDGER_CORRUPT', disposition: 'halt' });
      expect(error.message).to.include('does not follow tenant-1#7');
    });
  }
});

describe('recorded terms', () => {
  const recorded = { credit_limit: '1.5', daily_quota: '100', monthly_quota: 'unlimited', hold_policy: 'estimate' };

  it('are read with unlimited as null', () => {
    expect(termsOf(recorded)).to.deep.equal({
      creditLimitNano: parseAmount('1.5'),
      dailyQuota: 100,
      monthlyQuota: null,
      holdPolicy: 'estimate',
    });
  });

  const damages: readonly Readonly<Record<string, string>>[] = [
    {},
    { ...recorded, hold_policy: 'all' },
    { ...recorded, daily_quota: '-1' },
    { ...recorded, daily_quota: '1.5' },
    { ...recorded, monthly_quota: 'many' },
    { ...recorded, monthly_quota: '9007199254740992' },
    { credit_limit: '1.5', hold_policy: 'estimate' },
  ];
  for (const damaged of damages) {
    it(`${JSON.stringify(damaged)} are a corrupt ledger`, () => {
      expect(errorOf(() => termsOf(damaged)).code).to.equal('LEDGER_CORRUPT');
    });
  }

  it('with an empty quota are a corrupt ledger and not a quota of zero', () => {
    for (const quota of ['', ' ', '0x10', '1e3']) {
      expect(errorOf(() => termsOf({ ...recorded, daily_quota: quota })).code, quota).to.equal('LEDGER_CORRUPT');
    }
  });

  it('with a credit limit that is no amount are a corrupt ledger and not a dead letter', () => {
    for (const limit of ['lots', '', '1e3', '9223372036.854775808']) {
      expect(errorOf(() => termsOf({ ...recorded, credit_limit: limit })).code, limit).to.equal('LEDGER_CORRUPT');
    }
  });
});
