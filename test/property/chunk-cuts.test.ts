/** Owns: that what becomes of each message of a log does not depend on how the log is cut into chunks. */
import { expect } from 'chai';
import fc from 'fast-check';
import { bookChunk } from '../../src/consumers/chunk-booking.js';
import { type PlannedItem, planChunk } from '../../src/consumers/chunk-plan.js';
import type { IntakeItem } from '../../src/consumers/intake.js';
import { ZERO } from '../../src/ledger/money.js';
import type { UsageCompleted, UsageEvent } from '../../src/ledger/events.js';
import { traceKey } from '../../src/ledger/ledger-store.js';
import { propertySeed } from '../model/property-seed.js';
import { billable, knowing, unreadable } from '../unit/consumers/chunk-samples.js';
import { completed, ESTIMATES, NO_TOKENS, pending, PRICING } from '../unit/ledger/usage-samples.js';
import { openLedger, stateOf } from './memory-ledger.js';

const TENANT = 'tenant-1';
const EXPIRES = '2030-01-01T00:00:00.000Z';
const TRACES = 4;

const prices = fc.constantFrom(
  ...[PRICING, PRICING, PRICING, { ...PRICING, currency: 'EUR' }],
  ...[
    { currency: 'USD', inputPer1k: '0.003' },
    { ...PRICING, inputPer1k: '5' },
  ],
);
const traceId = fc.integer({ min: 1, max: TRACES }).map((number) => `trace-${number}`);
const holds = fc.record({ traceId, pricing: prices }).map((parts) => pending(parts));
const charges = fc
  .record({
    traceId,
    pricing: prices,
    usage: fc.constantFrom(
      NO_TOKENS,
      { inputTokens: 1000, outputTokens: 1000 },
      { inputTokens: 2000, outputTokens: 0 },
    ),
    outcome: fc.constantFrom('succeeded' as const, 'succeeded' as const, 'cancelled' as const),
    allowNegative: fc.boolean(),
  })
  .map((parts) => completed(parts));

/** The messages of one topic; undefined is one that cannot be read. */
const logs = fc.oneof(
  fc.array(fc.option<UsageEvent, undefined>(holds, { nil: undefined, freq: 8 }), { minLength: 2, maxLength: 20 }),
  fc.array(fc.option<UsageEvent, undefined>(charges, { nil: undefined, freq: 8 }), { minLength: 2, maxLength: 20 }),
);

/** Charges a log chunk by chunk; true ends a chunk behind a message. Returns what each message came to. */
function charge(log: readonly (UsageEvent | undefined)[], ends: readonly boolean[]): string[] {
  const terms = { creditLimitNano: ZERO, dailyQuota: 3, monthlyQuota: null, holdPolicy: 'estimate' as const };
  const ledger = openLedger(TENANT, terms, 25_000_000n);
  const parked = new Map<string, UsageCompleted>();
  const labels: string[] = [];
  let chunk: IntakeItem[] = [];
  const chargeChunk = (): void => {
    const traces = new Map(
      Array.from({ length: TRACES }, (_, index) => `trace-${index + 1}`).map((id) => [
        traceKey({ tenantId: TENANT, traceId: id }),
        stateOf(ledger, id),
      ]),
    );
    const planned = planChunk(chunk, knowing([ledger.account], { traces, parked }), ESTIMATES);
    const booked = bookChunk({
      ...{ source: { topic: 'memory', partition: 0 }, planned, others: new Map() },
      accounts: new Map([[TENANT, ledger.account]]),
    });
    const content = booked.contentWith({ estimate: EXPIRES, none: EXPIRES });
    for (const { tenantId, event } of content.unpriced) {
      if (event.kind === 'completed') parked.set(traceKey({ tenantId, traceId: event.traceId }), event);
    }
    ledger.account = content.accounts[0] ?? ledger.account;
    ledger.entries.push(...content.entries);
    const entries = content.entries.values();
    labels.push(...planned.map((item) => labelOf(item, () => entries.next().value?.status ?? 'none')));
    chunk = [];
  };
  for (const [index, event] of log.entries()) {
    chunk.push(event === undefined ? unreadable(BigInt(index)) : billable(BigInt(index), event));
    if (ends[index] === true || index === log.length - 1) chargeChunk();
  }
  return labels;
}

function labelOf(planned: PlannedItem, statusOf: () => string): string {
  switch (planned.kind) {
    case 'entry':
      return `entry ${statusOf()}`;
    case 'deadLetter':
      return `${planned.letter.reason}: ${planned.letter.detail}`;
    case 'skipped':
      return planned.skipped.reason;
    case 'opening':
    case 'duplicate':
    case 'superseded':
    case 'unpriced':
      return planned.kind;
  }
}

describe('what becomes of each message of a log', () => {
  it('is the same however the log is cut into chunks', () => {
    fc.assert(
      fc.property(logs, fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }), (log, ends) => {
        const whole = charge(log, []);
        expect(charge(log, ends)).to.deep.equal(whole);
        expect(charge(log, Array<boolean>(log.length).fill(true))).to.deep.equal(whole);
      }),
      { seed: propertySeed(), numRuns: 500 },
    );
  });
});
