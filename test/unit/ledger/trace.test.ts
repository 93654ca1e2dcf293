/** Owns: one test per cell of the table "the life of a trace": what each event comes to in each state. */
import { expect } from 'chai';
import { parseAmount } from '../../../src/ledger/money.js';
import { decide, type TraceState } from '../../../src/ledger/trace.js';
import { account, book, completed, decideOn, intentOf, NO_TOKENS, pending, PRICING } from './usage-samples.js';

const NONE: TraceState = { status: 'NONE' };
const HELD: TraceState = { status: 'PENDING', heldNano: parseAmount('0.033'), countedOn: '2026-03-15' };
const PRECHECKED: TraceState = { status: 'PENDING', heldNano: parseAmount('0'), countedOn: null };
const ENDED: readonly TraceState[] = [{ status: 'EXPIRED' }, { status: 'VOIDED' }, { status: 'REFUSED' }];

const POOR = account({ balanceNano: parseAmount('0.017') });
const HOLDING = account({ heldNano: parseAmount('0.033'), dailyUsed: 1, monthlyUsed: 1 });
const PRECHECKING = account({ holdPolicy: 'none' });
const CANCELLED = completed({ outcome: 'cancelled', usage: NO_TOKENS });

function charged(status: 'COMMITTED' | 'FAILED'): TraceState {
  return { status, content: book(NONE, completed()).entry };
}

describe('none × usage.pending', () => {
  it('PENDING: holds the estimate, counts the request and leaves the balance', () => {
    const { entry, account: after } = book(NONE, pending());
    expect(entry).to.include({ status: 'PENDING', amountNano: 33_000_000n, requests: 1, countedOn: '2026-03-15' });
    expect(after).to.include({ balanceNano: parseAmount('10'), heldNano: parseAmount('0.033'), dailyUsed: 1 });
  });

  it('REFUSED when the estimate exceeds what is available: required and available, nothing held or counted', () => {
    const { entry, account: after } = book(NONE, pending(), POOR);
    expect(entry).to.deep.include({
      status: 'REFUSED',
      description: 'INSUFFICIENT_BALANCE',
      requests: 0,
      countedOn: null,
    });
    expect(entry.detail).to.deep.equal({ required: '0.033000000', available: '0.017000000' });
    expect(after).to.deep.equal({ ...POOR, seq: 8 });
  });

  it('REFUSED when the daily quota is used up: limit and used', () => {
    const { entry } = book(NONE, pending(), account({ dailyQuota: 2, dailyUsed: 2 }));
    expect(entry).to.include({ status: 'REFUSED', description: 'DAILY_QUOTA_EXCEEDED' });
    expect(entry.detail).to.deep.equal({ limit: '2', used: '2' });
  });

  it('PENDING under hold policy none: records the estimate, holds and counts nothing', () => {
    const { entry, account: after } = book(NONE, pending(), PRECHECKING);
    expect(entry).to.include({ status: 'PENDING', amountNano: 33_000_000n, requests: 0, countedOn: null });
    expect(after).to.deep.equal({ ...PRECHECKING, seq: 8 });
  });

  it('REFUSED under hold policy none by the same check', () => {
    const { entry } = book(NONE, pending(), { ...POOR, holdPolicy: 'none' });
    expect(entry).to.include({ status: 'REFUSED', description: 'INSUFFICIENT_BALANCE' });
  });

  it('reserves under hold policy estimate and only asks under hold policy none', () => {
    expect(intentOf(decideOn(NONE, pending()))).to.include({ phase: 'p', reserves: true, settlesHold: false });
    expect(intentOf(decideOn(NONE, pending(), PRECHECKING)).reserves).to.equal(false);
  });

  it('PENDING at the default output when the event names no bound, and at the cap when it names more', () => {
    const estimates = { outputTokensDefault: 1500, outputTokensMax: 1800 };
    const heldFor = (estimate: { inputTokens: number; maxOutputTokens?: number }) =>
      intentOf(decide(NONE, pending({ estimate }), { pricing: PRICING, holdPolicy: 'estimate', estimates }));
    for (const [intent, outputTokens, amountNano] of [
      [heldFor({ inputTokens: 1000 }), 1500, 25_500_000n],
      [heldFor({ inputTokens: 1000, maxOutputTokens: 2000 }), 1800, 30_000_000n],
      [heldFor({ inputTokens: 1000, maxOutputTokens: 1 }), 1, 3_015_000n],
    ] as const) {
      expect(intent.granted).to.include({ amountNano, heldDeltaNano: amountNano });
      expect(intent.delta.availableNano).to.equal(-amountNano);
      expect(intent.usage).to.include({ inputTokens: 1000, outputTokens });
    }
  });

  it('unpriced when the estimate has a meter without a price', () => {
    const pricing = { currency: 'USD', inputPer1k: '0.003' };
    expect(decideOn(NONE, pending({ pricing }))).to.deep.equal({ kind: 'unpriced', meters: ['output_tokens'] });
  });

  it('out of range when the estimate is 2^63 nano-units or more', () => {
    const pricing = { ...PRICING, inputPer1k: '9223372036.854775808' };
    expect(decideOn(NONE, pending({ pricing }))).to.deep.equal({ kind: 'outOfRange' });
  });
});

describe('none × usage.completed', () => {
  it('COMMITTED: takes the cost and counts the request', () => {
    const { entry, account: after } = book(NONE, completed());
    expect(entry).to.include({ status: 'COMMITTED', amountNano: 18_000_000n, requests: 1, description: null });
    expect(after).to.include({ balanceNano: parseAmount('9.982'), dailyUsed: 1, monthlyUsed: 1 });
  });

  it('FAILED when refused: keeps the uncollected amount, takes and counts nothing', () => {
    const { entry, account: after } = book(NONE, completed(), POOR);
    expect(entry).to.include({ status: 'FAILED', amountNano: 18_000_000n, description: 'INSUFFICIENT_BALANCE' });
    expect(entry.detail).to.deep.equal({ required: '0.018000000', available: '0.017000000' });
    expect(after).to.deep.equal({ ...POOR, seq: 8 });
  });

  it('FAILED when the monthly quota is used up: limit and used', () => {
    const { entry } = book(NONE, completed(), account({ monthlyQuota: 9, monthlyUsed: 9 }));
    expect(entry).to.include({ status: 'FAILED', description: 'MONTHLY_QUOTA_EXCEEDED' });
    expect(entry.detail).to.deep.equal({ limit: '9', used: '9' });
  });

  it('COMMITTED below zero when the event allows it', () => {
    const { account: after } = book(NONE, completed({ allowNegative: true }), POOR);
    expect(after.balanceNano).to.equal(parseAmount('-0.001'));
  });

  it('COMMITTED beyond a quota when the event may go below zero, with the quota that it exceeds', () => {
    const served = completed({ allowNegative: true });
    const { entry, account: after } = book(NONE, served, account({ dailyQuota: 2, dailyUsed: 2 }));
    expect(entry).to.deep.include({
      ...{ status: 'COMMITTED', description: null, requests: 1, countedOn: '2026-03-15' },
      detail: { exceeded: 'DAILY_QUOTA_EXCEEDED', limit: '2', used: '2' },
    });
    expect(after).to.include({ balanceNano: parseAmount('9.982'), dailyUsed: 3, monthlyUsed: 1 });
    const byMonth = book(NONE, served, account({ dailyQuota: 3, dailyUsed: 2, monthlyQuota: 9, monthlyUsed: 9 }));
    expect(byMonth.entry.detail).to.deep.equal({ exceeded: 'MONTHLY_QUOTA_EXCEEDED', limit: '9', used: '9' });
    expect(book(NONE, served, account({ dailyQuota: 3, dailyUsed: 2 })).entry.detail).to.equal(null);
  });

  it('VOIDED when cancelled or failed without usage: no amount, no count', () => {
    for (const outcome of ['cancelled', 'failed'] as const) {
      const { entry, account: after } = book(NONE, completed({ outcome, usage: NO_TOKENS }));
      expect(entry).to.include({ status: 'VOIDED', amountNano: 0n, requests: 0, description: outcome });
      expect(after).to.deep.equal(account({ seq: 8 }));
    }
  });

  it('COMMITTED when cancelled after it had used something, be it one further meter', () => {
    const pricing = { ...PRICING, meters: { requests: '10' } };
    const usage = { ...NO_TOKENS, meters: { requests: 1 } };
    const { entry } = book(NONE, completed({ outcome: 'cancelled', usage, pricing }));
    expect(entry).to.include({ status: 'COMMITTED', amountNano: 10_000_000n });
  });

  it('COMMITTED at zero when it succeeded without usage, counting the request', () => {
    const { entry } = book(NONE, completed({ usage: NO_TOKENS }), account({ balanceNano: parseAmount('-1') }));
    expect(entry).to.include({ status: 'COMMITTED', amountNano: 0n, requests: 1 });
  });

  it('unpriced when a meter that was used has no price', () => {
    const usage = { inputTokens: 1, outputTokens: 0, meters: { images: 2 } };
    expect(decideOn(NONE, completed({ usage }))).to.deep.equal({ kind: 'unpriced', meters: ['images'] });
  });
});

describe('PENDING × usage.pending', () => {
  it('duplicate, whatever it estimates', () => {
    const larger = pending({ eventId: 'event-2', estimate: { inputTokens: 9, maxOutputTokens: 9 } });
    for (const state of [HELD, PRECHECKED]) expect(decideOn(state, larger)).to.deep.equal({ kind: 'duplicate' });
  });
});

describe('PENDING × usage.completed', () => {
  it('COMMITTED below the hold: takes the actual cost, releases all of the hold, counts nothing again', () => {
    const { entry, account: after } = book(HELD, completed(), HOLDING);
    expect(entry).to.include({ status: 'COMMITTED', amountNano: 18_000_000n, requests: 0, countedOn: null });
    expect(after).to.include({ balanceNano: parseAmount('9.982'), heldNano: 0n, dailyUsed: 1, monthlyUsed: 1 });
  });

  it('COMMITTED above the hold: takes the actual cost', () => {
    const usage = { inputTokens: 1000, outputTokens: 4000 };
    const { account: after } = book(HELD, completed({ usage }), HOLDING);
    expect(after).to.include({ balanceNano: parseAmount('9.937'), heldNano: 0n });
  });

  it('COMMITTED within the hold even when nothing else is available', () => {
    const allHeld = { ...HOLDING, balanceNano: parseAmount('0.033') };
    expect(book(HELD, completed(), allHeld).entry.status).to.equal('COMMITTED');
  });

  it('COMMITTED without asking the quotas again, which counted the hold', () => {
    const full = { ...HOLDING, dailyQuota: 1, monthlyQuota: 1 };
    expect(book(HELD, completed(), full).entry.status).to.equal('COMMITTED');
  });

  it('FAILED when the part above the hold is not available: hold released, request given back', () => {
    const usage = { inputTokens: 1000, outputTokens: 4000 };
    const { entry, account: after } = book(HELD, completed({ usage }), {
      ...HOLDING,
      balanceNano: parseAmount('0.062'),
    });
    expect(entry).to.include({ status: 'FAILED', amountNano: 63_000_000n, requests: -1, countedOn: '2026-03-15' });
    expect(entry.detail).to.deep.equal({ required: '0.030000000', available: '0.029000000' });
    expect(after).to.include({ balanceNano: parseAmount('0.062'), heldNano: 0n, dailyUsed: 0, monthlyUsed: 0 });
  });

  it('VOIDED when cancelled or failed without usage: hold released, request given back', () => {
    for (const outcome of ['cancelled', 'failed'] as const) {
      const { entry, account: after } = book(HELD, completed({ outcome, usage: NO_TOKENS }), HOLDING);
      expect(entry).to.include({ status: 'VOIDED', amountNano: 33_000_000n, requests: -1, countedOn: '2026-03-15' });
      expect(after).to.include({ balanceNano: parseAmount('10'), heldNano: 0n, dailyUsed: 0, monthlyUsed: 0 });
    }
  });

  it('VOIDED cannot be refused', () => {
    expect(intentOf(decideOn(HELD, CANCELLED))).to.deep.include({ phase: 'v', refusedAs: null, settlesHold: true });
  });

  it('COMMITTED under hold policy none: nothing to release, the request is counted now', () => {
    const { entry, account: after } = book(PRECHECKED, completed(), PRECHECKING);
    expect(entry).to.include({ status: 'COMMITTED', requests: 1, countedOn: '2026-03-15', heldAfterNano: 0n });
    expect(after).to.include({ balanceNano: parseAmount('9.982'), heldNano: 0n, dailyUsed: 1 });
  });

  it('FAILED under hold policy none when the quota is used up by now', () => {
    const { entry } = book(PRECHECKED, completed(), { ...PRECHECKING, dailyQuota: 1, dailyUsed: 1 });
    expect(entry).to.include({ status: 'FAILED', description: 'DAILY_QUOTA_EXCEEDED' });
  });

  it('VOIDED under hold policy none: nothing to release or to give back', () => {
    const { entry, account: after } = book(PRECHECKED, CANCELLED, PRECHECKING);
    expect(entry).to.include({ status: 'VOIDED', amountNano: 0n, requests: 0, countedOn: null });
    expect(after).to.deep.equal({ ...PRECHECKING, seq: 8 });
  });
});

for (const state of ENDED) {
  describe(`${state.status} × usage.pending`, () => {
    const kind = state.status === 'REFUSED' ? 'duplicate' : 'superseded';
    it(kind, () => {
      expect(decideOn(state, pending())).to.deep.equal({ kind });
    });
  });

  describe(`${state.status} × usage.completed`, () => {
    it('COMMITTED late: takes the cost and counts the request', () => {
      const { entry, account: after } = book(state, completed());
      expect(entry).to.include({ status: 'COMMITTED', description: 'late', requests: 1, countedOn: '2026-03-15' });
      expect(after).to.include({ balanceNano: parseAmount('9.982'), dailyUsed: 1 });
    });

    it('COMMITTED late beyond a quota and the balance when it may go below zero, since the request was served', () => {
      const { entry } = book(state, completed({ allowNegative: true }), { ...POOR, dailyQuota: 0 });
      const detail = { exceeded: 'DAILY_QUOTA_EXCEEDED', limit: '0', used: '0' };
      expect(entry).to.deep.include({ status: 'COMMITTED', description: 'late', requests: 1, detail });
    });

    const whenUsedUp = state.status === 'EXPIRED' ? 'COMMITTED late, for its hold was granted' : 'FAILED';
    it(`${whenUsedUp} when a quota is used up and it may not go below zero`, () => {
      const { entry } = book(state, completed(), account({ dailyQuota: 0 }));
      expect(entry).to.deep.include(
        state.status === 'EXPIRED'
          ? { status: 'COMMITTED', detail: { exceeded: 'DAILY_QUOTA_EXCEEDED', limit: '0', used: '0' } }
          : { status: 'FAILED', detail: { limit: '0', used: '0', charge: 'late' } },
      );
    });

    it('FAILED when the balance does not cover it: required, available, and that the charge was late', () => {
      expect(book(state, completed(), POOR).entry).to.deep.include({
        status: 'FAILED',
        description: 'INSUFFICIENT_BALANCE',
        detail: { required: '0.018000000', available: '0.017000000', charge: 'late' },
      });
    });

    it('superseded when it is cancelled or failed without usage', () => {
      expect(decideOn(state, CANCELLED)).to.deep.equal({ kind: 'superseded' });
      expect(decideOn(state, completed({ outcome: 'failed', usage: NO_TOKENS }))).to.deep.equal({ kind: 'superseded' });
    });
  });
}

for (const status of ['COMMITTED', 'FAILED'] as const) {
  describe(`${status} × usage.pending`, () => {
    it('superseded, since the completion may come first', () => {
      expect(decideOn(charged(status), pending())).to.deep.equal({ kind: 'superseded' });
    });
  });

  describe(`${status} × usage.completed`, () => {
    it('duplicate of the same content', () => {
      expect(decideOn(charged(status), completed())).to.deep.equal({ kind: 'duplicate' });
    });

    it('conflict with other content', () => {
      const usage = { inputTokens: 1000, outputTokens: 1001 };
      const fields = ['usage.output_tokens', 'cost'];
      expect(decideOn(charged(status), completed({ usage }))).to.deep.equal({ kind: 'conflict', fields });
    });
  });
}
