/** Owns: the terms of an entry's cost, computed again from what the entry keeps. */
import { expect } from 'chai';
import { costOfEntry } from '../../../src/ledger/entry-cost.js';
import { type EntryStatus, NO_USAGE } from '../../../src/ledger/entry.js';
import { formatAmount } from '../../../src/ledger/money.js';
import { charge } from './usage-samples.js';

describe('the cost of an entry, term by term', () => {
  it('multiplies each quantity with its price and adds up to the amount', () => {
    const cost = costOfEntry(charge());
    expect(cost?.meters).to.deep.equal([
      { meter: 'input_tokens', quantity: 1000, pricePer1k: '0.003', cost: '0.003' },
      { meter: 'output_tokens', quantity: 1000, pricePer1k: '0.015', cost: '0.015' },
    ]);
    expect(cost?.totalNano).to.equal(charge().amountNano);
  });

  it('keeps every digit of a term and rounds the sum once, half up', () => {
    const usage = {
      ...{ ...NO_USAGE, inputTokens: 1, inputPrice: '0.0000007', outputTokens: 3, outputPrice: '0.0000006' },
      meters: { cached_tokens: { quantity: 7, price: '0.000000000000000000001' } },
    };
    const cost = costOfEntry(charge({ usage }));
    expect(cost?.meters.map((meter) => meter.cost)).to.deep.equal([
      '0.0000000007',
      '0.0000000018',
      '0.000000000000000000000007',
    ]);
    expect(formatAmount(cost!.totalNano!)).to.equal('0.000000003');
  });

  it('has no total when a used meter has no price', () => {
    const cost = costOfEntry(charge({ usage: { ...NO_USAGE, inputTokens: 5 } }));
    expect(cost).to.deep.equal({
      meters: [{ meter: 'input_tokens', quantity: 5, pricePer1k: null, cost: '0' }],
      totalNano: undefined,
    });
  });

  const PRICED: Readonly<Record<EntryStatus, boolean>> = {
    PENDING: true,
    REFUSED: true,
    COMMITTED: true,
    FAILED: true,
    VOIDED: false,
    EXPIRED: false,
  };
  for (const [status, priced] of Object.entries(PRICED) as [EntryStatus, boolean][]) {
    it(`${priced ? 'is there' : 'is absent, since the amount is a release,'} for an entry that is ${status}`, () => {
      expect(costOfEntry(charge({ status })) !== undefined).to.equal(priced);
    });
  }

  it('is absent for a command and for an entry without usage', () => {
    expect(costOfEntry(charge({ type: 'REFUND' }))).to.equal(undefined);
    expect(costOfEntry(charge({ usage: NO_USAGE }))).to.equal(undefined);
  });
});
