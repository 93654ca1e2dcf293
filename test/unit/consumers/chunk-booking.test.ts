/** Owns: what a planned chunk writes: entries, accounts, holds, counts, and who decides a refusal. */
import { expect } from 'chai';
import { type PlannedEntry, type PlannedItem } from '../../../src/consumers/chunk-plan.js';
import { amountNano, parseAmount } from '../../../src/ledger/money.js';
import { OPENING_TRACE_ID } from '../../../src/ledger/charge.js';
import type { QuotaRefusal } from '../../../src/ledger/quota-rule.js';
import type { TraceState } from '../../../src/ledger/trace.js';
import { account, completed, NO_TOKENS, pending, PRICING } from '../ledger/usage-samples.js';
import {
  billable,
  bookPlanned,
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

function plannedEntry(planned: readonly PlannedItem[]): PlannedEntry {
  const [entry] = planned;
  if (entry?.kind !== 'entry') expect.fail('the chunk plans no entry');
  return entry;
}

describe('who refuses an entry', () => {
  const refusal: QuotaRefusal = { code: 'DAILY_QUOTA_EXCEEDED', limit: 5, used: 5 };

  it('Redis does, with its own figures, although the account would grant it', () => {
    const planned = planOf([billable(1n, completed())], knowing());
    const { entries } = bookPlanned(planned, knowing(), new Map([[plannedEntry(planned), refusal]]));
    expect(entries[0]).to.deep.include({
      status: 'FAILED',
      description: refusal.code,
      detail: { limit: '5', used: '5' },
    });
  });

  it('the account does, although Redis granted it or was not asked', () => {
    const poor = knowing([account({ balanceNano: parseAmount('0.017') })]);
    const { entries } = run([billable(1n, completed())], poor);
    expect(entries[0]).to.deep.include({
      status: 'FAILED',
      description: 'INSUFFICIENT_BALANCE',
      detail: { required: '0.018000000', available: '0.017000000' },
    });
  });

  it('the figures of Redis win when both refuse', () => {
    const poor = knowing([account({ balanceNano: parseAmount('0') })]);
    const planned = planOf([billable(1n, completed())], poor);
    const { entries } = bookPlanned(planned, poor, new Map([[plannedEntry(planned), refusal]]));
    expect(entries[0]?.description).to.equal('DAILY_QUOTA_EXCEEDED');
  });

  it('Redis cannot for a day or month that the account knows to be past, whatever window its hash still has open', () => {
    const ahead = knowing([account({ dailyDate: '2026-04-01', monthlyMonth: '2026-04' })]);
    const planned = planOf([billable(1n, completed())], ahead);
    for (const code of ['DAILY_QUOTA_EXCEEDED', 'MONTHLY_QUOTA_EXCEEDED'] as const) {
      const { entries } = bookPlanned(planned, ahead, new Map([[plannedEntry(planned), { code, limit: 5, used: 5 }]]));
      expect(entries[0]?.status, code).to.equal('COMMITTED');
    }
  });

  it('nobody can refuse a void', () => {
    const planned = planOf([billable(1n, CANCELLED)], heldBefore());
    const { entries } = bookPlanned(planned, heldBefore(), new Map([[plannedEntry(planned), refusal]]));
    expect(entries[0]).to.include({ status: 'VOIDED', description: 'cancelled', detail: null });
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
