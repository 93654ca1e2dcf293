/** Owns: which recorded refusals the account bears out, and what is said of the others. */
import { expect } from 'chai';
import type { Account } from '../../../src/ledger/account.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { refusalProblem } from '../../../src/reconciliation/verify-refusals.js';
import { account } from '../ledger/usage-samples.js';

const DAY = '2026-03-15';

/** What is said of a refusal of one unit. */
function problemOf(detail: Readonly<Record<string, string>> | null, before: Account): string | undefined {
  return refusalProblem({ line: { detail, occurredOn: DAY }, requiredNano: parseAmount('1') }, before);
}

describe('a recorded refusal', () => {
  const poor = account({ balanceNano: parseAmount('0.4'), heldNano: parseAmount('0.1') });
  const rich = account({ balanceNano: parseAmount('5') });
  const busy = account({ dailyQuota: 5, dailyUsed: 5, dailyDate: DAY });

  it('is borne out by the account, or by the account less what was in flight', () => {
    expect(problemOf({ required: '1.000000000', available: '0.300000000' }, poor)).to.equal(undefined);
    const inFlight = { required: '1.000000000', available: '0.500000000', in_flight: '-4.500000000' };
    expect(problemOf(inFlight, rich)).to.equal(undefined);
    expect(problemOf({ limit: '5', used: '5' }, busy)).to.equal(undefined);
    expect(problemOf({ limit: '5', used: '6', in_flight: '1' }, busy)).to.equal(undefined);
  });

  it('is named when the account had more than it says', () => {
    expect(problemOf({ required: '1.000000000', available: '0.000000000' }, rich)).to.equal(
      'is refused with 0.000000000 available, the account had 5.000000000',
    );
  });

  it('is named when what was available covered what was asked for', () => {
    expect(problemOf({ required: '1.000000000', available: '5.000000000' }, rich)).to.equal(
      'is refused, and 5.000000000 were available',
    );
  });

  it('is named when it is for more than was asked for, or for something that was in flight the other way', () => {
    expect(problemOf({ required: '9.000000000', available: '5.000000000' }, rich)).to.equal(
      'is refused for 9.000000000, it asked for 1.000000000',
    );
    const added = { required: '1.000000000', available: '0.300000000', in_flight: '2.000000000' };
    expect(problemOf(added, poor)).to.match(/which refuses nothing$/);
  });

  it('is named when no quota of the account has its figures', () => {
    for (const figures of [
      { limit: '4', used: '4' },
      { limit: '5', used: '4' },
      { limit: '5', used: '9' },
    ]) {
      expect(problemOf(figures, busy), JSON.stringify(figures)).to.match(/bears out for no quota$/);
    }
  });

  it('is named when it has no figures, or none that can be read', () => {
    expect(problemOf(null, poor)).to.equal('is refused without figures');
    expect(problemOf({ required: 'much', available: 'little' }, poor)).to.equal(
      'is refused with figures that are none',
    );
    expect(problemOf({}, poor)).to.equal('is refused with figures that are none');
  });
});
