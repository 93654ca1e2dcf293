/** Owns: what may be refunded, how much of it, and when the request count goes with it. */
import { expect } from 'chai';
import type { RefundCommand } from '../../../../src/ledger/commands/command.js';
import { NO_FACTS } from '../../../../src/ledger/commands/command-facts.js';
import type { LedgerEntry } from '../../../../src/ledger/entry.js';
import { parseAmount } from '../../../../src/ledger/money.js';
import { errorOf } from '../error-of.js';
import { account } from '../usage-samples.js';
import { decideOn, factsOf, folded, hold, IDENTITY, step } from './command-samples.js';

const units = parseAmount;
const REFUND: RefundCommand = { kind: 'refund', ...IDENTITY, of: { traceId: 'trace-1' } };
const CHARGED = step({ amountNano: units('4'), requests: 1 });

function refund(amount?: string): RefundCommand {
  return amount === undefined ? REFUND : { ...REFUND, amountNano: units(amount) };
}

describe('a refund', () => {
  it('of a whole charge puts back the money and the request, on the day the request was counted', () => {
    const from = account({ dailyUsed: 3, monthlyUsed: 8 });
    const booking = decideOn(refund(), { from, facts: factsOf([CHARGED]) });
    expect(booking.entry).to.include({ type: 'REFUND', traceId: '~key-1', amountNano: units('4'), referenceSeq: 4 });
    expect(booking.entry).to.include({ requests: -1, countedOn: '2026-03-15' });
    expect(booking.account).to.include({ balanceNano: units('14'), dailyUsed: 2, monthlyUsed: 7 });
    expect(booking.account).to.deep.equal(folded(from, booking));
  });

  it('of a part puts back the money alone', () => {
    const booking = decideOn(refund('1.5'), { facts: factsOf([CHARGED]) });
    expect(booking.entry).to.include({ amountNano: units('1.5'), requests: 0, countedOn: null });
  });

  it('without an amount puts back all that is left, and the request with the last of it', () => {
    const booking = decideOn(refund(), { facts: factsOf([CHARGED], '1.5') });
    expect(booking.entry).to.include({ amountNano: units('2.5'), requests: -1 });
    expect(decideOn(refund('2.5'), { facts: factsOf([CHARGED], '1.5') }).entry.requests).to.equal(-1);
  });

  it('gives the request back on the day of the hold that counted it', () => {
    const charged = step({ amountNano: units('4'), occurredAt: '2026-03-16T00:01:00.000Z' });
    const booking = decideOn(refund(), { facts: factsOf([hold(), charged]) });
    expect(booking.entry).to.include({ requests: -1, countedOn: '2026-03-15' });
  });

  it('gives back the second count of a request that an expired hold had given back and a late charge counted anew', () => {
    const expired = step({ seq: 4, status: 'EXPIRED', requests: -1 });
    const late = step({ seq: 5, amountNano: units('4'), requests: 1, countedOn: '2026-03-16' });
    const booking = decideOn(refund(), { facts: factsOf([hold(), expired, late]) });
    expect(booking.entry).to.include({ requests: -1, countedOn: '2026-03-16', referenceSeq: 5 });
  });

  const WINDOWS: readonly (readonly [string, object, object])[] = [
    ['the next day', { dailyDate: '2026-03-16' }, { dailyUsed: 3, monthlyUsed: 7 }],
    ['the next month', { dailyDate: '2026-04-01', monthlyMonth: '2026-04' }, { dailyUsed: 3, monthlyUsed: 8 }],
  ];
  for (const [when, windows, expected] of WINDOWS) {
    it(`${when} leaves the windows alone that are open by then`, () => {
      const from = account({ dailyUsed: 3, monthlyUsed: 8, ...windows });
      expect(decideOn(refund(), { from, facts: factsOf([CHARGED]) }).account).to.include(expected);
    });
  }

  it('of more than is left is refused with what was charged, refunded and is left', () => {
    const error = errorOf(() => decideOn(refund('2.500000001'), { facts: factsOf([CHARGED], '1.5') }));
    expect(error.code).to.equal('REFUND_EXCEEDS_CHARGE');
    expect(error.message).to.equal(
      'amount is 2.500000001; entry 4 of tenant-1 charged 4.000000000 USD, ' +
        'already refunded: 1.500000000, left: 2.500000000',
    );
  });

  it('of all that is left is refused when nothing is', () => {
    const error = errorOf(() => decideOn(refund(), { facts: factsOf([CHARGED], '4') }));
    expect(error.code).to.equal('REFUND_EXCEEDS_CHARGE');
    expect(error.message).to.include('nothing is left to refund').and.include('left: 0.000000000');
  });

  it('of a charge of nothing is refused, since there is nothing to put back', () => {
    const free = step({ amountNano: units('0'), requests: 1 });
    expect(errorOf(() => decideOn(refund(), { facts: factsOf([free]) })).code).to.equal('REFUND_EXCEEDS_CHARGE');
  });

  it('of a collected trace puts back what was collected', () => {
    const failed = step({ seq: 3, status: 'FAILED', amountNano: units('4') });
    const booking = decideOn(refund(), { facts: factsOf([failed, CHARGED]) });
    expect(booking.entry).to.include({ referenceSeq: 4, amountNano: units('4'), requests: -1 });
  });

  const NO_CHARGES: readonly (readonly [string, Partial<LedgerEntry>])[] = [
    ['a hold', { status: 'PENDING' }],
    ['a refused request', { status: 'REFUSED' }],
    ['a voided hold', { status: 'VOIDED' }],
    ['an expired hold', { status: 'EXPIRED' }],
    ['a charge that was refused', { status: 'FAILED' }],
    ['a refund', { type: 'REFUND', traceId: '~other' }],
    ['a credit', { type: 'CREDIT', traceId: '~other' }],
    ['an adjustment', { type: 'ADJUSTMENT', traceId: '~other' }],
    ['a change of limits', { type: 'LIMITS', traceId: '~other' }],
  ];
  for (const [what, changes] of NO_CHARGES) {
    it(`of ${what} is refused, saying what was found and what is allowed`, () => {
      const found = step({ amountNano: units('4'), ...changes });
      const command: RefundCommand = { ...REFUND, of: { seq: 4 } };
      const facts = { ...NO_FACTS, trace: [found], subject: found };
      const error = errorOf(() => decideOn(command, { facts }));
      expect(error.code).to.equal('REFUND_NOT_ALLOWED');
      expect(error.message).to.include(`entry 4 of tenant-1 is a ${found.type} that is ${found.status}`);
      expect(error.message).to.include('allowed: a DEDUCT that is COMMITTED');
    });
  }

  it('of the hold of a charged trace is refused with the entry that charged it', () => {
    const facts = { ...factsOf([hold(), CHARGED]), subject: hold() };
    const error = errorOf(() => decideOn({ ...REFUND, of: { seq: 3 } }, { facts }));
    expect(error.message).to.include('its trace is charged by entry 4');
  });

  for (const of of [{ traceId: 'trace-9' }, { seq: 9 }]) {
    it(`of an unknown ${'seq' in of ? 'entry' : 'trace'} is refused`, () => {
      const error = errorOf(() => decideOn({ ...REFUND, of }));
      expect(error.code).to.equal('TRACE_UNKNOWN');
      expect(error.message).to.equal(`tenant tenant-1 has no ${'seq' in of ? 'entry 9' : 'trace trace-9'}`);
    });
  }

  it('in another currency is refused', () => {
    const work = () => decideOn({ ...REFUND, currency: 'EUR' }, { facts: factsOf([CHARGED]) });
    expect(errorOf(work).code).to.equal('CURRENCY_MISMATCH');
  });
});
