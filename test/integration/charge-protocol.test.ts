/** The charge protocol on real servers: the life of a trace, and what becomes of whole chunks. */
import { expect } from 'chai';
import type { BatchCounts } from '../../src/ledger/batch.js';
import { formatAmount } from '../../src/ledger/money.js';
import { expectAtRest } from '../support/at-rest.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

type Step = (traceId: string, tenantId: string) => { readonly kind: 'pending' | 'completed'; readonly event: WireEvent };

const pending = (units: number): Step => (traceId, tenantId) => ({ kind: 'pending', event: wirePending({ tenantId, traceId, units }) });
const completed = (units: number, fields: WireEvent = {}): Step => (traceId, tenantId) => ({
  kind: 'completed',
  event: wireCompleted({ tenantId, traceId, units, fields }),
});
const CANCELLED: WireEvent = { outcome: 'cancelled' };

interface TraceRow {
  readonly behaviour: string;
  readonly steps: readonly Step[];
  readonly statuses: readonly string[];
  /** Of a tenant that had 10 units. */
  readonly balance: number;
  readonly held?: number;
  readonly requests?: number;
  readonly set?: Partial<BatchCounts>;
}

const TRACE_TABLE: readonly TraceRow[] = [
  { behaviour: 'a pending event holds its estimate and leaves the balance alone', steps: [pending(5)], statuses: ['PENDING'], balance: 10, held: 5 },
  { behaviour: 'a completion below its hold costs what was used and releases the hold', steps: [pending(5), completed(3)], statuses: ['PENDING', 'COMMITTED'], balance: 7 },
  { behaviour: 'a completion above its hold costs what was used and releases the hold', steps: [pending(5), completed(8)], statuses: ['PENDING', 'COMMITTED'], balance: 2 },
  { behaviour: 'a completion without a pending event is charged', steps: [completed(3)], statuses: ['COMMITTED'], balance: 7 },
  { behaviour: 'a pending event after its completion is superseded', steps: [completed(3), pending(5)], statuses: ['COMMITTED'], balance: 7, set: { superseded: 1 } },
  { behaviour: 'a pending event beyond the balance is refused', steps: [pending(11)], statuses: ['REFUSED'], balance: 10, requests: 0 },
  { behaviour: 'a refused pending event that comes again is superseded', steps: [pending(11), pending(11)], statuses: ['REFUSED'], balance: 10, requests: 0, set: { superseded: 1 } },
  { behaviour: 'a completion after a refusal is charged late', steps: [pending(11), completed(3)], statuses: ['REFUSED', 'COMMITTED'], balance: 7 },
  { behaviour: 'a second pending event is a duplicate', steps: [pending(5), pending(5)], statuses: ['PENDING'], balance: 10, held: 5, set: { duplicates: 1 } },
  { behaviour: 'a second completion is a duplicate', steps: [completed(3), completed(3)], statuses: ['COMMITTED'], balance: 7, set: { duplicates: 1 } },
  { behaviour: 'a second completion with other content is a dead letter', steps: [completed(3), completed(4)], statuses: ['COMMITTED'], balance: 7, set: { deadLetters: 1 } },
  { behaviour: 'a completion beyond the balance fails', steps: [completed(11)], statuses: ['FAILED'], balance: 10, requests: 0 },
  { behaviour: 'a completion beyond the balance releases its hold and keeps the request counted', steps: [pending(5), completed(11)], statuses: ['PENDING', 'FAILED'], balance: 10 },
  { behaviour: 'a failed completion that comes again is a duplicate', steps: [completed(11), completed(11)], statuses: ['FAILED'], balance: 10, requests: 0, set: { duplicates: 1 } },
  { behaviour: 'a pending event after a failed completion is superseded', steps: [completed(11), pending(5)], statuses: ['FAILED'], balance: 10, requests: 0, set: { superseded: 1 } },
  { behaviour: 'a cancellation without usage voids the hold and gives the request back', steps: [pending(5), completed(0, CANCELLED)], statuses: ['PENDING', 'VOIDED'], balance: 10, requests: 0 },
  { behaviour: 'a failure without usage voids a trace that was never held', steps: [completed(0, { outcome: 'failed' })], statuses: ['VOIDED'], balance: 10, requests: 0 },
  { behaviour: 'a second cancellation is superseded', steps: [pending(5), completed(0, CANCELLED), completed(0, CANCELLED)], statuses: ['PENDING', 'VOIDED'], balance: 10, requests: 0, set: { superseded: 1 } },
  { behaviour: 'a pending event after a void is superseded', steps: [completed(0, CANCELLED), pending(5)], statuses: ['VOIDED'], balance: 10, requests: 0, set: { superseded: 1 } },
  { behaviour: 'a completion after a void is charged late', steps: [pending(5), completed(0, CANCELLED), completed(3)], statuses: ['PENDING', 'VOIDED', 'COMMITTED'], balance: 7 },
  { behaviour: 'a cancellation with usage is charged', steps: [completed(3, CANCELLED)], statuses: ['COMMITTED'], balance: 7 },
  { behaviour: 'a streamed completion is charged beyond the balance', steps: [completed(11, { stream: true })], statuses: ['COMMITTED'], balance: -1 },
  { behaviour: 'a streamed completion that disallows a negative balance fails beyond it', steps: [completed(11, { stream: true, allow_negative: false })], statuses: ['FAILED'], balance: 10, requests: 0 },
];

describe('the charge protocol', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  /** Charges each step as a chunk of its own; returns what became of the messages, added up. */
  async function deliver(tenantId: string, steps: readonly Step[]): Promise<Record<keyof BatchCounts, number>> {
    const streams = { pending: world.stream('pending'), completed: world.stream('completed') };
    const protocol = world.protocol();
    const sum = { charged: 0, openings: 0, duplicates: 0, superseded: 0, skipped: 0, unpriced: 0, deadLetters: 0 };
    for (const step of steps) {
      const { kind, event } = step('trace', tenantId);
      const { counts } = batchOf(await protocol.charge(streams[kind].chunk([event])));
      for (const name of Object.keys(sum) as (keyof BatchCounts)[]) sum[name] += counts[name];
    }
    return sum;
  }

  for (const { behaviour, steps, statuses, balance, held = 0, requests = 1, set = {} } of TRACE_TABLE) {
    it(`${behaviour}, and delivering it all again adds no entry`, async () => {
      const tenantId = world.tenant();
      await world.credit(tenantId, '10');
      const none = { openings: 0, duplicates: 0, superseded: 0, skipped: 0, unpriced: 0, deadLetters: 0 };
      expect(await deliver(tenantId, steps)).to.deep.equal({ charged: statuses.length, ...none, ...set });
      expect((await deliver(tenantId, steps)).charged).to.equal(0);
      expect(await world.statuses(tenantId)).to.deep.equal(statuses);
      const account = await world.account(tenantId);
      expect(account).to.include({ balanceNano: BigInt(balance) * 1_000_000_000n, heldNano: BigInt(held) * 1_000_000_000n });
      expect(account).to.include({ dailyUsed: requests, monthlyUsed: requests, dailyDate: '2026-03-15' });
      await expectAtRest(world, [tenantId]);
    });
  }

  it('opens the account of an unknown tenant with an entry that records its terms', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed');
    const terms = { creditLimitNano: 5_500_000_000n as never, dailyQuota: 7, monthlyQuota: null, holdPolicy: 'none' } as const;
    const batch = batchOf(await world.protocol({ terms }).charge(stream.chunk([wireCompleted({ tenantId, traceId: 'first' })])));
    expect(batch.counts).to.include({ charged: 1, openings: 1 });
    const [opening, charge] = await world.entries(tenantId);
    expect(opening).to.include({ seq: '1', type: 'LIMITS', status: 'COMMITTED', amount: '0.000000000' });
    const recorded = { credit_limit: '5.500000000', daily_quota: '7', monthly_quota: 'unlimited', hold_policy: 'none' };
    expect(opening?.detail).to.deep.equal(recorded);
    expect(charge).to.include({ seq: '2', status: 'COMMITTED', balance_after: '-1.000000000' });
  });

  it('names the differing fields of a conflicting duplicate and keeps its bytes', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    const again = wireCompleted({ tenantId, traceId: 'trace', units: 4, fields: { model: 'claude-opus-4' } });
    const stream = world.stream('completed');
    await world.protocol().charge(stream.chunk([wireCompleted({ tenantId, traceId: 'trace', units: 3 }), again]));
    const letters = await world.rows<{ reason: string; detail: string; message_value: Buffer; kafka_offset: string }>(
      'SELECT reason, detail, message_value, kafka_offset FROM dead_letters WHERE tenant_id = $1',
      [tenantId],
    );
    expect(letters).to.have.length(1);
    expect(letters[0]).to.include({ reason: 'CONFLICTING_DUPLICATE', kafka_offset: '1' });
    expect(letters[0]?.detail).to.match(/differing: usage\.input_tokens, model, cost$/);
    expect(letters[0]?.message_value.toString()).to.equal(JSON.stringify(again));
  });

  it('records skipped and unpriced events, counts an unpriced duplicate, and its batch counts add up to its messages', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    const usd = { currency: 'USD' };
    const unpriced = wireCompleted({ tenantId, traceId: 'parked', fields: { pricing: usd } });
    const events = [
      wireCompleted({ tenantId, traceId: 'charged' }),
      wireCompleted({ tenantId, traceId: 'charged' }),
      wireCompleted({ tenantId, traceId: 'internal', fields: { skip_reason: 'internal' } }),
      wireCompleted({ tenantId, traceId: 'no-tenant', fields: { tenant_id: undefined } }),
      wireCompleted({ tenantId, traceId: 'no-pricing', fields: { pricing: undefined } }),
      unpriced,
      unpriced,
      '{"not":',
      wireCompleted({ tenantId, traceId: 'euros', fields: { pricing: { input_per_1k: '1', currency: 'EUR' } } }),
    ];
    const stream = world.stream('completed');
    const { counts, ...range } = batchOf(await world.protocol().charge(stream.chunk(events)));
    expect(counts).to.deep.equal({ charged: 1, openings: 0, duplicates: 2, superseded: 0, skipped: 3, unpriced: 1, deadLetters: 2 });
    expect(range).to.include({ firstOffset: 0n, nextOffset: BigInt(events.length), batchNo: 1 });
    expect(batchOf(await world.protocol().charge(stream.chunk([unpriced]))).counts).to.include({ duplicates: 1, unpriced: 0 });
    const source = [stream.source.topic, stream.source.partition];
    expect(await world.rows('SELECT trace_id, reason FROM skipped_events WHERE topic = $1 AND partition = $2 ORDER BY kafka_offset', source)).to.deep.equal(
      ['internal', 'no-tenant', 'no-pricing'].map((trace_id) => ({ trace_id, reason: 'no_pricing_or_internal' })),
    );
    expect(await world.rows('SELECT trace_id, meters FROM unpriced_usage WHERE tenant_id = $1', [tenantId])).to.deep.equal([
      { trace_id: 'parked', meters: ['input_tokens'] },
    ]);
    expect(await world.rows('SELECT reason FROM dead_letters WHERE topic = $1 AND partition = $2 ORDER BY kafka_offset', source)).to.deep.equal([
      { reason: 'INVALID_JSON' },
      { reason: 'CURRENCY_MISMATCH' },
    ]);
    expect(formatAmount((await world.account(tenantId))!.balanceNano)).to.equal('9.000000000');
  });

  /** Everything the ledger and Redis hold about a tenant and a source. */
  async function everything(tenantId: string, { topic, partition }: { topic: string; partition: number }): Promise<unknown> {
    const source = [topic, partition];
    return {
      entries: await world.entries(tenantId),
      account: await world.account(tenantId),
      batches: await world.rows('SELECT * FROM ledger_batches WHERE topic = $1 AND partition = $2', source),
      cursor: await world.rows('SELECT * FROM stream_cursors WHERE topic = $1 AND partition = $2', source),
      hash: await world.hash(tenantId),
      inFlight: await world.inFlight(tenantId),
    };
  }

  it('finds a chunk that comes again already charged and changes nothing', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed', 40n);
    const chunk = stream.chunk(['a', 'b', 'c'].map((traceId) => wireCompleted({ tenantId, traceId, fields: { stream: true } })));
    batchOf(await world.protocol().charge(chunk));
    const before = await everything(tenantId, stream.source);
    expect(await world.protocol().charge(chunk)).to.deep.equal({ kind: 'alreadyCharged', nextOffset: 43n });
    expect(await everything(tenantId, stream.source)).to.deep.equal(before);
  });

  it('trims a chunk that is partly charged to the rest', async () => {
    const tenantId = world.tenant();
    const [stream, again] = [world.stream('completed'), world.stream('completed')];
    const events = ['a', 'b', 'c', 'd'].map((traceId) => wireCompleted({ tenantId, traceId, fields: { stream: true } }));
    await world.protocol().charge(stream.chunk(events.slice(0, 2)));
    const batch = batchOf(await world.protocol().charge({ ...again.chunk(events), source: stream.source }));
    expect(batch).to.include({ firstOffset: 2n, nextOffset: 4n, batchNo: 2 });
    expect(batch.counts).to.deep.equal({ charged: 2, openings: 0, duplicates: 0, superseded: 0, skipped: 0, unpriced: 0, deadLetters: 0 });
    expect((await world.entries(tenantId)).map(({ trace_id }) => trace_id)).to.deep.equal(['~~open', 'a', 'b', 'c', 'd']);
    expect((await world.account(tenantId))?.balanceNano).to.equal(-4_000_000_000n);
  });

  it('reports a hole and crosses it only when the caller declares that very hole harmless', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed');
    await world.protocol().charge(stream.chunk([wireCompleted({ tenantId, traceId: 'a', fields: { stream: true } })]));
    const beyond = stream.chunk([wireCompleted({ tenantId, traceId: 'b', fields: { stream: true } })], 5);
    const hole = { kind: 'hole', expectedOffset: 1n, firstOffset: 6n };
    expect(await world.protocol().charge(beyond)).to.deep.equal(hole);
    expect(await world.protocol().charge({ ...beyond, harmlessHoleFrom: 0n })).to.deep.equal(hole);
    expect(await world.statuses(tenantId)).to.have.length(1);
    const batch = batchOf(await world.protocol().charge({ ...beyond, harmlessHoleFrom: 1n }));
    expect(batch).to.include({ firstOffset: 1n, nextOffset: 7n, batchNo: 2 });
    expect(await world.statuses(tenantId)).to.have.length(2);
  });

  it('refuses to read a cursor that belongs to another Kafka cluster', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed');
    await world.protocol().charge(stream.chunk([wireCompleted({ tenantId, traceId: 'a', fields: { stream: true } })]));
    const owned = [stream.source.topic, stream.source.partition];
    await world.rows(`UPDATE stream_cursors SET cluster_id = 'another' WHERE topic = $1 AND partition = $2`, owned);
    const next = stream.chunk([wireCompleted({ tenantId, traceId: 'b', fields: { stream: true } })]);
    const problem: unknown = await world.protocol().charge(next).catch((error: unknown) => error);
    expect(problem).to.include({ code: 'CLUSTER_MISMATCH' });
    expect(await world.statuses(tenantId)).to.have.length(1);
  });
});
