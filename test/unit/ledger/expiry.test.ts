/** Owns: the column "hold TTL passes" of the table "the life of a trace", one test per cell, and the batch it makes. */
import { expect } from 'chai';
import { bookExpiries, decideExpiry, type DueHold } from '../../../src/ledger/expiry.js';
import type { LedgerEntry } from '../../../src/ledger/entry.js';
import { traceKey } from '../../../src/ledger/ledger-store.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { NO_TRACE, type TraceState } from '../../../src/ledger/trace.js';
import { account, book, completed, NO_TOKENS, pending } from './usage-samples.js';

const EXPIRED_AT = '2026-03-15T10:15:00.000Z';
const ORIGIN = { topic: '~commands', partition: 4, kafkaOffset: 12n };
const HELD: TraceState = { status: 'PENDING', heldNano: parseAmount('0.033'), countedOn: '2026-03-15' };
const PRECHECKED: TraceState = { status: 'PENDING', heldNano: parseAmount('0'), countedOn: null };
const HOLDING = account({ heldNano: parseAmount('0.033'), dailyUsed: 1, monthlyUsed: 1 });
const PRECHECKING = account({ holdPolicy: 'none' });

function due(changes: Partial<LedgerEntry> = {}): DueHold {
  return { entry: { ...book(NO_TRACE, pending()).entry, seq: 5, ...changes }, expiresAt: EXPIRED_AT };
}

/** Books one due hold on an account; its trace is in this state. */
function expire(state: TraceState, from = HOLDING) {
  const hold = due();
  const { entries, accounts, holdsClosed, counts } = bookExpiries([hold], {
    accounts: new Map([[from.tenantId, from]]),
    traces: state.status === 'NONE' ? new Map() : new Map([[traceKey(hold.entry), state]]),
    origin: ORIGIN,
  });
  return { entry: entries[0], account: accounts[0], entries, accounts, holdsClosed, counts };
}

function chargedTrace(status: 'COMMITTED' | 'FAILED'): TraceState {
  return { status, content: book(NO_TRACE, completed()).entry };
}

describe('PENDING × hold TTL passes', () => {
  it('EXPIRED: hold released, request given back, balance left alone', () => {
    const { entry, account: after, holdsClosed } = expire(HELD);
    expect(entry).to.deep.include({
      type: 'DEDUCT',
      status: 'EXPIRED',
      amountNano: 33_000_000n,
      heldBeforeNano: 33_000_000n,
      heldAfterNano: 0n,
      requests: -1,
      countedOn: '2026-03-15',
      description: 'hold expired',
    });
    expect(after).to.include({ balanceNano: parseAmount('10'), heldNano: 0n, dailyUsed: 0, monthlyUsed: 0 });
    expect(holdsClosed).to.deep.equal([{ tenantId: 'tenant-1', traceId: 'trace-1' }]);
  });

  it('EXPIRED refers to the entry that opened the hold, repeats its facts, and happened when the time was over', () => {
    const { entry } = expire(HELD);
    expect(entry).to.deep.include({ referenceSeq: 5, usage: due().entry.usage, occurredAt: EXPIRED_AT, actor: null });
  });

  it('EXPIRED gives the request back to its own month alone once the day is past', () => {
    const nextDay = { ...HOLDING, dailyDate: '2026-03-16', dailyUsed: 4, monthlyUsed: 9 };
    expect(expire(HELD, nextDay).account).to.include({ dailyDate: '2026-03-16', dailyUsed: 4, monthlyUsed: 8 });
  });

  it('EXPIRED leaves the counts of the open day and month alone once both are past', () => {
    const nextMonth = { ...HOLDING, dailyDate: '2026-04-01', dailyUsed: 4, monthlyMonth: '2026-04', monthlyUsed: 4 };
    const { entry, account: after } = expire(HELD, nextMonth);
    expect(after).to.deep.equal({ ...nextMonth, heldNano: 0n, seq: 8 });
    expect(entry).to.include({ requests: -1, countedOn: '2026-03-15' });
  });

  it('EXPIRED under hold policy none: nothing to release or to give back', () => {
    const { entry, account: after, holdsClosed } = expire(PRECHECKED, PRECHECKING);
    expect(entry).to.include({ status: 'EXPIRED', amountNano: 0n, requests: 0, countedOn: null });
    expect(after).to.deep.equal({ ...PRECHECKING, seq: 8 });
    expect(holdsClosed).to.have.lengthOf(1);
  });

  it('EXPIRED cannot be refused, however overdrawn the account', () => {
    const decision = decideExpiry(HELD, due());
    if (decision.kind !== 'expired') expect.fail('a pending trace expires');
    expect(decision.intent).to.deep.include({ phase: 'x', refusedAs: null, settlesHold: true, reserves: true });
    expect(expire(HELD, { ...HOLDING, balanceNano: parseAmount('-5') }).entry?.status).to.equal('EXPIRED');
  });
});

const WITHOUT_A_HOLD: readonly TraceState[] = [
  NO_TRACE,
  { status: 'EXPIRED' },
  { status: 'VOIDED' },
  { status: 'REFUSED' },
  chargedTrace('COMMITTED'),
  chargedTrace('FAILED'),
];

for (const state of WITHOUT_A_HOLD) {
  describe(`${state.status === 'NONE' ? 'none' : state.status} × hold TTL passes`, () => {
    it('nothing: no entry, no account, no hold to close', () => {
      expect(decideExpiry(state, due())).to.deep.equal({ kind: 'settled' });
      const { entries, accounts, holdsClosed, counts } = expire(state);
      expect({ entries, accounts, holdsClosed }).to.deep.equal({ entries: [], accounts: [], holdsClosed: [] });
      expect(counts.charged).to.equal(0);
    });
  });
}

describe('the request of a trace over its whole life', () => {
  const EXPIRED = expire(HELD).account!;

  it('is counted once when the charge comes after the hold expired', () => {
    const { entry, account: after } = book({ status: 'EXPIRED' }, completed(), EXPIRED);
    expect(entry).to.include({ status: 'COMMITTED', description: 'late', requests: 1 });
    expect(after).to.include({ dailyUsed: 1, monthlyUsed: 1, heldNano: 0n, balanceNano: parseAmount('9.982') });
  });

  it('is counted on the day of the charge when the hold expired on the day before', () => {
    const nextDay = completed({ occurredAt: '2026-03-16T00:00:00.000Z' });
    const { account: after } = book({ status: 'EXPIRED' }, nextDay, EXPIRED);
    expect(after).to.include({ dailyDate: '2026-03-16', dailyUsed: 1, monthlyUsed: 1 });
  });

  it('is not counted when the late charge is refused, which stays recognisable as late', () => {
    const poor = { ...EXPIRED, balanceNano: parseAmount('0.017') };
    const { entry, account: after } = book({ status: 'EXPIRED' }, completed(), poor);
    expect(entry).to.deep.include({
      status: 'FAILED',
      description: 'INSUFFICIENT_BALANCE',
      detail: { required: '0.018000000', available: '0.017000000', charge: 'late' },
      requests: 0,
    });
    expect(after).to.include({ dailyUsed: 0, monthlyUsed: 0 });
  });
});

describe('a batch of expired holds', () => {
  it('has an entry per hold at a position of its own, gapless per tenant, and counts them all as charged', () => {
    const holds = ['a', 'b', 'c', 'd'].map((traceId, index) => due({ traceId, tenantId: `tenant-${1 + (index % 2)}` }));
    const held = { heldNano: parseAmount('0.066'), dailyUsed: 2, monthlyUsed: 2 };
    const { entries, accounts, counts, holdsClosed } = bookExpiries(holds, {
      accounts: new Map([1, 2].map((n) => [`tenant-${n}`, account({ ...held, tenantId: `tenant-${n}` })])),
      traces: new Map(holds.map(({ entry }) => [traceKey(entry), HELD])),
      origin: ORIGIN,
    });
    expect(entries.map(({ tenantId, seq, source }) => [tenantId, seq, source.kafkaOffset])).to.deep.equal([
      ['tenant-1', 8, 12n],
      ['tenant-2', 8, 13n],
      ['tenant-1', 9, 14n],
      ['tenant-2', 9, 15n],
    ]);
    expect(accounts.map(({ tenantId, heldNano, seq }) => [tenantId, heldNano, seq])).to.deep.equal([
      ['tenant-1', 0n, 9],
      ['tenant-2', 0n, 9],
    ]);
    expect(counts).to.include({ charged: 4, openings: 0 });
    expect(holdsClosed.map(({ traceId }) => traceId)).to.deep.equal(['a', 'b', 'c', 'd']);
  });

  it('leaves out a hold that was settled meanwhile, without a gap in positions', () => {
    const holds = ['a', 'b', 'c'].map((traceId) => due({ traceId }));
    const states = new Map(holds.map(({ entry }) => [traceKey(entry), HELD] as [string, TraceState]));
    states.set('tenant-1 b', chargedTrace('COMMITTED'));
    const from = account({ heldNano: parseAmount('0.066'), dailyUsed: 3, monthlyUsed: 3 });
    const { entries } = bookExpiries(holds, {
      accounts: new Map([['tenant-1', from]]),
      traces: states,
      origin: ORIGIN,
    });
    expect(entries.map(({ traceId, source }) => [traceId, source.kafkaOffset])).to.deep.equal([
      ['a', 12n],
      ['c', 13n],
    ]);
  });
});

describe('a cancellation without usage after the hold expired', () => {
  it('is superseded, since there is nothing left to give back', () => {
    const cancelled = completed({ outcome: 'cancelled', usage: NO_TOKENS });
    expect(() => book({ status: 'EXPIRED' }, cancelled)).to.throw('superseded');
  });
});
