/** Owns: which version of a price book prices an event, and what may follow a version. */
import { expect } from 'chai';
import {
  assertNotRetroactive,
  modelKey,
  type PricedVersion,
  type PriceQuestion,
  pinnedPricing,
  quoteFrom,
  spanOf,
  versionInForce,
} from '../../../src/ledger/price-book.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { plainModel } from '../../support/plain-prices.js';
import { errorOf } from './error-of.js';
import { charge } from './usage-samples.js';

const MARCH = '2026-03-01T00:00:00.000Z';
const APRIL = '2026-04-01T00:00:00.000Z';

function version(number: number, effectiveFrom: string, inputPer1k = String(number)): PricedVersion {
  const prices = plainModel({ provider: 'openai', model: 'gpt-4o' }, { inputPer1k, meters: { requests: '9' } });
  return {
    ...{ book: 'list', version: number, effectiveFrom, currency: 'USD' },
    prices: new Map([[modelKey(prices), prices]]),
  };
}

const VERSIONS = [version(2, APRIL), version(1, MARCH)];

function question(occurredAt: string, model = 'gpt-4o'): PriceQuestion {
  return { provider: 'openai', model, occurredAt, contextTokens: 0 };
}

describe('the version of a price book in force', () => {
  const CASES: readonly [at: string, version: number | undefined][] = [
    ['2026-02-28T23:59:59.999Z', undefined],
    [MARCH, 1],
    ['2026-03-31T23:59:59.999Z', 1],
    [APRIL, 2],
    ['2027-01-01T00:00:00.000Z', 2],
  ];
  for (const [at, expected] of CASES) {
    it(`at ${at} is ${expected ?? 'none'}`, () => {
      expect(versionInForce(VERSIONS, at)?.version).to.equal(expected);
      expect(versionInForce([...VERSIONS].reverse(), at)?.version).to.equal(expected);
    });
  }

  it('is the later one of two that take effect at the same instant', () => {
    expect(versionInForce([version(1, MARCH), version(3, APRIL), version(2, APRIL)], APRIL)?.version).to.equal(3);
  });
});

describe('the quote of a price book', () => {
  it('has the prices of the version in force at the time of the event, and pins that version', () => {
    expect(quoteFrom(VERSIONS, question('2026-03-31T23:59:59.999Z'))).to.deep.equal({
      ...{ inputPer1k: '1', meters: { requests: '9' }, currency: 'USD', priceVersion: 'list@1' },
    });
    expect(quoteFrom(VERSIONS, question(APRIL))).to.include({ inputPer1k: '2', priceVersion: 'list@2' });
  });

  it('is none for a model that the version in force does not have, although an earlier one did', () => {
    const emptied = { ...version(2, APRIL), prices: new Map() };
    expect(quoteFrom([version(1, MARCH), emptied], question(APRIL))).to.equal(undefined);
    expect(quoteFrom(VERSIONS, question(APRIL, 'gpt-5'))).to.equal(undefined);
  });

  it('is none before the first version', () => {
    expect(quoteFrom(VERSIONS, question('2026-02-01T00:00:00.000Z'))).to.equal(undefined);
  });

  it('tells apart names that look alike when they are written one after the other', () => {
    expect(modelKey({ provider: 'a b', model: 'c' })).to.not.equal(modelKey({ provider: 'a', model: 'b c' }));
  });
});

describe('the span of some events', () => {
  it('names each model once, and the first and the last instant', () => {
    const events = [question(APRIL), question(MARCH, 'gpt-5'), question('2026-03-15T00:00:00.000Z')];
    expect(spanOf(events)).to.deep.equal({
      models: [
        { provider: 'openai', model: 'gpt-4o' },
        { provider: 'openai', model: 'gpt-5' },
      ],
      from: MARCH,
      to: APRIL,
    });
  });

  it('is none for no events', () => {
    expect(spanOf([])).to.equal(undefined);
  });
});

describe('the prices that a charge pins', () => {
  it('are those of its entry, further meters included', () => {
    const { usage } = charge();
    const meters = { cached_input_tokens: { quantity: 5, price: '0.0003' } };
    const content = { usage: { ...usage, meters }, amountNano: parseAmount('1'), currency: 'USD' };
    expect(pinnedPricing(content)).to.deep.equal({
      ...{ inputPer1k: '0.003', outputPer1k: '0.015', priceVersion: 'v1', currency: 'USD' },
      meters: { cached_input_tokens: '0.0003' },
    });
  });

  it('lack what the charge was made without', () => {
    const { usage } = charge();
    const bare = { ...usage, inputPrice: null, outputPrice: null, priceVersion: null };
    expect(pinnedPricing({ usage: bare, amountNano: parseAmount('0'), currency: 'USD' })).to.deep.equal({
      meters: {},
      currency: 'USD',
    });
  });
});

describe('a new version of a price book', () => {
  const PREVIOUS = version(1, MARCH);
  const now = '2026-03-15T12:00:00.000Z';

  it('may take effect now or later', () => {
    assertNotRetroactive(PREVIOUS, { effectiveFrom: now, now });
    assertNotRetroactive(PREVIOUS, { effectiveFrom: APRIL, now });
  });

  it('may take effect at any time when it is the first', () => {
    assertNotRetroactive(undefined, { effectiveFrom: '2020-01-01T00:00:00.000Z', now });
  });

  it('is refused a millisecond before now', () => {
    const error = errorOf(() => assertNotRetroactive(PREVIOUS, { effectiveFrom: '2026-03-15T11:59:59.999Z', now }));
    expect(error.code).to.equal('PRICES_RETROACTIVE');
    expect(error.message).to.include('effective-from is 2026-03-15T11:59:59.999Z').and.include(`${now} (now) or later`);
  });

  it('is refused before the version that it follows, even in the future', () => {
    const error = errorOf(() =>
      assertNotRetroactive(version(2, APRIL), { effectiveFrom: '2026-03-31T00:00:00.000Z', now }),
    );
    expect(error.message).to.include(`allowed: ${APRIL} (when list@2 takes effect) or later`);
  });
});
