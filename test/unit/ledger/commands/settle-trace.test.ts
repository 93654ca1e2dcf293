/** Owns: ending a trace by hand: collecting a FAILED one, voiding an open hold. */
import { expect } from 'chai';
import type { CollectCommand, VoidCommand } from '../../../../src/ledger/commands/command.js';
import type { EntryStatus, LedgerEntry } from '../../../../src/ledger/entry.js';
import { parseAmount } from '../../../../src/ledger/money.js';
import { errorOf } from '../error-of.js';
import { account } from '../usage-samples.js';
import { decideOn, factsOf, folded, hold, IDENTITY, step } from './command-samples.js';

const units = parseAmount;
const FAILED = step({ status: 'FAILED', amountNano: units('4'), description: 'INSUFFICIENT_BALANCE' });

describe('collecting a trace', () => {
  const COLLECT: CollectCommand = { kind: 'collect', ...IDENTITY, traceId: 'trace-1', allowNegative: false };

  it('charges what was uncollected, under its own id, with its usage and a link to the entry that failed', () => {
    const booking = decideOn(COLLECT, { facts: factsOf([FAILED]) });
    expect(booking.entry).to.include({ type: 'DEDUCT', status: 'COMMITTED', traceId: 'trace-1', referenceSeq: 4 });
    expect(booking.entry).to.include({ amountNano: units('4'), actor: 'ops', occurredAt: '2026-03-17T08:00:00.000Z' });
    expect(booking.entry.usage).to.deep.equal({ ...FAILED.usage, allowNegative: false });
    expect(booking.account.balanceNano).to.equal(units('6'));
    expect(booking.account).to.deep.equal(folded(account(), booking));
  });

  it('counts a request that was never counted, on the day it happened', () => {
    const from = account({ dailyUsed: 1, monthlyUsed: 1 });
    const booking = decideOn(COLLECT, { from, facts: factsOf([FAILED]) });
    expect(booking.entry).to.include({ requests: 1, countedOn: '2026-03-15' });
    expect(booking.account).to.include({ dailyUsed: 2, monthlyUsed: 2, dailyDate: '2026-03-15' });
  });

  it('does not count a request again that its hold has counted', () => {
    const booking = decideOn(COLLECT, { facts: factsOf([hold(), FAILED]) });
    expect(booking.entry).to.include({ requests: 0, countedOn: null });
  });

  it('counts a request that its expired hold has given back', () => {
    const expired = step({ seq: 4, status: 'EXPIRED', requests: -1 });
    const booking = decideOn(COLLECT, { facts: factsOf([hold(), expired, { ...FAILED, seq: 5 }]) });
    expect(booking.entry).to.include({ requests: 1, countedOn: '2026-03-15', referenceSeq: 5 });
  });

  it('is not refused by a quota that the request would exceed', () => {
    const from = account({ dailyQuota: 1, dailyUsed: 1, monthlyQuota: 0 });
    expect(decideOn(COLLECT, { from, facts: factsOf([FAILED]) }).account.dailyUsed).to.equal(2);
  });

  it('is refused when the balance does not cover it, with what is required and available', () => {
    const from = account({ balanceNano: units('4'), heldNano: units('1.5'), creditLimitNano: units('1') });
    const error = errorOf(() => decideOn(COLLECT, { from, facts: factsOf([FAILED]) }));
    expect(error.code).to.equal('INSUFFICIENT_BALANCE');
    expect(error.message).to.include('needs 4.000000000 USD, available: 3.500000000');
    expect(error.context).to.deep.include({ required: '4.000000000', available: '3.500000000' });
  });

  it('is granted to the last nano-unit', () => {
    const from = account({ balanceNano: units('4') });
    expect(decideOn(COLLECT, { from, facts: factsOf([FAILED]) }).account.balanceNano).to.equal(0n);
  });

  it('takes the balance below zero when a negative balance is allowed, and records that it was', () => {
    const from = account({ balanceNano: units('1') });
    const booking = decideOn({ ...COLLECT, allowNegative: true }, { from, facts: factsOf([FAILED]) });
    expect(booking.account.balanceNano).to.equal(units('-3'));
    expect(booking.entry.usage.allowNegative).to.equal(true);
  });

  const OTHERS: readonly EntryStatus[] = ['PENDING', 'REFUSED', 'COMMITTED', 'VOIDED', 'EXPIRED'];
  for (const status of OTHERS) {
    it(`is refused when the trace is ${status}`, () => {
      const error = errorOf(() => decideOn(COLLECT, { facts: factsOf([step({ status })]) }));
      expect(error.code).to.equal('COLLECT_NOT_ALLOWED');
      expect(error.message).to.equal(
        `trace trace-1 of tenant-1 is ${status} (entry 4); allowed: a trace that is FAILED`,
      );
    });
  }

  it('is refused when it was collected before', () => {
    const collected = step({ seq: 6, status: 'COMMITTED', amountNano: units('4') });
    const error = errorOf(() => decideOn(COLLECT, { facts: factsOf([FAILED, collected]) }));
    expect(error.message).to.include('is COMMITTED (entry 6)');
  });

  it('is refused when the ledger does not know the trace', () => {
    expect(errorOf(() => decideOn(COLLECT)).code).to.equal('TRACE_UNKNOWN');
  });
});

describe('voiding a hold', () => {
  const VOID: VoidCommand = { kind: 'void', ...IDENTITY, traceId: 'trace-1' };

  it('releases what it held, gives its request back and closes the hold, without touching the balance', () => {
    const from = account({ heldNano: units('5'), dailyUsed: 2, monthlyUsed: 2 });
    const booking = decideOn(VOID, { from, facts: factsOf([hold()]) });
    expect(booking.entry).to.include({ type: 'DEDUCT', status: 'VOIDED', traceId: 'trace-1', referenceSeq: 3 });
    expect(booking.entry).to.include({ amountNano: units('3'), requests: -1, countedOn: '2026-03-15' });
    expect(booking.entry).to.include({ actor: 'ops', description: 'asked by the tenant' });
    expect(booking.account).to.include({ balanceNano: units('10'), heldNano: units('2'), dailyUsed: 1 });
    expect(booking.account).to.deep.equal(folded(from, booking));
    expect(booking.holdsClosed).to.deep.equal([{ tenantId: 'tenant-1', traceId: 'trace-1' }]);
  });

  it('leaves a window alone that the request was not counted in', () => {
    const from = account({ heldNano: units('5'), dailyUsed: 2, dailyDate: '2026-03-16', monthlyUsed: 2 });
    const booking = decideOn(VOID, { from, facts: factsOf([hold()]) });
    expect(booking.account).to.include({ dailyUsed: 2, monthlyUsed: 1 });
  });

  it('ends a pre-check that held and counted nothing', () => {
    const check = hold({ heldAfterNano: units('1'), requests: 0, countedOn: null });
    const booking = decideOn(VOID, { facts: factsOf([check]) });
    expect(booking.entry).to.include({ status: 'VOIDED', amountNano: 0n, requests: 0, countedOn: null });
    expect(booking.holdsClosed).to.have.length(1);
  });

  const ENDED: readonly EntryStatus[] = ['REFUSED', 'COMMITTED', 'FAILED', 'VOIDED', 'EXPIRED'];
  for (const status of ENDED) {
    it(`is refused when the trace is ${status}`, () => {
      const trace: LedgerEntry[] = [hold(), step({ status })];
      const error = errorOf(() => decideOn(VOID, { facts: factsOf(trace) }));
      expect(error.code).to.equal('HOLD_NOT_OPEN');
      expect(error.message).to.equal(
        `trace trace-1 of tenant-1 is ${status} (entry 4); allowed: a trace that is PENDING`,
      );
    });
  }

  it('is refused when the ledger does not know the trace', () => {
    expect(errorOf(() => decideOn(VOID)).code).to.equal('TRACE_UNKNOWN');
  });
});
