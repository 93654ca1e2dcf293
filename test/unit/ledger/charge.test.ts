/** Owns: the entry that an intent becomes, granted or refused, and the entry that opens an account. */
import { expect } from 'chai';
import { emptyAccount, evolve } from '../../../src/ledger/account.js';
import { bookIntent, bookOpening, OPENING_TRACE_ID, recordedTerms } from '../../../src/ledger/charge.js';
import { NO_USAGE } from '../../../src/ledger/entry.js';
import { amountNano, parseAmount } from '../../../src/ledger/money.js';
import type { QuotaRefusal } from '../../../src/ledger/quota-rule.js';
import type { TraceState } from '../../../src/ledger/trace.js';
import { account, book, completed, decideOn, intentOf, NO_TOKENS, ORIGIN, pending } from './usage-samples.js';

const NONE: TraceState = { status: 'NONE' };
const LARGEST = amountNano(2n ** 63n - 1n);

function refusedWith(refusal: QuotaRefusal) {
  return bookIntent(account(), ORIGIN, { intent: intentOf(decideOn(NONE, completed())), refusal })?.entry;
}

describe('booking a granted intent', () => {
  it('records the balances before and after, the origin and every fact of the usage', () => {
    const { entry } = book(NONE, completed());
    expect(entry).to.deep.equal({
      ...ORIGIN,
      tenantId: 'tenant-1',
      seq: 8,
      type: 'DEDUCT',
      status: 'COMMITTED',
      amountNano: 18_000_000n,
      balanceBeforeNano: 10_000_000_000n,
      balanceAfterNano: 9_982_000_000n,
      heldBeforeNano: 0n,
      heldAfterNano: 0n,
      currency: 'USD',
      requests: 1,
      countedOn: '2026-03-15',
      usage: {
        inputTokens: 1000,
        outputTokens: 1000,
        inputPrice: '0.003',
        outputPrice: '0.015',
        meters: null,
        priceVersion: 'v1',
        provider: 'anthropic',
        model: 'claude-sonnet-4',
        apiKeyId: 'key-1',
        presetItemId: 'preset-1',
        stream: false,
        outcome: 'succeeded',
        allowNegative: false,
        priceClass: null,
        userId: null,
        projectId: null,
        tags: null,
      },
      description: null,
      detail: null,
      referenceSeq: null,
      actor: null,
      commandHash: null,
    });
  });

  it('returns the account that folding the entry gives', () => {
    const { entry, account: after } = book(NONE, pending());
    expect(after).to.deep.equal(evolve(account(), entry));
  });

  it('releases the hold and takes the cost in one entry', () => {
    const heldNano = parseAmount('0.033');
    const from = account({ heldNano: parseAmount('0.05') });
    const { entry } = book({ status: 'PENDING', heldNano, countedOn: '2026-03-15' }, completed(), from);
    expect(entry).to.include({
      heldBeforeNano: 50_000_000n,
      heldAfterNano: 17_000_000n,
      balanceAfterNano: 9_982_000_000n,
    });
  });

  it('leaves the account it was given as it was', () => {
    const from = Object.freeze(account());
    book(NONE, completed(), from);
    expect(from).to.deep.equal(account());
  });
});

describe('booking a refused intent', () => {
  it('for want of balance records required and available as decimals and moves nothing', () => {
    const refusal = { code: 'INSUFFICIENT_BALANCE', requiredNano: 18_000_000n, availableNano: -1n } as const;
    expect(refusedWith(refusal)).to.deep.include({
      status: 'FAILED',
      description: 'INSUFFICIENT_BALANCE',
      detail: { required: '0.018000000', available: '-0.000000001' },
      amountNano: 18_000_000n,
      balanceAfterNano: 10_000_000_000n,
      requests: 0,
      countedOn: null,
    });
  });

  for (const code of ['DAILY_QUOTA_EXCEEDED', 'MONTHLY_QUOTA_EXCEEDED'] as const) {
    it(`for ${code} records limit and used`, () => {
      expect(refusedWith({ code, limit: 5, used: 7 })).to.deep.include({
        status: 'FAILED',
        description: code,
        detail: { limit: '5', used: '7' },
      });
    });
  }
});

describe('booking beyond the int64 range', () => {
  it('books nothing when the balance would fall to −2^63 nano-units', () => {
    const intent = intentOf(decideOn(NONE, completed({ allowNegative: true })));
    const atTheEdge = account({ balanceNano: amountNano(18_000_000n - (2n ** 63n - 1n)) });
    const beyond = account({ balanceNano: amountNano(17_999_999n - (2n ** 63n - 1n)) });
    expect(bookIntent(atTheEdge, ORIGIN, { intent, refusal: undefined })?.entry.balanceAfterNano).to.equal(-LARGEST);
    expect(bookIntent(beyond, ORIGIN, { intent, refusal: undefined })).to.equal(undefined);
  });

  it('books nothing when the held amount would reach 2^63 nano-units', () => {
    const intent = intentOf(decideOn(NONE, pending()));
    const beyond = account({ balanceNano: LARGEST, heldNano: amountNano(2n ** 63n - 33_000_000n) });
    expect(bookIntent(beyond, ORIGIN, { intent, refusal: undefined })).to.equal(undefined);
  });

  it('still books the refusal of what is too large to charge', () => {
    const intent = intentOf(decideOn(NONE, completed()));
    const refusal = { code: 'INSUFFICIENT_BALANCE', requiredNano: 18_000_000n, availableNano: 0n } as const;
    const lowest = account({ balanceNano: amountNano(-(2n ** 63n - 1n)) });
    expect(bookIntent(lowest, ORIGIN, { intent, refusal })?.entry.status).to.equal('FAILED');
  });
});

describe('the entry that opens an account', () => {
  const terms = { creditLimitNano: parseAmount('5'), dailyQuota: 100, monthlyQuota: null, holdPolicy: 'none' } as const;
  const empty = emptyAccount({ tenantId: 'tenant-1', currency: 'USD', day: '2026-03-15' }, terms);
  const { entry, account: opened } = bookOpening(empty, { source: ORIGIN.source, occurredAt: ORIGIN.occurredAt });

  it('is the first of the account and records its terms as a fact', () => {
    expect(entry).to.deep.include({
      seq: 1,
      traceId: OPENING_TRACE_ID,
      type: 'LIMITS',
      status: 'COMMITTED',
      amountNano: 0n,
      requests: 0,
      countedOn: null,
      usage: NO_USAGE,
      detail: { credit_limit: '5.000000000', daily_quota: '100', monthly_quota: 'unlimited', hold_policy: 'none' },
    });
  });

  it('changes nothing of the account but its seq', () => {
    expect(opened).to.deep.equal({ ...empty, seq: 1 });
  });

  it('gives an account of other terms the recorded ones', () => {
    const other = { ...empty, creditLimitNano: parseAmount('0'), dailyQuota: null, holdPolicy: 'estimate' } as const;
    expect(evolve(other, entry)).to.deep.equal(opened);
  });

  it('spells out an unlimited daily quota too', () => {
    const unlimited = account({ dailyQuota: null, monthlyQuota: 0 });
    expect(recordedTerms(unlimited)).to.include({
      daily_quota: 'unlimited',
      monthly_quota: '0',
      hold_policy: 'estimate',
    });
  });
});

describe('a void', () => {
  it('moves the held amount and no balance', () => {
    const state: TraceState = { status: 'PENDING', heldNano: parseAmount('0.033'), countedOn: null };
    const cancelled = completed({ outcome: 'cancelled', usage: NO_TOKENS });
    const { entry } = book(state, cancelled, account({ heldNano: parseAmount('0.033') }));
    expect(entry).to.include({ status: 'VOIDED', heldAfterNano: 0n, balanceAfterNano: 10_000_000_000n });
  });
});
