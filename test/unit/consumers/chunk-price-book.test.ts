/** Owns: what becomes of the events of a chunk that carry no pricing, without a price book and with one. */
import { expect } from 'chai';
import type { ChunkKnowledge, PlannedItem } from '../../../src/consumers/chunk-plan.js';
import type { UnquotedEvent } from '../../../src/consumers/intake.js';
import type { UsageEvent } from '../../../src/ledger/events.js';
import { traceKey } from '../../../src/ledger/ledger-store.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { modelKey, type PricedVersion } from '../../../src/ledger/price-book.js';
import type { TraceState } from '../../../src/ledger/trace.js';
import { account, completed, NO_TOKENS, pending } from '../ledger/usage-samples.js';
import { plainModel } from '../../support/plain-prices.js';
import { billable, knowing, message, planOf } from './chunk-samples.js';

function unquoted(kafkaOffset: bigint, { pricing: _pricing, ...event }: UsageEvent): UnquotedEvent {
  const { tenantId = 'tenant-1', traceId } = event;
  const key = traceKey({ tenantId, traceId });
  return { kind: 'unquoted', message: message(kafkaOffset), event, tenantId, key };
}

function version(number: number, effectiveFrom: string, inputPer1k: string): PricedVersion {
  const name = { provider: 'anthropic', model: 'claude-sonnet-4' };
  const prices = plainModel(name, { inputPer1k, outputPer1k: '0.015' });
  return {
    book: 'list',
    version: number,
    effectiveFrom,
    currency: 'USD',
    prices: new Map([[modelKey(prices), prices]]),
  };
}

const FIRST = version(1, '2026-03-01T00:00:00.000Z', '0.003');
const SECOND = version(2, '2026-03-15T12:00:00.000Z', '0.006');

function withBook(more: Partial<ChunkKnowledge> = {}, versions = [FIRST, SECOND]): ChunkKnowledge {
  return knowing([account()], { priceBook: { name: 'list', versions }, ...more });
}

function wordFor(planned: PlannedItem | undefined): string {
  if (planned?.kind === 'entry') return `${planned.intent.granted.status} ${planned.intent.usage.priceVersion}`;
  return planned?.kind === 'deadLetter' ? planned.letter.reason : String(planned?.kind);
}

function plan(items: Parameters<typeof planOf>[0], knowledge = withBook()): string[] {
  return planOf(items, knowledge).map(wordFor);
}

const UNKNOWN = { model: 'gpt-5' };

describe('an event without pricing', () => {
  it('is skipped when no price book is configured', () => {
    const item = unquoted(3n, completed());
    expect(planOf([item], knowing())).to.deep.equal([
      { kind: 'skipped', skipped: { kafkaOffset: 3n, event: item.event, reason: 'no_pricing_or_internal' } },
    ]);
  });

  it('is charged, or held, at the prices of the version in force when it occurred', () => {
    const later = { occurredAt: '2026-03-15T12:00:00.000Z' };
    const items = [
      unquoted(1n, completed({ traceId: 'a' })),
      unquoted(2n, pending({ traceId: 'b' })),
      unquoted(3n, completed({ traceId: 'c', ...later })),
      unquoted(4n, completed({ traceId: 'd', occurredAt: '2026-03-15T11:59:59.999Z' })),
    ];
    expect(plan(items)).to.deep.equal(['COMMITTED list@1', 'PENDING list@1', 'COMMITTED list@2', 'COMMITTED list@1']);
    const [charged, , dearer] = planOf(items, withBook());
    expect(charged).to.have.nested.property('intent.granted.amountNano', parseAmount('0.018'));
    expect(dearer).to.have.nested.property('intent.granted.amountNano', parseAmount('0.021'));
  });

  it('is parked with every meter it used when the book does not have its model', () => {
    const item = unquoted(5n, completed(UNKNOWN));
    expect(planOf([item], withBook())).to.deep.equal([
      {
        kind: 'unpriced',
        parked: { kafkaOffset: 5n, tenantId: 'tenant-1', event: item.event, meters: ['input_tokens', 'output_tokens'] },
      },
    ]);
  });

  it('is parked when the book has its price in another currency than that of the account', () => {
    const knowledge = withBook({ accounts: new Map([['tenant-1', account({ currency: 'EUR' })]]) });
    expect(plan([unquoted(1n, completed())], knowledge)).to.deep.equal(['unpriced']);
  });

  it('is parked before the first version of the book', () => {
    const early = completed({ occurredAt: '2026-02-28T23:59:59.999Z' });
    expect(plan([unquoted(1n, early)])).to.deep.equal(['unpriced']);
  });

  it('that is only an estimate is skipped when the book does not have its model, and says so', () => {
    const [planned] = planOf([unquoted(1n, pending(UNKNOWN))], withBook());
    expect(planned).to.have.nested.property(
      'skipped.reason',
      'no_pricing_or_internal: estimate without a price for input_tokens, output_tokens; ' +
        'price book list has none for gpt-5 of anthropic',
    );
  });

  it('voids the hold of a cancelled request that used nothing, whatever the book has', () => {
    const cancelled = completed({ outcome: 'cancelled', usage: NO_TOKENS, ...UNKNOWN });
    expect(plan([unquoted(1n, cancelled)])).to.deep.equal(['VOIDED null']);
  });
});

describe('a second event of a trace that a price book has priced', () => {
  it('is a duplicate in the same chunk, even when it occurred under a newer version', () => {
    const again = completed({ occurredAt: '2026-03-15T12:00:00.000Z' });
    expect(plan([unquoted(1n, completed()), unquoted(2n, again)])).to.deep.equal(['COMMITTED list@1', 'duplicate']);
  });

  it('is a duplicate when the ledger has the charge, whatever the book has become since', () => {
    const [planned] = planOf([unquoted(1n, completed())], withBook());
    if (planned?.kind !== 'entry') expect.fail('the event is charged');
    const { usage, granted, currency } = planned.intent;
    const charged: TraceState = { status: 'COMMITTED', content: { usage, amountNano: granted.amountNano, currency } };
    const traces = new Map([['tenant-1 trace-1', charged]]);
    const changed = [version(1, FIRST.effectiveFrom, '0.9')];
    expect(plan([unquoted(2n, completed())], withBook({ traces }, changed))).to.deep.equal(['duplicate']);
    expect(plan([unquoted(2n, completed())], withBook({ traces }, []))).to.deep.equal(['duplicate']);
    const more = completed({ usage: { inputTokens: 1001, outputTokens: 1000 } });
    expect(plan([unquoted(2n, more)], withBook({ traces }))).to.deep.equal(['CONFLICTING_DUPLICATE']);
  });

  it('is a duplicate while it is parked', () => {
    const { pricing: _pricing, ...event } = completed(UNKNOWN);
    const parked = new Map([['tenant-1 trace-1', event]]);
    expect(plan([unquoted(1n, completed(UNKNOWN))], withBook({ parked }))).to.deep.equal(['duplicate']);
    expect(plan([unquoted(1n, completed(UNKNOWN)), unquoted(2n, completed(UNKNOWN))])).to.deep.equal([
      'unpriced',
      'duplicate',
    ]);
  });
});

describe('a second delivery of a parked event that was priced by hand', () => {
  const PARTIAL = completed({ pricing: { currency: 'USD', inputPer1k: '0.003' } });

  function pricedByHand(): ReadonlyMap<string, TraceState> {
    const priced = completed({
      pricing: { currency: 'USD', inputPer1k: '0.003', outputPer1k: '1', priceVersion: 'manual:k' },
    });
    const [planned] = planOf([billable(1n, priced)], knowing());
    if (planned?.kind !== 'entry') expect.fail('the event is charged');
    const { usage, granted, currency } = planned.intent;
    return new Map([
      ['tenant-1 trace-1', { status: 'COMMITTED', content: { usage, amountNano: granted.amountNano, currency } }],
    ]);
  }

  it('is a duplicate of its own charge', () => {
    const knowledge = knowing([account()], {
      traces: pricedByHand(),
      parked: new Map([['tenant-1 trace-1', PARTIAL]]),
    });
    expect(plan([billable(2n, PARTIAL)], knowledge)).to.deep.equal(['duplicate']);
  });

  it('is a conflict with what was parked when its usage is another', () => {
    const parked = new Map([['tenant-1 trace-1', PARTIAL]]);
    const more = { ...PARTIAL, usage: { ...PARTIAL.usage, inputTokens: 1 } };
    const knowledge = knowing([account()], { traces: pricedByHand(), parked });
    expect(plan([billable(2n, more)], knowledge)).to.deep.equal(['CONFLICTING_DUPLICATE']);
  });

  it('is a conflict when it never was parked, or carries all its prices', () => {
    const traces = pricedByHand();
    expect(plan([billable(2n, PARTIAL)], knowing([account()], { traces }))).to.deep.equal(['CONFLICTING_DUPLICATE']);
    const knowledge = knowing([account()], { traces, parked: new Map([['tenant-1 trace-1', PARTIAL]]) });
    expect(plan([billable(2n, completed())], knowledge)).to.deep.equal(['CONFLICTING_DUPLICATE']);
  });
});
