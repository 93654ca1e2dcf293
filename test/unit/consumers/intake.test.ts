/** Owns: what each message of a chunk is before the ledger is asked. */
import { expect } from 'chai';
import { EXAMPLES } from '../../../src/contract/examples.js';
import {
  deadLetter,
  EVENT_FUTURE_MAX_MS,
  intake,
  type IntakeItem,
  type UsageKind,
} from '../../../src/consumers/intake.js';
import type { DeadLetter } from '../../../src/ledger/dead-letter.js';
import { completed } from '../ledger/usage-samples.js';
import { message } from './chunk-samples.js';

const NOW = '2026-03-31T09:31:00.000Z';
const DAY_MS = 86_400_000;
const BOUNDS = { eventBytesMax: 65_536, eventAgeMaxMs: 7 * DAY_MS, nowMs: Date.parse(NOW) };
const COMPLETED = EXAMPLES.completed[0] as Readonly<Record<string, unknown>>;

function take(value: Buffer | null, kind: UsageKind = 'completed'): IntakeItem {
  return intake({ ...message(5n), value }, kind, BOUNDS);
}

function takeEvent(changes: Readonly<Record<string, unknown>>, kind: UsageKind = 'completed'): IntakeItem {
  return take(Buffer.from(JSON.stringify({ ...(EXAMPLES[kind][0] as object), ...changes })), kind);
}

function without(...fields: string[]): Buffer {
  return Buffer.from(
    JSON.stringify(Object.fromEntries(Object.entries(COMPLETED).filter(([name]) => !fields.includes(name)))),
  );
}

function bytes(changes: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(JSON.stringify({ ...COMPLETED, ...changes }));
}

function letterOf(item: IntakeItem): DeadLetter {
  if (item.kind !== 'deadLetter') expect.fail(`the item is ${item.kind}`);
  return item.letter;
}

describe('a message that can be charged', () => {
  it('is billable with its tenant, its pricing and its decoded event', () => {
    const item = takeEvent({});
    if (item.kind !== 'billable') expect.fail(`the item is ${item.kind}`);
    expect(item).to.include({ tenantId: 'tenant-42' });
    expect(item.pricing).to.include({ inputPer1k: '0.003', currency: 'USD' });
    expect(item.event).to.include({ kind: 'completed', traceId: 'trace-81f3', occurredAt: '2026-03-31T09:30:07.901Z' });
    expect(item.message.kafkaOffset).to.equal(5n);
  });

  it('is read as the event that its topic carries', () => {
    expect(takeEvent({}, 'pending')).to.have.nested.property('event.kind', 'pending');
    expect(letterOf(take(Buffer.from(JSON.stringify(COMPLETED)), 'pending')).reason).to.equal('INVALID_EVENT');
  });
});

describe('an event that is not billable', () => {
  const cases: readonly [what: string, item: () => IntakeItem][] = [
    ['without a tenant', () => take(without('tenant_id'))],
    ['without a tenant and pricing', () => take(without('tenant_id', 'pricing'))],
    ['with a skip reason', () => takeEvent({ skip_reason: 'internal' })],
    ['with a skip reason and without pricing', () => takeEvent({ skip_reason: 'internal', pricing: undefined })],
  ];
  for (const [what, item] of cases) {
    it(`${what} is skipped with its event and never lost`, () => {
      const taken = item();
      expect(taken).to.include({ kind: 'skipped', reason: 'no_pricing_or_internal' });
      expect(taken).to.have.nested.property('event.traceId').that.is.a('string');
    });
  }
});

describe('an event without pricing', () => {
  const cases: readonly [kind: UsageKind, item: () => IntakeItem][] = [
    ['completed', () => take(without('pricing'))],
    ['pending', () => takeEvent({ pricing: undefined }, 'pending')],
  ];
  for (const [kind, item] of cases) {
    it(`that is ${kind} is left to the price book, with its tenant and its event`, () => {
      const taken = item();
      expect(taken).to.include({ kind: 'unquoted' }).and.have.nested.property('event.kind', kind);
      expect(taken).to.have.property('tenantId').that.is.a('string');
    });
  }
});

describe('the time of an event', () => {
  function at(ms: number): IntakeItem {
    return takeEvent({ occurred_at: new Date(ms).toISOString() });
  }

  it('may be five minutes ahead and not a millisecond more', () => {
    expect(EVENT_FUTURE_MAX_MS).to.equal(300_000);
    expect(at(BOUNDS.nowMs + 300_000).kind).to.equal('billable');
    const letter = letterOf(at(BOUNDS.nowMs + 300_001));
    expect(letter.reason).to.equal('OCCURRED_AT_IN_FUTURE');
    expect(letter.detail).to.include('2026-03-31T09:36:00.001Z').and.include('at most 2026-03-31T09:36:00.000Z');
  });

  it('may be as old as configured and not a millisecond more', () => {
    expect(at(BOUNDS.nowMs - 7 * DAY_MS).kind).to.equal('billable');
    const letter = letterOf(at(BOUNDS.nowMs - 7 * DAY_MS - 1));
    expect(letter.reason).to.equal('OCCURRED_AT_TOO_OLD');
    expect(letter.detail).to.include('at least 2026-03-24T09:31:00.000Z').and.include('TOLLBOOK_EVENT_AGE_MAX_MS');
  });

  it('is checked before the event is skipped, and the dead letter says whose it is', () => {
    const item = takeEvent({ skip_reason: 'internal', occurred_at: '2020-01-01T00:00:00Z' });
    expect(letterOf(item)).to.include({ reason: 'OCCURRED_AT_TOO_OLD', tenantId: 'tenant-42', traceId: 'trace-81f3' });
  });
});

describe('a message that cannot be read', () => {
  const ids = { tenantId: 'tenant-42', traceId: 'trace-81f3' };
  const cases: readonly [reason: DeadLetter['reason'], value: Buffer | null, named?: Partial<typeof ids>][] = [
    ['EMPTY_MESSAGE', null],
    ['EMPTY_MESSAGE', Buffer.alloc(0)],
    ['MESSAGE_TOO_LARGE', Buffer.alloc(65_537, 0x20)],
    ['INVALID_UTF8', Buffer.of(0x7b, 0xff, 0x7d)],
    ['INVALID_JSON', Buffer.from('{"schema_version":')],
    ['UNKNOWN_SCHEMA_VERSION', Buffer.from(JSON.stringify({ ...COMPLETED, schema_version: 99 })), ids],
    ['INVALID_EVENT', without('trace_id'), { tenantId: 'tenant-42' }],
    ['INVALID_EVENT', without('usage'), ids],
    ['INVALID_EVENT', bytes({ usage: 7, tenant_id: '{tenant}' }), { traceId: 'trace-81f3' }],
    ['INVALID_EVENT', bytes({ usage: 7, tenant_id: { constructor: 'x' }, trace_id: ['a'] })],
    ['INVALID_EVENT', Buffer.from(bytes({}).toString().replace('{', '{"tenant_id":"other",'))],
    ['INVALID_EVENT', Buffer.from('null')],
  ];
  for (const [reason, value, named = {}] of cases) {
    const shown = value === null ? 'no value' : `${value.length} bytes`;
    it(`${reason}: ${shown} become a dead letter with the original bytes and position, and the ids that can be read`, () => {
      const letter = letterOf(take(value));
      expect(letter.reason).to.equal(reason);
      expect(letter).to.deep.include({ value, kafkaOffset: 5n, key: Buffer.from('tenant-1') });
      expect(letter).to.include({ tenantId: null, traceId: null, ...named });
      expect(letter.detail).to.have.length.within(10, 1000);
    });
  }
});

describe('a dead letter', () => {
  it('keeps every value of every header in base64, whatever bytes they are', () => {
    const headers = { a: [Buffer.of(0, 255), Buffer.alloc(0)], b: [] };
    const why = { reason: 'INVALID_EVENT', detail: 'why', event: undefined } as const;
    expect(deadLetter({ ...message(1n), headers }, why).headers).to.deep.equal({ a: ['AP8=', ''], b: [] });
  });

  it('has no tenant when its event names none', () => {
    const { tenantId: _tenantId, ...event } = completed();
    const letter = deadLetter(message(1n), { reason: 'CURRENCY_MISMATCH', detail: 'why', event });
    expect(letter).to.include({ tenantId: null, traceId: 'trace-1' });
  });
});
