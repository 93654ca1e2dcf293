/**
 * Daily and monthly request quotas at the last and the first millisecond of their windows, on a real PostgreSQL, with Redis
 * deciding and without it: the same entries either way.
 */
import { expect } from 'chai';
import { LEDGER_ALONE } from '../../src/consumers/quota-gate.js';
import type { AccountTerms } from '../../src/ledger/account.js';
import { expectAtRest } from '../support/at-rest.js';
import { type EntryText, NO_LIMITS, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

/** Nobody is asked but the locked account. */

interface Boundary {
  readonly name: string;
  /** The last millisecond of the old day. */
  readonly last: string;
  /** The first of the new one. */
  readonly first: string;
}

const BOUNDARIES: readonly Boundary[] = [
  { name: 'midnight', last: '2026-03-15T23:59:59.999Z', first: '2026-03-16T00:00:00.000Z' },
  { name: 'the end of a month of 30 days', last: '2026-04-30T23:59:59.999Z', first: '2026-05-01T00:00:00.000Z' },
  { name: 'the end of a month of 31 days', last: '2026-03-31T23:59:59.999Z', first: '2026-04-01T00:00:00.000Z' },
  { name: 'the end of February', last: '2026-02-28T23:59:59.999Z', first: '2026-03-01T00:00:00.000Z' },
  { name: 'the start of a leap day', last: '2028-02-28T23:59:59.999Z', first: '2028-02-29T00:00:00.000Z' },
  { name: 'the end of a leap day', last: '2028-02-29T23:59:59.999Z', first: '2028-03-01T00:00:00.000Z' },
  { name: 'the end of a year', last: '2026-12-31T23:59:59.999Z', first: '2027-01-01T00:00:00.000Z' },
  {
    name: 'midnight UTC in a zone ahead',
    last: '2026-06-16T01:59:59.999+02:00',
    first: '2026-06-16T02:00:00.000+02:00',
  },
  {
    name: 'midnight UTC in a zone behind',
    last: '2026-06-15T19:59:59.999-04:00',
    first: '2026-06-15T20:00:00.000-04:00',
  },
];

/** How Redis stands: asked with a hash that is never behind, asked with one that is, or not asked at all. */
const WAYS = ['with Redis projected after every charge', 'with a hash behind its ledger', 'without Redis'] as const;
type Way = (typeof WAYS)[number];

type EntryFacts = Pick<EntryText, 'trace_id' | 'status' | 'description' | 'detail' | 'counted_on'>;

describe('request windows', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  /** Charges completions of one unit one by one, as `trace@instant`; returns their entries. */
  async function charge(
    tenantId: string,
    events: readonly (readonly [traceId: string, occurredAt: string])[],
    way: Way = WAYS[0],
  ): Promise<EntryFacts[]> {
    const stream = world.stream('completed');
    const protocol = world.protocol(way === 'without Redis' ? { gate: LEDGER_ALONE } : {});
    for (const [traceId, occurred_at] of events) {
      await protocol.charge(stream.chunk([wireCompleted({ tenantId, traceId, fields: { occurred_at } })]));
      if (way === WAYS[0]) await world.project([tenantId]);
    }
    const traceIds = new Set(events.map(([traceId]) => traceId));
    const entries = (await world.entries(tenantId)).filter(({ trace_id }) => traceIds.has(trace_id));
    return entries.map(({ trace_id, status, description, detail, counted_on }) => {
      return { trace_id, status, description, detail, counted_on };
    });
  }

  async function tenantAt(instant: string, terms: Partial<AccountTerms>): Promise<string> {
    const tenantId = world.tenant();
    world.clock.atMs = Date.parse(instant);
    await world.credit(tenantId, '100', { ...NO_LIMITS, ...terms });
    await world.project([tenantId]);
    return tenantId;
  }

  function dayOf(instant: string): string {
    return new Date(instant).toISOString().slice(0, 10);
  }

  function committed(trace_id: string, instant: string): EntryFacts {
    return { trace_id, status: 'COMMITTED', description: null, detail: null, counted_on: dayOf(instant) };
  }

  function refused(trace_id: string, window: 'DAILY' | 'MONTHLY', figures: [limit: number, used: number]): EntryFacts {
    const [limit, used] = figures.map(String) as [string, string];
    const description = `${window}_QUOTA_EXCEEDED`;
    return { trace_id, status: 'FAILED', description, detail: { limit, used }, counted_on: null };
  }

  for (const { name, last, first } of BOUNDARIES) {
    const [oldMonth, newMonth] = [dayOf(last).slice(0, 7), dayOf(first).slice(0, 7)];
    for (const way of WAYS) {
      it(`a daily quota that is used up is open again at ${name}, ${way}, and a late event is judged by its own day`, async () => {
        const tenantId = await tenantAt(last, { dailyQuota: 1 });
        const events = [
          ...([
            ['a', last],
            ['b', last],
            ['c', first],
            ['d', first],
          ] as const),
          ...([
            ['late', last],
            ['e', first],
          ] as const),
        ];
        expect(await charge(tenantId, events, way)).to.deep.equal([
          committed('a', last),
          refused('b', 'DAILY', [1, 1]),
          committed('c', first),
          refused('d', 'DAILY', [1, 1]),
          refused('late', 'DAILY', [1, 1]),
          refused('e', 'DAILY', [1, 1]),
        ]);
        expect(await world.account(tenantId)).to.include({ dailyDate: dayOf(first), dailyUsed: 1 });
        await expectAtRest(world, [tenantId]);
      });

      it(`a monthly quota ${oldMonth === newMonth ? 'goes on' : 'opens anew'} at ${name}, ${way}`, async () => {
        const tenantId = await tenantAt(last, { monthlyQuota: 2 });
        const events = [
          ...([
            ['a', last],
            ['b', last],
            ['c', last],
            ['d', first],
          ] as const),
          ...([
            ['late', last],
            ['e', first],
            ['f', first],
          ] as const),
        ];
        const isSameMonth = oldMonth === newMonth;
        expect(await charge(tenantId, events, way)).to.deep.equal([
          committed('a', last),
          committed('b', last),
          refused('c', 'MONTHLY', [2, 2]),
          isSameMonth ? refused('d', 'MONTHLY', [2, 2]) : committed('d', first),
          refused('late', 'MONTHLY', [2, 2]),
          isSameMonth ? refused('e', 'MONTHLY', [2, 2]) : committed('e', first),
          refused('f', 'MONTHLY', [2, 2]),
        ]);
        expect(await world.account(tenantId)).to.include({ monthlyMonth: newMonth, monthlyUsed: 2 });
        await expectAtRest(world, [tenantId]);
      });
    }
  }

  const NEW_YEAR = { last: '2026-12-31T23:59:59.999Z', first: '2027-01-01T00:00:00.000Z' };

  /** Holds `old` in the last millisecond of a year and charges `new` in the first of the next one. */
  async function acrossNewYear(terms: Partial<AccountTerms> = {}): Promise<string> {
    const tenantId = await tenantAt(NEW_YEAR.last, terms);
    const pending = wirePending({ tenantId, traceId: 'old', fields: { occurred_at: NEW_YEAR.last } });
    await world.protocol().charge(world.stream('pending').chunk([pending]));
    expect(await world.account(tenantId)).to.include({ dailyDate: '2026-12-31', dailyUsed: 1, monthlyUsed: 1 });
    await charge(tenantId, [['new', NEW_YEAR.first]], WAYS[1]);
    return tenantId;
  }

  async function expectNewYear(tenantId: string, used: number): Promise<void> {
    const windows = { dailyDate: '2027-01-01', dailyUsed: used, monthlyMonth: '2027-01', monthlyUsed: used };
    expect(await world.account(tenantId)).to.include({ ...windows, heldNano: 0n });
    await expectAtRest(world, [tenantId]);
  }

  it('a request held in one year and completed in the next is counted in the old one alone', async () => {
    const tenantId = await acrossNewYear({ dailyQuota: 1, monthlyQuota: 1 });
    const [settled] = await charge(tenantId, [['old', NEW_YEAR.first]]);
    expect(settled).to.include({ status: 'PENDING', counted_on: '2026-12-31' });
    expect((await world.entries(tenantId)).at(-1)).to.include({ status: 'COMMITTED', requests: 0, counted_on: null });
    await expectNewYear(tenantId, 1);
  });

  it('a hold of the old year that is voided in the next gives nothing back to the new windows', async () => {
    const tenantId = await acrossNewYear();
    const fields = { occurred_at: NEW_YEAR.first, outcome: 'cancelled' };
    const cancelled = wireCompleted({ tenantId, traceId: 'old', units: 0, fields });
    await world.protocol().charge(world.stream('completed').chunk([cancelled]));
    expect((await world.entries(tenantId)).at(-1)).to.include({ requests: -1, counted_on: '2026-12-31' });
    await expectNewYear(tenantId, 1);
  });

  it('a hold of the old year that expires in the next gives nothing back to the new windows', async () => {
    const tenantId = await acrossNewYear();
    await world.expireHolds();
    expect((await world.entries(tenantId)).at(-1)).to.include({
      ...{ status: 'EXPIRED', requests: -1, counted_on: '2026-12-31' },
    });
    await expectNewYear(tenantId, 1);
    await charge(tenantId, [['old', NEW_YEAR.first]]);
    expect((await world.entries(tenantId)).at(-1)).to.include({
      ...{ status: 'COMMITTED', description: 'late', requests: 1, counted_on: '2027-01-01' },
    });
    await expectNewYear(tenantId, 2);
  });

  it('a hold that is refused by a quota says its limit and what is used, and counts nothing', async () => {
    for (const [quota, code] of [
      ['dailyQuota', 'DAILY_QUOTA_EXCEEDED'],
      ['monthlyQuota', 'MONTHLY_QUOTA_EXCEEDED'],
    ] as const) {
      const tenantId = await tenantAt(NEW_YEAR.last, { [quota]: 2 });
      const events = ['a', 'b', 'c'].map((traceId) =>
        wirePending({ tenantId, traceId, fields: { occurred_at: NEW_YEAR.last } }),
      );
      await world.protocol().charge(world.stream('pending').chunk(events));
      expect((await world.entries(tenantId)).at(-1)).to.deep.include({
        ...{ status: 'REFUSED', description: code, detail: { limit: '2', used: '2' }, requests: 0 },
      });
      expect(await world.account(tenantId)).to.include({ dailyUsed: 2, monthlyUsed: 2 });
      await expectAtRest(world, [tenantId]);
    }
  });
});
