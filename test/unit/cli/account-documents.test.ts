/** Owns: what `account show` says of an account beside Redis, in every way the two can stand. */
import { expect } from 'chai';
import {
  accountReportDocument,
  accountReportText,
  accountTable,
  type AccountReport,
} from '../../../src/cli/account-documents.js';
import type { QuotaGlance } from '../../../src/cli/quota-glance.js';
import { amountNano, parseAmount } from '../../../src/ledger/money.js';
import type { InflightItem } from '../../../src/lua/quota-scripts.js';
import { quotaHashOf } from '../../../src/projections/quota-hash-of.js';
import { account } from '../ledger/usage-samples.js';

const RECORDED_AT = '2026-03-15T10:00:01.000Z';
const LEDGER = account({
  heldNano: parseAmount('2'),
  creditLimitNano: parseAmount('1'),
  dailyQuota: 100,
  dailyUsed: 5,
});
const ITEM: InflightItem = {
  ...{ traceId: 'trace-1', phase: 'p', availableNano: -500_000_000n, requests: 1, day: '2026-03-15' },
  createdAtMs: Date.parse(RECORDED_AT),
};

function report(glance: QuotaGlance | null, changes: Partial<AccountReport> = {}): AccountReport {
  const openHolds = { count: 3, oldestExpiresAt: '2026-03-15T10:15:00.000Z' };
  return {
    view: { account: LEDGER, recordedAt: RECORDED_AT, openHolds },
    at: null,
    glance,
    today: '2026-03-15',
    ...changes,
  };
}

function read(changes: object = {}, items: readonly InflightItem[] = []): QuotaGlance {
  return { kind: 'read', hash: { ...quotaHashOf(LEDGER), ...changes }, items };
}

describe('the document of an account', () => {
  it('has balance, terms, windows and holds, amounts as decimal strings and unlimited spelled out', () => {
    expect(accountReportDocument(report(null))).to.deep.equal({
      ...{ tenantId: 'tenant-1', currency: 'USD', balance: '10.000000000', held: '2.000000000' },
      ...{ creditLimit: '1.000000000', available: '9.000000000', holdPolicy: 'estimate', seq: 7 },
      daily: { quota: 100, used: 5, window: '2026-03-15' },
      monthly: { quota: 'unlimited', used: 0, window: '2026-03' },
      ...{ at: null, recordedAt: RECORDED_AT, redis: null },
      openHolds: { count: 3, oldestExpiresAt: '2026-03-15T10:15:00.000Z' },
    });
  });

  it('has the hash, its version, what is in flight, and what a gateway may still have', () => {
    const { redis } = accountReportDocument(report(read({}, [ITEM]))) as { redis: object };
    expect(redis).to.deep.equal({
      ...{ state: 'equal', version: 7, behindBy: 0, differing: [], available: '8.500000000', reason: null },
      quota: {
        ...{ balance: '10.000000000', held: '2.000000000', creditLimit: '1.000000000', available: '9.000000000' },
        daily: { quota: 100, used: 5, window: '2026-03-15' },
        monthly: { quota: 'unlimited', used: 0, window: '2026-03' },
      },
      inFlight: { items: 1, available: '-0.500000000', oldestAt: RECORDED_AT },
    });
  });

  const GLANCES: readonly (readonly [string, QuotaGlance, object])[] = [
    ['behind', read({ version: 4 }), { version: 4, behindBy: 3 }],
    ['ahead', read({ version: 9 }), { version: 9, behindBy: -2 }],
    ['differs', read({ heldNano: 0n }), { version: 7, behindBy: 0, differing: ['heldNano'] }],
    [
      'missing',
      { kind: 'read', hash: null, items: [] },
      { version: null, behindBy: null, quota: null, available: null },
    ],
    ['away', { kind: 'away', reason: 'refused' }, { version: null, inFlight: null, reason: 'refused' }],
    ['unreadable', { kind: 'unreadable', reason: 'odd' }, { quota: null, inFlight: null, reason: 'odd' }],
  ];
  const KEYS = ['state', 'version', 'behindBy', 'differing', 'quota', 'inFlight', 'available', 'reason'];
  for (const [state, glance, facts] of GLANCES) {
    it(`says ${state}, with the same keys as ever`, () => {
      const { redis } = accountReportDocument(report(glance)) as { redis: Record<string, unknown> };
      expect(redis).to.have.all.keys(KEYS);
      expect({ ...redis, ...facts, state }).to.deep.equal(redis);
    });
  }
});

describe('the text of an account', () => {
  it('tells windows, holds and Redis in a line each', () => {
    const text = accountReportText(report(read({}, [ITEM])));
    expect(text).to.match(/available +│ 9\.00 /);
    expect(text).to.match(/held +│ 2\.00, by 3 open hold\(s\), the oldest until 2026-03-15T10:15:00\.000Z/);
    expect(text).to.match(/requests a day +│ 5 of 100 in 2026-03-15 \(UTC\)/);
    expect(text).to.match(/requests a month +│ 0 in 2026-03 \(UTC\), unlimited/);
    expect(text).to.match(/equal to the ledger at version 7; 1 item\(s\) in flight; available to gateways 8\.50/);
  });

  const TEXTS: readonly (readonly [QuotaGlance, RegExp])[] = [
    [read({ version: 4 }), /behind by 3, at version 4/],
    [read({ version: 9 }), /AHEAD of the ledger by 2, at version 9/],
    [read({ heldNano: 0n }), /DIFFERS from the ledger at version 7 in heldNano/],
    [{ kind: 'read', hash: null, items: [] }, /missing: the next projection writes it; 0 item/],
    [{ kind: 'away', reason: 'Redis is unavailable' }, /away: Redis is unavailable/],
  ];
  for (const [glance, expected] of TEXTS) {
    it(`says ${expected.source}`, () => expect(accountReportText(report(glance))).to.match(expected));
  }

  it('names the instant and leaves Redis and the count of holds out of a past account', () => {
    const text = accountReportText(
      report(null, { at: RECORDED_AT, view: { account: LEDGER, recordedAt: RECORDED_AT, openHolds: null } }),
    );
    expect(text)
      .to.include(`tenant-1 (USD), as of ${RECORDED_AT}`)
      .and.not.include('redis')
      .and.not.include('open hold');
  });
});

it('the table of accounts shows what is available, also beyond the range of an amount', () => {
  const most = amountNano(2n ** 63n - 1n);
  expect(accountTable([account({ balanceNano: most, creditLimitNano: most })])).to.include('18446744073.709551614');
});
