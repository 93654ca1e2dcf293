/** Owns: what a planned chunk writes: entries, accounts, holds, counts, and who decides a refusal. */
import { expect } from 'chai';
import { amountNano, parseAmount } from '../../../src/ledger/money.js';
import { OPENING_TRACE_ID } from '../../../src/ledger/charge.js';
import type { LedgerEntry } from '../../../src/ledger/entry.js';
import type { OthersInFlight } from '../../../src/ledger/quota-rule.js';
import type { TraceState } from '../../../src/ledger/trace.js';
import type { OverlayItem } from '../../../src/lua/quota-scripts.js';
import { account, completed, NO_TOKENS, pending, PRICING } from '../ledger/usage-samples.js';
import {
  billable,
  bookPlanned,
  HOLDS_EXPIRE_AT,
  knowing,
  messagesIn,
  openingBy,
  planOf,
  run,
  skipped,
  unreadable,
} from './chunk-samples.js';

const HELD: TraceState = { status: 'PENDING', heldNano: parseAmount('0.033'), countedOn: '2026-03-15' };
const HOLDING = account({ heldNano: parseAmount('0.033'), dailyUsed: 1, monthlyUsed: 1 });
const CANCELLED = completed({ outcome: 'cancelled', usage: NO_TOKENS });

function heldBefore() {
  return knowing([HOLDING], { traces: new Map([['tenant-1 trace-1', HELD]]) });
}

const NOTHING_WANTED: ReadonlyMap<string, readonly OverlayItem[]> = new Map();

/** What of tenant-1 others have in flight. */
function inFlight(units: string, requests = 0): ReadonlyMap<string, OthersInFlight> {
  const counts = (window: string): ReadonlyMap<string, number> => new Map([[window, requests]]);
  const others = { requestsByDay: counts('2026-03-15'), requestsByMonth: counts('2026-03') };
  return new Map([['tenant-1', { availableNano: parseAmount(units), ...others }]]);
}

function entryWith(others: ReadonlyMap<string, OthersInFlight>, knowledge = knowing()): LedgerEntry | undefined {
  const planned = planOf([billable(1n, completed())], knowledge);
  return bookPlanned(planned, knowledge, others).contentWith(HOLDS_EXPIRE_AT).entries[0];
}

describe('who refuses an entry', () => {
  it('the account does, with its own figures', () => {
    const poor = knowing([account({ balanceNano: parseAmount('0.017') })]);
    expect(entryWith(new Map(), poor)).to.deep.include({
      status: 'FAILED',
      description: 'INSUFFICIENT_BALANCE',
      detail: { required: '0.018000000', available: '0.017000000' },
    });
  });

  it('the account does less what others have in flight, and names how much that is', () => {
    expect(entryWith(inFlight('-9.983'))).to.deep.include({
      status: 'FAILED',
      description: 'INSUFFICIENT_BALANCE',
      detail: { available: '0.017000000', in_flight: '-9.983000000', required: '0.018000000' },
    });
    expect(entryWith(inFlight('-9.982'))?.status).to.equal('COMMITTED');
  });

  it('a request quota does with the requests that others have in flight, and names how many', () => {
    const limited = knowing([account({ dailyQuota: 5, dailyUsed: 2 })]);
    expect(entryWith(inFlight('0', 3), limited)).to.deep.include({
      status: 'FAILED',
      description: 'DAILY_QUOTA_EXCEEDED',
      detail: { in_flight: '3', limit: '5', used: '5' },
    });
    expect(entryWith(inFlight('0', 2), limited)?.status).to.equal('COMMITTED');
  });

  it('what is in flight can for a past day or month that is counted, and cannot for one too far back', () => {
    const quotas = { dailyQuota: 5, monthlyQuota: 5, dailyDate: '2026-04-01', monthlyMonth: '2026-04' };
    expect(entryWith(inFlight('0', 9), knowing([account(quotas)]))?.status).to.equal('FAILED');
    const later = { ...quotas, dailyDate: '2026-09-01', monthlyMonth: '2026-09' };
    expect(entryWith(inFlight('0', 9), knowing([account(later)]))?.status).to.equal('COMMITTED');
  });

  it('nobody can refuse a void', () => {
    const planned = planOf([billable(1n, CANCELLED)], heldBefore());
    const { entries } = bookPlanned(planned, heldBefore(), inFlight('-100')).contentWith(HOLDS_EXPIRE_AT);
    expect(entries[0]).to.include({ status: 'VOIDED', description: 'cancelled', detail: null });
  });

  it('what is in flight does not refuse a pre-check that holds nothing', () => {
    const checking = knowing([account({ holdPolicy: 'none' })]);
    const planned = planOf([billable(1n, pending())], checking);
    const { entries } = bookPlanned(planned, checking, inFlight('-100')).contentWith(HOLDS_EXPIRE_AT);
    expect(entries[0]?.status).to.equal('PENDING');
  });

  it('each entry is checked against what the entries before it left', () => {
    const threeTimes = [1n, 2n, 3n].map((offset) => billable(offset, completed({ traceId: `trace-${offset}` })));
    const { entries, accounts } = run(threeTimes, knowing([account({ balanceNano: parseAmount('0.05') })]));
    expect(entries.map(({ status }) => status)).to.deep.equal(['COMMITTED', 'COMMITTED', 'FAILED']);
    expect(accounts[0]?.balanceNano).to.equal(parseAmount('0.014'));
  });
});

describe('the entries of a chunk', () => {
  it('are ordered by offset and seq, gapless per tenant, from the position of their message', () => {
    const items = ['tenant-2', 'tenant-1', 'tenant-2', 'tenant-1'].map((tenantId, index) =>
      billable(BigInt(10 + 3 * index), completed({ tenantId, traceId: `trace-${index}` })),
    );
    const { entries } = run(items, knowing([account(), account({ tenantId: 'tenant-2', seq: 70 })]));
    expect(entries.map(({ tenantId, seq, source }) => [tenantId, seq, source.kafkaOffset])).to.deep.equal([
      ['tenant-2', 71, 10n],
      ['tenant-1', 8, 13n],
      ['tenant-2', 72, 16n],
      ['tenant-1', 9, 19n],
    ]);
    expect(entries[0]?.source).to.deep.equal({ topic: 'usage.completed', partition: 3, kafkaOffset: 10n });
  });

  it('begin with the opening of an account, at the position of the event that opens it', () => {
    const first = billable(4n, completed({ allowNegative: true }));
    const knowledge = knowing([account({ balanceNano: parseAmount('0'), seq: 0 })], {
      openings: new Map([['tenant-1', openingBy(first)]]),
    });
    const { entries, counts } = run([first], knowledge);
    expect(entries.map(({ traceId, seq, source }) => [traceId, seq, source.kafkaOffset])).to.deep.equal([
      [OPENING_TRACE_ID, 1, 4n],
      ['trace-1', 2, 4n],
    ]);
    expect(counts).to.include({ charged: 1, openings: 1 });
  });

  it('are two when a void and a late charge of one trace share a chunk', () => {
    const { entries, accounts } = run([billable(1n, CANCELLED), billable(2n, completed())], heldBefore());
    expect(entries.map(({ status, requests }) => [status, requests])).to.deep.equal([
      ['VOIDED', -1],
      ['COMMITTED', 1],
    ]);
    expect(accounts[0]).to.include({ balanceNano: parseAmount('9.982'), heldNano: 0n, dailyUsed: 1, seq: 9 });
  });

  it('leave out an event that would take the balance to 2^63 nano-units, and the account as it was', () => {
    const lowest = account({ balanceNano: amountNano(-(2n ** 63n - 1n)) });
    const booking = run([billable(6n, completed({ allowNegative: true }))], knowing([lowest]));
    expect(booking).to.deep.include({ entries: [], accounts: [], holdsClosed: [] });
    expect(booking.deadLetters[0]).to.include({ reason: 'AMOUNT_OUT_OF_RANGE', kafkaOffset: 6n, traceId: 'trace-1' });
  });
});

describe('what Redis is told of a chunk', () => {
  const items = [billable(1n, completed()), billable(2n, completed({ traceId: 'trace-2' }))];

  it('is the delta of every entry that is granted, in order', () => {
    const { wanted } = bookPlanned(planOf(items, knowing()), knowing());
    expect(
      wanted.get('tenant-1')?.map(({ traceId, phase, delta }) => [traceId, phase, delta.availableNano]),
    ).to.deep.equal([
      ['trace-1', 'c', -18_000_000n],
      ['trace-2', 'c', -18_000_000n],
    ]);
  });

  it('leaves out what the account refuses', () => {
    const poor = knowing([account({ balanceNano: parseAmount('0.02') })]);
    const { wanted } = bookPlanned(planOf(items, poor), poor);
    expect(wanted.get('tenant-1')?.map(({ traceId }) => traceId)).to.deep.equal(['trace-1']);
  });

  it('leaves out a settlement that is refused, whatever it releases', () => {
    const expensive = completed({ usage: { inputTokens: 0, outputTokens: 1_000_000 } });
    const { wanted } = bookPlanned(planOf([billable(1n, expensive)], heldBefore()), heldBefore());
    expect(wanted).to.deep.equal(NOTHING_WANTED);
  });

  it('leaves out what would take the balance to 2^63 nano-units', () => {
    const lowest = knowing([account({ balanceNano: amountNano(-(2n ** 63n - 1n)) })]);
    const planned = planOf([billable(6n, completed({ allowNegative: true }))], lowest);
    expect(bookPlanned(planned, lowest).wanted).to.deep.equal(NOTHING_WANTED);
  });
});

describe('the accounts of a chunk', () => {
  it('are those that changed, once each, at their last seq', () => {
    const items = [billable(1n, completed()), billable(2n, completed({ traceId: 'trace-2' }))];
    const { accounts } = run(items, knowing([account(), account({ tenantId: 'tenant-2' })]));
    expect(accounts.map(({ tenantId, seq }) => [tenantId, seq])).to.deep.equal([['tenant-1', 9]]);
  });

  it('are none when every message is a duplicate', () => {
    const { accounts } = run([billable(1n, pending())], heldBefore());
    expect(accounts).to.deep.equal([]);
  });
});

describe('the holds of a chunk', () => {
  it('open with what is held, where the request counts and when it expires', () => {
    const expiresAt = '2026-03-15T10:15:00.000Z';
    const hold = {
      tenantId: 'tenant-1',
      traceId: 'trace-1',
      amountNano: 33_000_000n,
      countedOn: '2026-03-15',
      expiresAt,
    };
    expect(run([billable(1n, pending())]).holdsOpened).to.deep.equal([hold]);
  });

  it('open with nothing held under hold policy none, so that the pre-check can expire too', () => {
    const { holdsOpened } = run([billable(1n, pending())], knowing([account({ holdPolicy: 'none' })]));
    expect(holdsOpened.map(({ amountNano: held, countedOn }) => [held, countedOn])).to.deep.equal([[0n, null]]);
  });

  it('expire after the time of the hold policy they were taken under', () => {
    const items = [billable(1n, pending()), billable(2n, pending({ tenantId: 'tenant-2', traceId: 'trace-2' }))];
    const { holdsOpened } = run(items, knowing([account(), account({ tenantId: 'tenant-2', holdPolicy: 'none' })]));
    expect(holdsOpened.map(({ tenantId, expiresAt }) => [tenantId, expiresAt])).to.deep.equal([
      ['tenant-1', '2026-03-15T10:15:00.000Z'],
      ['tenant-2', '2026-03-15T10:05:00.000Z'],
    ]);
  });

  it('stay shut when the estimate is refused', () => {
    const poor = knowing([account({ balanceNano: parseAmount('0') })]);
    expect(run([billable(1n, pending())], poor)).to.deep.include({ holdsOpened: [], holdsClosed: [] });
  });

  it('close with the charge, with its refusal and with the void', () => {
    const expensive = completed({ usage: { inputTokens: 0, outputTokens: 1_000_000 } });
    for (const [event, status] of [
      [completed(), 'COMMITTED'],
      [expensive, 'FAILED'],
      [CANCELLED, 'VOIDED'],
    ] as const) {
      const { entries, holdsClosed } = run([billable(1n, event)], heldBefore());
      expect(entries.map((entry) => entry.status)).to.deep.equal([status]);
      expect(holdsClosed, status).to.deep.equal([{ tenantId: 'tenant-1', traceId: 'trace-1' }]);
    }
  });

  it('close nothing when the charge had no hold', () => {
    expect(run([billable(1n, completed())]).holdsClosed).to.deep.equal([]);
  });
});

describe('the counts of a chunk', () => {
  it('add up to its messages, whatever became of them', () => {
    const other = (n: number) => ({ traceId: `trace-${n}` });
    const first = billable(1n, completed());
    const items = [
      first,
      billable(2n, completed()),
      billable(3n, completed({ model: 'another' })),
      billable(4n, completed({ ...other(4), pricing: { currency: 'USD' } })),
      billable(5n, completed({ ...other(4), pricing: { currency: 'USD' } })),
      billable(6n, pending({ ...other(6), pricing: { currency: 'USD' } })),
      skipped(7n, completed()),
      unreadable(8n),
      billable(9n, completed({ ...other(9), pricing: { ...PRICING, currency: 'EUR' } })),
      billable(10n, pending()),
      billable(11n, completed({ ...other(11), usage: { inputTokens: 0, outputTokens: 1e9 } })),
    ];
    const knowledge = knowing([account({ seq: 0 })], {
      openings: new Map([['tenant-1', openingBy(first)]]),
    });
    const booking = run(items, knowledge);
    expect(booking.counts).to.deep.equal({
      charged: 2,
      openings: 1,
      duplicates: 2,
      superseded: 1,
      skipped: 2,
      unpriced: 1,
      deadLetters: 3,
    });
    expect(messagesIn(booking)).to.equal(items.length);
    expect(booking.entries).to.have.lengthOf(3);
    expect(booking.skipped.map(({ kafkaOffset }) => kafkaOffset)).to.deep.equal([6n, 7n]);
    expect(booking.unpriced.map(({ kafkaOffset }) => kafkaOffset)).to.deep.equal([4n]);
    expect(booking.deadLetters.map(({ kafkaOffset }) => kafkaOffset)).to.deep.equal([3n, 8n, 9n]);
  });

  it('are all zero for no messages', () => {
    expect(messagesIn(run([]))).to.equal(0);
  });
});
