/** Owns: in which period a request counts, how far back periods are counted, and that no order of the entries matters. */
import { expect } from 'chai';
import fc from 'fast-check';
import {
  countRequests,
  PAST_DAYS,
  type RequestWindows,
  usedInMonth,
  usedOnDay,
  windowsOf,
} from '../../../src/ledger/request-windows.js';

const TODAY: RequestWindows = {
  ...{ dailyDate: '2026-03-15', dailyUsed: 3, monthlyMonth: '2026-03', monthlyUsed: 40, pastCounts: '7,0,2|9' },
};
const DAY_MS = 86_400_000;

function dayBefore(day: string, days: number): string {
  return new Date(Date.parse(day) - days * DAY_MS).toISOString().slice(0, 10);
}

describe('the requests of a period', () => {
  it('are those of the newest day and month, of the ones before as far back as they are counted, and none of later ones', () => {
    const days = ['2026-03-16', '2026-03-15', '2026-03-14', '2026-03-13', '2026-03-12', '2026-03-11', '2026-01-15'];
    expect(days.map((day) => usedOnDay(TODAY, day))).to.deep.equal([0, 3, 7, 0, 2, 0, 0]);
    expect(usedOnDay(TODAY, '2026-01-14')).to.equal(undefined);
    const months = ['2026-04', '2026-03', '2026-02', '2026-01', '2025-12'];
    expect(months.map((month) => usedInMonth(TODAY, month))).to.deep.equal([0, 40, 9, 0, undefined]);
  });

  it('count a past day and its month apart from the newest', () => {
    expect(countRequests(TODAY, '2026-03-13', 1)).to.deep.equal({ ...TODAY, monthlyUsed: 41, pastCounts: '7,1,2|9' });
    expect(countRequests(TODAY, '2026-02-28', 1)).to.deep.equal({
      ...TODAY,
      pastCounts: `7,0,2,${'0,'.repeat(11)}1|10`,
    });
    expect(countRequests(TODAY, '2025-12-31', 1)).to.deep.equal(TODAY);
  });

  it('stay counted when a newer day comes, be it tomorrow, next month or next year', () => {
    expect(countRequests(TODAY, '2026-03-16', 1)).to.deep.equal({
      ...{ dailyDate: '2026-03-16', dailyUsed: 1, monthlyMonth: '2026-03', monthlyUsed: 41, pastCounts: '3,7,0,2|9' },
    });
    expect(countRequests(TODAY, '2026-04-01', 1)).to.deep.equal({
      ...{ dailyDate: '2026-04-01', dailyUsed: 1, monthlyMonth: '2026-04', monthlyUsed: 1 },
      pastCounts: `${'0,'.repeat(16)}3,7,0,2|40,9`,
    });
    expect(countRequests(TODAY, '2027-03-15', 1)).to.include({ dailyUsed: 1, monthlyUsed: 1, pastCounts: '|' });
  });

  it('are given back where they were counted', () => {
    expect(countRequests(TODAY, '2026-03-14', -1)).to.include({ dailyUsed: 3, monthlyUsed: 39, pastCounts: '6,0,2|9' });
    expect(countRequests(TODAY, '2026-02-10', -9)).to.include({ monthlyUsed: 40, pastCounts: '7,0,2|' });
  });

  it('are the same in whatever order they are counted, and those of each day that is kept', () => {
    const ago = fc.array(fc.integer({ min: 0, max: 130 }), { minLength: 1, maxLength: 60 });
    const property = fc.property(ago, ago, (some, others) => {
      const opening = dayBefore('2026-03-15', 130);
      const days = [...some, ...others].map((days) => dayBefore('2026-03-15', days));
      const sums = new Map<string, number>();
      for (const day of days) sums.set(day, (sums.get(day) ?? 0) + 1);
      const folded = (order: readonly string[]): RequestWindows =>
        order.reduce((windows, day) => countRequests(windows, day, 1), windowsOf(opening, new Map()));
      const windows = folded(days);
      expect(folded([...days].reverse())).to.deep.equal(windows);
      expect(folded([...days].sort())).to.deep.equal(windows);
      expect(windowsOf(opening, sums)).to.deep.equal(windows);
      for (const [day, count] of sums) {
        const isKept = day >= dayBefore(windows.dailyDate, PAST_DAYS);
        expect(usedOnDay(windows, day)).to.equal(isKept ? count : undefined);
      }
    });
    fc.assert(property, { numRuns: 500 });
  });
});
