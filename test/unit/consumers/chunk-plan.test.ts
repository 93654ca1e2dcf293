/** Owns: what the messages of a chunk want, also when several of them belong to one trace. */
import { expect } from 'chai';
import { type ChunkKnowledge, type PlannedItem } from '../../../src/consumers/chunk-plan.js';
import type { IntakeItem } from '../../../src/consumers/intake.js';
import { amountNano, parseAmount } from '../../../src/ledger/money.js';
import type { TraceState } from '../../../src/ledger/trace.js';
import { account, completed, NO_TOKENS, pending, PRICING } from '../ledger/usage-samples.js';
import { billable, knowing, openingBy, planOf, skipped, unreadable } from './chunk-samples.js';

const UNPRICED = completed({ pricing: { currency: 'USD', inputPer1k: '0.003' } });
const CANCELLED = completed({ outcome: 'cancelled', usage: NO_TOKENS });
const IN_EUROS = completed({ pricing: { ...PRICING, currency: 'EUR' } });

/** A planned item in a word: its kind, with the wanted status or the reason of the dead letter. */
function wordFor(planned: PlannedItem): string {
  if (planned.kind === 'entry') return `entry ${planned.intent.granted.status}`;
  return planned.kind === 'deadLetter' ? `deadLetter ${planned.letter.reason}` : planned.kind;
}

function plan(items: readonly IntakeItem[], knowledge: ChunkKnowledge = knowing()): string[] {
  return planOf(items, knowledge).map(wordFor);
}

function letterOf(item: IntakeItem, knowledge: ChunkKnowledge = knowing()) {
  const [planned] = planOf([item], knowledge);
  if (planned?.kind !== 'deadLetter') expect.fail(`planned is ${planned?.kind}`);
  return planned.letter;
}

describe('several events of one trace in one chunk', () => {
  it('twice the same pending event is one hold and one duplicate', () => {
    expect(plan([billable(1n, pending()), billable(2n, pending())])).to.deep.equal(['entry PENDING', 'duplicate']);
  });

  it('twice the same completion is one charge and one duplicate', () => {
    expect(plan([billable(1n, completed()), billable(2n, completed())])).to.deep.equal([
      'entry COMMITTED',
      'duplicate',
    ]);
  });

  it('a second completion with other content is a conflict, even while the first is not written yet', () => {
    const items = [billable(1n, completed()), billable(2n, completed({ model: 'gpt-4o' }))];
    expect(plan(items)).to.deep.equal(['entry COMMITTED', 'deadLetter CONFLICTING_DUPLICATE']);
  });

  it('a void and then a charge are a void and a late charge', () => {
    const planned = planOf([billable(1n, CANCELLED), billable(2n, completed())], knowing());
    expect(planned.map(wordFor)).to.deep.equal(['entry VOIDED', 'entry COMMITTED']);
    expect(planned[1]).to.have.nested.property('intent.granted.description', 'late');
  });

  it('a void of a hold and then a charge release the hold once', () => {
    const held: TraceState = { status: 'PENDING', heldNano: parseAmount('0.033'), countedOn: '2026-03-15' };
    const knowledge = knowing([account({ heldNano: parseAmount('0.033') })], {
      traces: new Map([['tenant-1 trace-1', held]]),
    });
    const planned = planOf([billable(1n, CANCELLED), billable(2n, completed())], knowledge);
    const released = planned.map((item) => (item.kind === 'entry' ? item.intent.granted.heldDeltaNano : undefined));
    expect(released).to.deep.equal([-33_000_000n, 0n]);
  });

  it('are told apart from those of another tenant with the same trace id', () => {
    const other = account({ tenantId: 'tenant-2' });
    const items = [billable(1n, completed()), billable(2n, completed({ tenantId: 'tenant-2' }))];
    expect(plan(items, knowing([account(), other]))).to.deep.equal(['entry COMMITTED', 'entry COMMITTED']);
  });

  it('see what the ledger knew before the chunk', () => {
    const traces = new Map<string, TraceState>([['tenant-1 trace-1', { status: 'EXPIRED' }]]);
    const items = [billable(1n, pending()), billable(2n, completed()), billable(3n, completed())];
    expect(plan(items, knowing([account()], { traces }))).to.deep.equal(['superseded', 'entry COMMITTED', 'duplicate']);
  });

  it('leave the knowledge of the caller as it was', () => {
    const knowledge = knowing();
    plan([billable(1n, completed()), billable(2n, { ...UNPRICED, traceId: 'trace-2' })], knowledge);
    expect(knowledge).to.deep.equal(knowing());
  });
});

describe('usage without a price', () => {
  it('is parked with its event, its position and the meters that have none', () => {
    const [planned] = planOf([billable(9n, UNPRICED)], knowing());
    expect(planned).to.deep.equal({
      kind: 'unpriced',
      parked: { kafkaOffset: 9n, tenantId: 'tenant-1', event: UNPRICED, meters: ['output_tokens'] },
    });
  });

  it('is a duplicate when it was parked before this chunk', () => {
    const parked = new Map([['tenant-1 trace-1', UNPRICED]]);
    expect(plan([billable(1n, UNPRICED)], knowing([account()], { parked }))).to.deep.equal(['duplicate']);
  });

  it('is a dead letter that names the fields when its trace was parked with other content', () => {
    const more = { ...UNPRICED, usage: { ...UNPRICED.usage, outputTokens: 7 }, outcome: 'failed' as const };
    for (const knowledge of [undefined, knowing([account()], { parked: new Map([['tenant-1 trace-1', UNPRICED]]) })]) {
      const items = knowledge === undefined ? [billable(1n, UNPRICED), billable(2n, more)] : [billable(2n, more)];
      const planned = planOf(items, knowledge ?? knowing()).at(-1);
      if (planned?.kind !== 'deadLetter') expect.fail('the second one is a dead letter');
      expect(planned.letter.reason).to.equal('CONFLICTING_DUPLICATE');
      expect(planned.letter.detail).to.equal(
        'trace_id trace-1 is already parked without a price; differing: usage.output_tokens, outcome',
      );
    }
  });

  it('is a duplicate when it was parked earlier in this chunk', () => {
    expect(plan([billable(1n, UNPRICED), billable(2n, UNPRICED)])).to.deep.equal(['unpriced', 'duplicate']);
  });

  it('does not keep a later completion with a price from being charged', () => {
    expect(plan([billable(1n, UNPRICED), billable(2n, completed())])).to.deep.equal(['unpriced', 'entry COMMITTED']);
  });

  it('is skipped and not parked when it is only an estimate', () => {
    const estimate = pending({ pricing: { currency: 'USD', inputPer1k: '0.003' } });
    const [planned] = planOf([billable(1n, estimate)], knowing());
    const reason = 'no_pricing_or_internal: estimate without a price for output_tokens';
    expect(planned).to.deep.equal({ kind: 'skipped', skipped: { kafkaOffset: 1n, event: estimate, reason } });
  });
});

describe('an event in another currency', () => {
  it("is a dead letter that names both currencies when the tenant's account has another", () => {
    const letter = letterOf(billable(1n, IN_EUROS));
    expect(letter.reason).to.equal('CURRENCY_MISMATCH');
    expect(letter.detail).to.equal('pricing.currency is EUR; allowed: USD, the currency of the tenant');
  });

  it('is a dead letter when the tenant has no account, since accounts open in the default currency', () => {
    const letter = letterOf(billable(1n, IN_EUROS), knowing([]));
    expect(letter.reason).to.equal('CURRENCY_MISMATCH');
    expect(letter.detail).to.equal('pricing.currency is EUR; allowed: USD, the currency of the tenant');
  });

  it('does not touch the trace: the same request in the right currency is charged', () => {
    const planned = plan([billable(1n, IN_EUROS), billable(2n, completed())]);
    expect(planned).to.deep.equal(['deadLetter CURRENCY_MISMATCH', 'entry COMMITTED']);
  });
});

describe('dead letters of the plan', () => {
  it('keep the original bytes, key, headers and position, and say whose they are', () => {
    const letter = letterOf(billable(7n, IN_EUROS));
    expect(letter).to.deep.include({
      kafkaOffset: 7n,
      key: Buffer.from('tenant-1'),
      value: Buffer.from('bytes of 7'),
      headers: { trace: [Buffer.from('h').toString('base64')] },
      tenantId: 'tenant-1',
      traceId: 'trace-1',
    });
  });

  it('name the fields of a conflict', () => {
    const planned = planOf(
      [billable(1n, completed()), billable(2n, completed({ model: 'm', provider: 'p' }))],
      knowing(),
    );
    const detail = 'trace_id trace-1 is already charged; differing: provider, model';
    expect(planned[1]).to.have.nested.property('letter.detail', detail);
  });

  it('refuse a cost of 2^63 nano-units', () => {
    const pricing = { ...PRICING, inputPer1k: '9223372036.854775808' };
    expect(letterOf(billable(1n, completed({ pricing }))).reason).to.equal('AMOUNT_OUT_OF_RANGE');
  });

  it('come through as they are when the message could not be read', () => {
    const item = unreadable(4n);
    expect(planOf([item], knowing())).to.deep.equal([item]);
  });
});

describe('the plan of a chunk', () => {
  it('keeps the order of the messages and plans each one once', () => {
    const items = [
      unreadable(1n),
      billable(2n, completed({ traceId: 'trace-b' })),
      skipped(5n, completed()),
      billable(6n, completed({ traceId: 'trace-a' })),
    ];
    expect(plan(items)).to.deep.equal(['deadLetter INVALID_JSON', 'entry COMMITTED', 'skipped', 'entry COMMITTED']);
  });

  it('opens an account right before the event that opens it', () => {
    const first = billable(2n, completed());
    const openings = new Map([['tenant-1', openingBy(first)]]);
    const items = [billable(1n, IN_EUROS), first, billable(3n, completed({ traceId: 'trace-2' }))];
    const opened = account({ balanceNano: amountNano(0n), seq: 0 });
    expect(plan(items, knowing([opened], { openings }))).to.deep.equal([
      'deadLetter CURRENCY_MISMATCH',
      'opening',
      'entry COMMITTED',
      'entry COMMITTED',
    ]);
  });

  it('holds by the policy of each account', () => {
    const items = [billable(1n, pending()), billable(2n, pending({ tenantId: 'tenant-2' }))];
    const planned = planOf(items, knowing([account(), account({ tenantId: 'tenant-2', holdPolicy: 'none' })]));
    expect(planned.map((item) => item.kind === 'entry' && item.intent.reserves)).to.deep.equal([true, false]);
  });
});
