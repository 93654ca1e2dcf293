/** The charge protocol on real servers: what becomes of a chunk and of each of its messages. */
import { expect } from 'chai';
import { formatAmount } from '../../src/ledger/money.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted } from '../support/wire-usage.js';

describe('the charge protocol', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  it('opens the account of an unknown tenant with an entry that records its terms', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed');
    const terms = {
      creditLimitNano: 5_500_000_000n as never,
      dailyQuota: 7,
      monthlyQuota: null,
      holdPolicy: 'none',
    } as const;
    const batch = batchOf(
      await world.protocol({ terms }).charge(stream.chunk([wireCompleted({ tenantId, traceId: 'first' })])),
    );
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
    expect(counts).to.deep.equal({
      charged: 1,
      openings: 0,
      duplicates: 2,
      superseded: 0,
      skipped: 3,
      unpriced: 1,
      deadLetters: 2,
    });
    expect(range).to.include({ firstOffset: 0n, nextOffset: BigInt(events.length), batchNo: 1 });
    expect(batchOf(await world.protocol().charge(stream.chunk([unpriced]))).counts).to.include({
      duplicates: 1,
      unpriced: 0,
    });
    const source = [stream.source.topic, stream.source.partition];
    expect(
      await world.rows(
        'SELECT trace_id, reason FROM skipped_events WHERE topic = $1 AND partition = $2 ORDER BY kafka_offset',
        source,
      ),
    ).to.deep.equal(
      ['internal', 'no-tenant', 'no-pricing'].map((trace_id) => ({ trace_id, reason: 'no_pricing_or_internal' })),
    );
    expect(
      await world.rows('SELECT trace_id, meters FROM unpriced_usage WHERE tenant_id = $1', [tenantId]),
    ).to.deep.equal([{ trace_id: 'parked', meters: ['input_tokens'] }]);
    expect(
      await world.rows(
        'SELECT reason FROM dead_letters WHERE topic = $1 AND partition = $2 ORDER BY kafka_offset',
        source,
      ),
    ).to.deep.equal([{ reason: 'INVALID_JSON' }, { reason: 'CURRENCY_MISMATCH' }]);
    expect(formatAmount((await world.account(tenantId))!.balanceNano)).to.equal('9.000000000');
  });

  /** Everything the ledger and Redis hold about a tenant and a source. */
  async function everything(
    tenantId: string,
    { topic, partition }: { topic: string; partition: number },
  ): Promise<unknown> {
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
    const chunk = stream.chunk(
      ['a', 'b', 'c'].map((traceId) => wireCompleted({ tenantId, traceId, fields: { stream: true } })),
    );
    batchOf(await world.protocol().charge(chunk));
    const before = await everything(tenantId, stream.source);
    expect(await world.protocol().charge(chunk)).to.deep.equal({ kind: 'alreadyCharged', nextOffset: 43n });
    expect(await everything(tenantId, stream.source)).to.deep.equal(before);
  });

  it('trims a chunk that is partly charged to the rest', async () => {
    const tenantId = world.tenant();
    const [stream, again] = [world.stream('completed'), world.stream('completed')];
    const events = ['a', 'b', 'c', 'd'].map((traceId) =>
      wireCompleted({ tenantId, traceId, fields: { stream: true } }),
    );
    await world.protocol().charge(stream.chunk(events.slice(0, 2)));
    const batch = batchOf(await world.protocol().charge({ ...again.chunk(events), source: stream.source }));
    expect(batch).to.include({ firstOffset: 2n, nextOffset: 4n, batchNo: 2 });
    expect(batch.counts).to.deep.equal({
      charged: 2,
      openings: 0,
      duplicates: 0,
      superseded: 0,
      skipped: 0,
      unpriced: 0,
      deadLetters: 0,
    });
    expect((await world.entries(tenantId)).map(({ trace_id }) => trace_id)).to.deep.equal([
      '~~open',
      'a',
      'b',
      'c',
      'd',
    ]);
    expect((await world.account(tenantId))?.balanceNano).to.equal(-4_000_000_000n);
  });

  it('reports a hole and crosses it only when the log was read from the cursor on', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed');
    await world.protocol().charge(stream.chunk([wireCompleted({ tenantId, traceId: 'a', fields: { stream: true } })]));
    const beyond = stream.chunk([wireCompleted({ tenantId, traceId: 'b', fields: { stream: true } })], 5);
    const hole = { kind: 'hole', expectedOffset: 1n };
    expect(await world.protocol().charge(beyond)).to.deep.equal(hole);
    expect(await world.protocol().charge({ ...beyond, from: 2n })).to.deep.equal(hole);
    expect(await world.statuses(tenantId)).to.have.length(1);
    const batch = batchOf(await world.protocol().charge({ ...beyond, from: 1n }));
    expect(batch).to.include({ firstOffset: 1n, nextOffset: 7n, batchNo: 2 });
    expect(await world.statuses(tenantId)).to.have.length(2);
  });

  it('reports a hole instead of beginning in the middle when a cursor that was known is gone', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed');
    const beyond = stream.chunk([wireCompleted({ tenantId, traceId: 'a', fields: { stream: true } })], 5);
    const hole = { kind: 'hole', expectedOffset: 0n };
    expect(await world.protocol().charge({ ...beyond, hasCursor: true })).to.deep.equal(hole);
    expect(await world.account(tenantId)).to.equal(undefined);
  });

  it('refuses to read a cursor that belongs to another Kafka cluster', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed');
    await world.protocol().charge(stream.chunk([wireCompleted({ tenantId, traceId: 'a', fields: { stream: true } })]));
    const owned = [stream.source.topic, stream.source.partition];
    await world.rows(`UPDATE stream_cursors SET cluster_id = 'another' WHERE topic = $1 AND partition = $2`, owned);
    const next = stream.chunk([wireCompleted({ tenantId, traceId: 'b', fields: { stream: true } })]);
    const problem: unknown = await world
      .protocol()
      .charge(next)
      .catch((error: unknown) => error);
    expect(problem).to.include({ code: 'CLUSTER_MISMATCH' });
    expect(await world.statuses(tenantId)).to.have.length(1);
  });
});
