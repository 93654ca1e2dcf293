/** Owns: what a trace is said to have come to, and its text, for the states that are hard to bring about on servers. */
import { expect } from 'chai';
import type { QuotaGlance } from '../../../src/cli/quota-glance.js';
import { outcomeOf, traceDocument, type TraceReport } from '../../../src/cli/trace-documents.js';
import { traceText } from '../../../src/cli/trace-text.js';
import type { LedgerEntry } from '../../../src/ledger/entry.js';
import type { TraceDeadLetter, TraceEntry, TraceLife } from '../../../src/ledger/ledger-queries.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { charge } from '../ledger/usage-samples.js';

const AT = '2026-03-15T10:00:01.000Z';
const SOURCE = { topic: 'usage.completed', partition: 3, kafkaOffset: 41n };
const NOTHING: TraceLife = { entries: [], hold: undefined, parked: undefined, skipped: [], deadLetters: [] };
const PARKED = { source: SOURCE, meters: ['input_tokens'], recordedAt: AT };
const SKIPPED = { source: SOURCE, reason: 'no_pricing_or_internal', recordedAt: AT };
const LETTER: TraceDeadLetter = {
  source: SOURCE,
  reason: 'CONFLICTING_DUPLICATE',
  detail: 'differs in cost',
  redriveState: 'open',
  recordedAt: AT,
};
const NO_ITEMS: QuotaGlance = { kind: 'read', hash: null, items: [] };
const HELD: QuotaGlance = {
  ...NO_ITEMS,
  items: ['trace-1', 'trace-2'].map((traceId) => ({
    ...{ traceId, phase: 'p', availableNano: -500_000_000n, requests: 1, day: '2026-03-15' },
    createdAtMs: Date.parse(AT),
  })),
};

function report(life: Partial<TraceLife>, glance: QuotaGlance = NO_ITEMS): TraceReport {
  return { trace: { tenantId: 'tenant-1', traceId: 'trace-1' }, life: { ...NOTHING, ...life }, glance };
}

function traced(changes: Partial<LedgerEntry>, relation: TraceEntry['relation'] = 'own'): TraceEntry {
  const seal = { batchId: 12, source: SOURCE, batchNo: 4, hash: 'cd'.repeat(32), headBatchNo: 9 };
  return { entry: charge(changes), entryHash: 'ab'.repeat(32), batchId: 12, recordedAt: AT, relation, seal };
}

function statusesOf(entries: readonly TraceEntry[]): string {
  return (
    entries.map(({ relation, entry }) => `an entry (${relation}) that is ${entry.status}`).join(' and ') || 'no entry'
  );
}

describe('what a trace has come to', () => {
  const STATES: readonly (readonly [string | null, TraceReport])[] = [
    [null, report({})],
    ['IN_FLIGHT', report({}, HELD)],
    ['SKIPPED', report({ skipped: [SKIPPED] }, HELD)],
    ['DEAD_LETTER', report({ skipped: [SKIPPED], deadLetters: [LETTER] })],
    ['PARKED', report({ parked: PARKED, deadLetters: [LETTER] })],
    ['COMMITTED', report({ parked: PARKED, entries: [traced({}), traced({ type: 'REFUND' }, 'later')] })],
  ];
  for (const [state, given] of STATES) {
    it(`is ${state ?? 'unknown'}`, () => expect(outcomeOf(given).state).to.equal(state));
  }

  it('counts a collected failure as charged and refunds against it, and leaves what it refers to out', () => {
    const amount = parseAmount;
    const { chargedNano, refundedNano } = outcomeOf(
      report({
        entries: [
          traced({ amountNano: amount('9') }, 'original'),
          traced({ status: 'FAILED', amountNano: amount('2') }),
          traced({ amountNano: amount('2') }),
          traced({ type: 'REFUND', amountNano: amount('0.5') }, 'later'),
          traced({ type: 'REFUND', amountNano: amount('0.25') }, 'later'),
        ],
      }),
    );
    expect([chargedNano, refundedNano]).to.deep.equal([amount('2'), amount('0.75')]);
  });

  const PRICED: readonly (readonly [boolean, TraceEntry[]])[] = [
    [true, []],
    [true, [traced({ status: 'PENDING' }), traced({}, 'original')]],
    [false, [traced({})]],
    [false, [traced({ status: 'FAILED' })]],
  ];
  for (const [open, entries] of PRICED) {
    it(`a parked trace ${open ? 'waits' : 'no longer waits'} for a price with ${statusesOf(entries)}`, () => {
      const life = report({ parked: PARKED, entries });
      expect(traceDocument(life)).to.have.nested.property('parked.open', open);
      expect(traceText(life)).to.include(open ? '(waits for a price)' : '(charged since)');
    });
  }

  it('has only the items of this trace that are in flight', () => {
    const { redis } = traceDocument(report({}, HELD)) as { redis: { inFlight: object[] } };
    const createdAt = AT;
    expect(redis.inFlight).to.deep.equal([
      { phase: 'hold', available: '-0.500000000', requests: 1, day: '2026-03-15', createdAt },
    ]);
  });
});

describe('the text of a trace', () => {
  it('tells of an entry its amount, terms, balances, position, seal and times', () => {
    const text = traceText(report({ entries: [traced({ requests: 1, countedOn: '2026-03-15' })] }));
    expect(text.split('\n').slice(0, 9)).to.deep.equal([
      'trace trace-1 of tenant-1: COMMITTED; charged 0.018 USD',
      '',
      'entry 8: DEDUCT COMMITTED 0.018 USD',
      '  anthropic claude-sonnet-4, not streamed, succeeded, API key key-1, preset preset-1, price version v1',
      '  input_tokens   1000 × 0.003 / 1000 = 0.003',
      '  output_tokens  1000 × 0.015 / 1000 = 0.015',
      '  balance 10.00 → 9.982, held 0.00, requests +1 on 2026-03-15',
      '  from usage.completed/3 offset 41, batch 4 of 9 (id 12, hash cdcdcdcdcdcdcdcd…), entry hash abababababababab…',
      '  occurred 2026-03-15T10:00:00.000Z, recorded 2026-03-15T10:00:01.000Z',
    ]);
  });

  it('cries out when the terms do not add up to the amount', () => {
    const text = traceText(report({ entries: [traced({ amountNano: parseAmount('0.02') })] }));
    expect(text).to.include('THESE ADD UP TO 0.018, not to the amount of the entry');
  });

  it('tells why and with which figures a request was refused, and that no batch covers an entry', () => {
    const detail = { required: '11.000000000', available: '10.000000000' };
    const entry = traced({ status: 'REFUSED', description: 'INSUFFICIENT_BALANCE', detail });
    const text = traceText(report({ entries: [{ ...entry, seal: undefined }] }));
    expect(text).to.include('REFUSED 0.018 USD (INSUFFICIENT_BALANCE, required 11.000000000, available 10.000000000)');
    expect(text).to.include('offset 41, in no sealed batch');
  });

  it('tells what was set aside, what is in flight, and why Redis is not known', () => {
    const aside = traceText(report({ parked: PARKED, skipped: [SKIPPED], deadLetters: [LETTER] }, HELD));
    expect(aside).to.include('trace trace-1 of tenant-1: PARKED\n');
    expect(aside).to.include(
      `parked ${AT} (waits for a price): no price for input_tokens, usage.completed/3 offset 41`,
    );
    expect(aside).to.include(`skipped ${AT}: no_pricing_or_internal, usage.completed/3 offset 41`);
    expect(aside).to.match(/dead letter usage.completed\/3\/\d+ \S+ \(open\): CONFLICTING_DUPLICATE: differs in cost/);
    expect(aside).to.include(`in flight in Redis since ${AT}: hold, available -0.50, requests 1 on 2026-03-15`);
    const away = traceText(report({ parked: PARKED }, { kind: 'away', reason: 'refused' }));
    expect(away).to.include('redis is away: refused').and.not.include('in flight');
  });

  it('says nothing of a charge for a trace that has none, such as that of a credit', () => {
    const text = traceText(report({ entries: [traced({ type: 'CREDIT' })] }));
    expect(text).to.match(/^trace trace-1 of tenant-1: COMMITTED\n/);
  });
});
