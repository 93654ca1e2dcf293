/** Owns: charging a parked completion by hand: at given prices, at those of a price book, and what is refused. */
import { expect } from 'chai';
import type { CommandBooking } from '../../../../src/ledger/commands/command-entry.js';
import { factsOfTrace, type ParkedFacts } from '../../../../src/ledger/commands/command-facts.js';
import { assertCommand } from '../../../../src/ledger/commands/command-check.js';
import { contentOf } from '../../../../src/ledger/commands/command-content.js';
import type { PriceCommand } from '../../../../src/ledger/commands/command.js';
import type { Account } from '../../../../src/ledger/account.js';
import type { EventPricing } from '../../../../src/ledger/events.js';
import { parseAmount } from '../../../../src/ledger/money.js';
import type { TraceState } from '../../../../src/ledger/trace.js';
import { errorOf } from '../error-of.js';
import { account, completed } from '../usage-samples.js';
import { decideOn, folded, hold, IDENTITY, step } from './command-samples.js';

const units = parseAmount;
const NONE: TraceState = { status: 'NONE' };

/** A completion of 1,000 and 1,000 tokens and 500 cached ones that came without any price. */
const { pricing: _pricing, ...EVENT } = completed({
  usage: { inputTokens: 1000, outputTokens: 1000, meters: { cached_input_tokens: 500 } },
});
const QUOTE: EventPricing = {
  ...{ inputPer1k: '1', outputPer1k: '2', meters: { cached_input_tokens: '0.5' } },
  ...{ currency: 'USD', priceVersion: 'list@3' },
};
const GIVEN = { inputPer1k: '1', outputPer1k: '2', meters: { cached_input_tokens: '0.5' } };
const BY_HAND: PriceCommand = {
  kind: 'price',
  ...{ ...IDENTITY, traceId: 'trace-1', prices: GIVEN, allowNegative: false },
};
const BY_BOOK: PriceCommand = { ...BY_HAND, prices: { book: 'list' } };

function price(
  command: PriceCommand,
  parts: Partial<ParkedFacts> & { from?: Account; trace?: Parameters<typeof factsOfTrace>[0] } = {},
): CommandBooking {
  const { from = account(), trace = [], event = EVENT, state = NONE, quote = QUOTE } = parts;
  return decideOn(command, { from, facts: { ...factsOfTrace(trace), parked: { event, state, quote } } });
}

describe('pricing a parked completion at given prices', () => {
  it('charges every meter under its own trace, at the time of the event, and pins the key', () => {
    const booking = price(BY_HAND);
    expect(booking.entry).to.include({ type: 'DEDUCT', status: 'COMMITTED', traceId: 'trace-1', actor: 'ops' });
    expect(booking.entry).to.include({ amountNano: units('3.25'), occurredAt: EVENT.occurredAt });
    expect(booking.entry).to.include({ requests: 1, countedOn: '2026-03-15', description: 'asked by the tenant' });
    expect(booking.entry.source.topic).to.equal('~commands');
    expect(booking.entry.usage).to.deep.include({ inputPrice: '1', outputPrice: '2', priceVersion: 'manual:key-1' });
    expect(booking.entry.usage.meters).to.deep.equal({ cached_input_tokens: { quantity: 500, price: '0.5' } });
    expect(booking.account.balanceNano).to.equal(units('6.75'));
    expect(booking.account).to.deep.equal(folded(account(), booking));
  });

  it('needs only the prices that the event lacks, and prefers the given ones', () => {
    const event = {
      ...EVENT,
      pricing: { inputPer1k: '7', outputPer1k: '0', meters: { cached_input_tokens: '4' }, currency: 'USD' },
    };
    const booking = price(
      { ...BY_HAND, prices: { outputPer1k: '1', meters: { cached_input_tokens: '2' } } },
      { event },
    );
    expect(booking.entry).to.include({ amountNano: units('9') });
  });

  it('settles the hold of its trace, and does not count the request again', () => {
    const state: TraceState = { status: 'PENDING', heldNano: units('3'), countedOn: '2026-03-15' };
    const from = account({ heldNano: units('4'), dailyUsed: 1, monthlyUsed: 1 });
    const booking = price(BY_HAND, { from, state, trace: [hold()] });
    expect(booking.entry).to.include({ heldAfterNano: units('1'), requests: 0 });
    expect(booking.holdsClosed).to.deep.equal([{ tenantId: 'tenant-1', traceId: 'trace-1' }]);
  });

  for (const status of ['EXPIRED', 'VOIDED', 'REFUSED'] as const) {
    it(`is late when the trace is ${status}`, () => {
      expect(price(BY_HAND, { state: { status } }).entry).to.include({ status: 'COMMITTED', description: 'late' });
    });
  }

  it('is FAILED when the balance does not cover it, like any completion', () => {
    const booking = price(BY_HAND, { from: account({ balanceNano: units('3') }) });
    expect(booking.entry).to.include({
      status: 'FAILED',
      amountNano: units('3.25'),
      description: 'INSUFFICIENT_BALANCE',
    });
    expect(booking.account.balanceNano).to.equal(units('3'));
  });

  it('takes the balance below zero when that is allowed, and records that it was', () => {
    const booking = price({ ...BY_HAND, allowNegative: true }, { from: account({ balanceNano: units('3') }) });
    expect(booking.account.balanceNano).to.equal(units('-0.25'));
    expect(booking.entry.usage.allowNegative).to.equal(true);
  });

  it('leaves a window alone that the event is not in', () => {
    const from = account({ dailyDate: '2026-04-02', monthlyMonth: '2026-04', dailyUsed: 5, dailyQuota: 5 });
    expect(price(BY_HAND, { from }).account).to.include({ dailyUsed: 5, dailyDate: '2026-04-02' });
  });
});

describe('pricing a parked completion from a price book', () => {
  it('takes every price from the version in force, and pins it', () => {
    const event = { ...EVENT, pricing: { inputPer1k: '7', currency: 'USD' } };
    const { entry } = price(BY_BOOK, { event });
    expect(entry.amountNano).to.equal(units('3.25'));
    expect(entry.usage).to.include({ inputPrice: '1', priceVersion: 'list@3' });
  });

  it('is refused when the book does not have the model', () => {
    const error = errorOf(() =>
      decideOn(BY_BOOK, { facts: { ...factsOfTrace([]), parked: { event: EVENT, state: NONE, quote: undefined } } }),
    );
    expect(error.code).to.equal('PRICE_MISSING');
    expect(error.message).to.equal(
      'price book list has no prices for claude-sonnet-4 of anthropic at 2026-03-15T10:00:00.000Z',
    );
  });

  it('is refused when the book is in another currency', () => {
    const error = errorOf(() => price(BY_BOOK, { quote: { ...QUOTE, currency: 'EUR' } }));
    expect(error.code).to.equal('CURRENCY_MISMATCH');
    expect(error.message).to.include('price book list is in EUR; allowed: USD');
  });

  it('is refused when the book lacks the price of a meter', () => {
    const { meters: _meters, ...bare } = QUOTE;
    expect(errorOf(() => price(BY_BOOK, { quote: bare })).message).to.include('cached_input_tokens (500 used');
  });
});

describe('pricing a parked completion is refused', () => {
  it('when nothing of the trace is parked', () => {
    const error = errorOf(() => decideOn(BY_HAND));
    expect(error.code).to.equal('UNPRICED_UNKNOWN');
    expect(error.message).to.equal('trace trace-1 of tenant-1 is not parked as unpriced');
  });

  for (const status of ['COMMITTED', 'FAILED'] as const) {
    it(`when the trace is ${status} by now`, () => {
      const { usage, amountNano, currency } = step({});
      const state: TraceState = { status, content: { usage, amountNano, currency } };
      const error = errorOf(() => price(BY_HAND, { state, trace: [step({ status })] }));
      expect(error.code).to.equal('PRICE_NOT_ALLOWED');
      expect(error.message).to.include(`is ${status} (entry 4)`);
    });
  }

  it('when a meter that was used has no price, naming each with its quantity', () => {
    const error = errorOf(() => price({ ...BY_HAND, prices: { inputPer1k: '1', meters: {} } }));
    expect(error.code).to.equal('PRICE_MISSING');
    expect(error.context['meters']).to.deep.equal(['output_tokens', 'cached_input_tokens']);
    expect(error.message).to.include('output_tokens (1000 used, price not known)');
  });

  it('when a price is given for a meter that was not used', () => {
    const error = errorOf(() => price({ ...BY_HAND, prices: { ...GIVEN, meters: { reasoning: '1' } } }));
    expect(error.code).to.equal('USAGE_INVALID');
    expect(error.message).to.include('meter reasoning was not used by the request; allowed: cached_input_tokens');
  });

  it('when the prices are meant in another currency', () => {
    expect(errorOf(() => price({ ...BY_HAND, currency: 'EUR' })).code).to.equal('CURRENCY_MISMATCH');
  });

  it('when the cost, or the balance after it, would be 2^63 nano-units', () => {
    const dear = { ...BY_HAND, allowNegative: true, prices: { ...GIVEN, inputPer1k: '9223372036' } };
    const from = account({ balanceNano: units('-1') });
    expect(errorOf(() => price(dear, { from })).code).to.equal('MONEY_OUT_OF_RANGE');
    const more = { ...dear, prices: { ...GIVEN, inputPer1k: '9223372037' } };
    expect(errorOf(() => price(more)).message).to.include('the cost of trace trace-1');
  });
});

describe('the fields of a price command', () => {
  const REFUSED: readonly (readonly [string, PriceCommand['prices'], RegExp])[] = [
    ['no price at all', { meters: {} }, /prices is "none"; allowed: an input price/],
    ['a price with an exponent', { outputPer1k: '1e-3', meters: {} }, /output price is "1e-3"/],
    ['a negative price', { meters: { requests: '-1' } }, /price of meter requests is "-1"/],
    ['a meter that is none', { meters: { 'Cached Tokens': '1' } }, /meter is "Cached Tokens"; allowed: a-z/],
    ['a book that is none', { book: 'A@1' }, /book is "A@1"; allowed: 1 to 63 of/],
  ];
  for (const [what, prices, message] of REFUSED) {
    it(`refuse ${what}, saying what is allowed`, () => {
      const error = errorOf(() => assertCommand({ ...BY_HAND, prices }));
      expect(error.code).to.equal('USAGE_INVALID');
      expect(error.message).to.match(message);
    });
  }

  it('are compared by their value when the key comes again', () => {
    const reason = 'asked by the tenant';
    expect(contentOf({ ...BY_HAND, prices: { ...GIVEN, inputPer1k: '001' } }, 'USD')).to.deep.equal({
      ...{ trace: 'trace-1', allow_negative: 'false', currency: 'USD', reason },
      ...{ input_per_1k: '1', output_per_1k: '2', 'meter cached_input_tokens': '0.5' },
    });
    expect(contentOf(BY_BOOK, 'USD')).to.deep.equal({
      ...{ trace: 'trace-1', allow_negative: 'false', currency: 'USD', book: 'list', reason },
    });
  });
});
