/** Owns: what `trace show` reads of a trace on real servers: a stream, refusals, ends by hand, and what was set aside. */
import { expect } from 'chai';
import { costOfEntry } from '../../src/ledger/entry-cost.js';
import { entryHash } from '../../src/ledger/canonical-entry.js';
import type { TraceLife } from '../../src/ledger/ledger-queries.js';
import { formatAmount, parseAmount } from '../../src/ledger/money.js';
import { PostgresLedgerQueries } from '../../src/ledger/postgres/postgres-ledger-queries.js';
import { pageBatches } from '../../src/ledger/postgres/proof-rows.js';
import { TenantOfWorld } from '../support/command-samples.js';
import { insertRow } from '../support/ledger-rows.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { NOON, UNIT_PRICING, wireCompleted, wirePending } from '../support/wire-usage.js';

const STREAM = { stream: true };

describe('the life of a trace as it is read', () => {
  let world: ProtocolWorld;
  let queries: PostgresLedgerQueries;

  before(async () => {
    world = await ProtocolWorld.open();
    queries = new PostgresLedgerQueries(world.pool);
  });
  after(() => world.close());

  async function funded(units = '10'): Promise<TenantOfWorld> {
    const tenant = new TenantOfWorld(world);
    await tenant.book({ kind: 'credit', amountNano: parseAmount(units) });
    return tenant;
  }

  function lifeOf({ tenantId }: TenantOfWorld, traceId = 'trace'): Promise<TraceLife> {
    return queries.readTrace({ tenantId, traceId });
  }

  /** One word an entry: whose it is, its type and status, and what it moved. */
  function storyOf({ entries }: TraceLife): string[] {
    return entries.map(({ relation, entry }) => {
      const moved = [entry.amountNano, entry.balanceAfterNano, entry.heldAfterNano].map(formatAmount).map(Number);
      return `${relation} ${entry.type} ${entry.status} ${moved.join(' ')}`;
    });
  }

  it('has of a stream the hold and the charge, each with its terms, position, batch and hash', async () => {
    const tenant = await funded();
    const [pending, completed] = [world.stream('pending', 5n), world.stream('completed', 70n)];
    const fields = { ...STREAM, pricing: { ...UNIT_PRICING, meters: { cached_tokens: '500' } } };
    const event = { tenantId: tenant.tenantId, traceId: 'trace', units: 4 };
    batchOf(await world.protocol().charge(pending.chunk([wirePending({ ...event, fields })])));
    const usage = { input_tokens: 2, output_tokens: 1, meters: { cached_tokens: 3 } };
    const completion = wireCompleted({ ...event, fields: { ...fields, usage } });
    batchOf(await world.protocol().charge(completed.chunk([wireCompleted({ ...event, traceId: 'other' })])));
    batchOf(await world.protocol().charge(completed.chunk([completion])));
    const life = await lifeOf(tenant);
    expect(storyOf(life)).to.deep.equal(['own DEDUCT PENDING 4 10 4', 'own DEDUCT COMMITTED 5.5 0.5 0']);
    expect(life).to.include({ hold: undefined, parked: undefined });
    const [hold, charge] = life.entries;
    expect(charge?.entry.source).to.deep.equal({ ...completed.source, kafkaOffset: 71n });
    expect(hold?.entry.source).to.deep.equal({ ...pending.source, kafkaOffset: 5n });
    expect(costOfEntry(charge!.entry)).to.deep.equal({
      meters: [
        { meter: 'input_tokens', quantity: 2, pricePer1k: '1000', cost: '2' },
        { meter: 'output_tokens', quantity: 1, pricePer1k: '2000', cost: '2' },
        { meter: 'cached_tokens', quantity: 3, pricePer1k: '500', cost: '1.5' },
      ],
      totalNano: charge?.entry.amountNano,
    });
    for (const { entry, entryHash: recorded } of life.entries) expect(recorded).to.equal(entryHash(entry));
    const batches = await pageBatches(world.pool, { source: completed.source, afterBatchNo: 0 }, 10);
    const [, last] = batches;
    expect(charge?.seal).to.deep.equal({
      ...{ batchId: last?.batchId, source: completed.source, batchNo: 2, headBatchNo: 2 },
      hash: last?.hash.toString('hex'),
    });
  });

  it('has of a pending trace the open hold and until when it is open', async () => {
    const tenant = await funded();
    await tenant.pending('trace', 4);
    const { hold } = await lifeOf(tenant);
    expect(hold).to.include({ amountNano: parseAmount('4'), countedOn: '2026-03-15' });
    expect(Date.parse(hold!.expiresAt) - world.clock.atMs).to.equal(60_000);
  });

  it('has of a refused trace the reason with its figures, and the late charge after it', async () => {
    const tenant = await funded();
    await tenant.pending('trace', 11);
    await tenant.completed('trace', 3);
    const life = await lifeOf(tenant);
    expect(storyOf(life)).to.deep.equal(['own DEDUCT REFUSED 11 10 0', 'own DEDUCT COMMITTED 3 7 0']);
    expect(life.entries[0]?.entry).to.deep.include({
      description: 'INSUFFICIENT_BALANCE',
      detail: { required: '11.000000000', available: '10.000000000' },
    });
    expect(life.entries[1]?.entry.description).to.equal('late');
  });

  it('has of a voided trace who ended it and why', async () => {
    const tenant = await funded();
    await tenant.pending('trace', 4);
    const { entry } = await tenant.book({ kind: 'void', traceId: 'trace' });
    const life = await lifeOf(tenant);
    expect(storyOf(life)).to.deep.equal(['own DEDUCT PENDING 4 10 4', 'own DEDUCT VOIDED 4 10 0']);
    expect(life.entries[1]?.entry).to.deep.equal(entry);
    expect(life.entries[1]?.entry).to.include({ actor: 'ops', description: 'by hand' });
    expect(life.hold).to.equal(undefined);
  });

  it('has of a failed trace the failure, what was collected later, and each refund of it', async () => {
    const tenant = await funded('1');
    await tenant.completed('trace', 3);
    await tenant.book({ kind: 'collect', traceId: 'trace', allowNegative: true });
    await tenant.completed('stranger', 1, STREAM);
    await tenant.book({ kind: 'refund', of: { traceId: 'trace' }, amountNano: parseAmount('1') }, 'refund-1');
    await tenant.book({ kind: 'refund', of: { traceId: 'trace' } }, 'refund-2');
    expect(storyOf(await lifeOf(tenant))).to.deep.equal([
      'own DEDUCT FAILED 3 1 0',
      'own DEDUCT COMMITTED 3 -2 0',
      'later REFUND COMMITTED 1 -2 0',
      'later REFUND COMMITTED 2 0 0',
    ]);
    expect(storyOf(await lifeOf(tenant, '~refund-1'))).to.deep.equal([
      'original DEDUCT COMMITTED 3 -2 0',
      'own REFUND COMMITTED 1 -2 0',
    ]);
  });

  it('has of an expired trace the end of its hold', async () => {
    const tenant = await funded();
    await tenant.pending('trace', 4);
    await world.expireHolds();
    expect(storyOf(await lifeOf(tenant))).to.deep.equal(['own DEDUCT PENDING 4 10 4', 'own DEDUCT EXPIRED 4 10 0']);
  });

  it('has what was set aside of the trace: parked, skipped, and dead with the reason', async () => {
    const tenant = await funded();
    const stream = world.stream('completed');
    const event = { tenantId: tenant.tenantId, traceId: 'trace' };
    const pricing = { output_per_1k: UNIT_PRICING.output_per_1k, currency: UNIT_PRICING.currency };
    const events = [
      wireCompleted({ ...event, fields: { pricing } }),
      wireCompleted({ ...event, fields: { skip_reason: 'internal' } }),
      wireCompleted({ ...event, units: 2, fields: { occurred_at: '2025-01-01T00:00:00.000Z' } }),
      wireCompleted({ ...event, traceId: 'other', fields: { skip_reason: 'internal' } }),
      wireCompleted({ ...event, tenantId: world.tenant(), fields: { skip_reason: 'internal' } }),
    ];
    batchOf(await world.protocol().charge(stream.chunk(events)));
    const recordedAt = new Date(world.clock.atMs).toISOString();
    const at = (kafkaOffset: bigint): object => ({ source: { ...stream.source, kafkaOffset }, recordedAt });
    const { parked, skipped, deadLetters, entries } = await lifeOf(tenant);
    expect(entries).to.deep.equal([]);
    expect(parked).to.deep.equal({ ...at(0n), meters: ['input_tokens'] });
    expect(skipped).to.deep.equal([{ ...at(1n), reason: 'no_pricing_or_internal' }]);
    expect(deadLetters).to.have.length(1);
    expect(deadLetters[0]).to.deep.include({ ...at(2n), reason: 'OCCURRED_AT_TOO_OLD', redriveState: 'open' });
  });

  it('finds a dead letter of the trace among those of other tenants, the oldest first', async () => {
    const tenant = await funded();
    for (const [offset, day] of [20, 10, 30].entries()) {
      const values = { kafka_offset: 900 + offset, trace_id: 'trace', recorded_at: `2026-03-${day}T00:00:00.000Z` };
      await insertRow(world.pool, 'dead_letters', { ...values, tenant_id: tenant.tenantId });
      await insertRow(world.pool, 'dead_letters', { ...values, kafka_offset: 950 + offset, tenant_id: 'stranger' });
    }
    const { deadLetters } = await lifeOf(tenant);
    expect(deadLetters.map(({ source }) => source.kafkaOffset)).to.deep.equal([901n, 900n, 902n]);
  });

  it('is empty for a trace of another tenant, and tells a trace without a seal', async () => {
    const tenant = await funded();
    await tenant.completed('trace', 1);
    const stranger = await funded();
    expect((await lifeOf(stranger)).entries).to.deep.equal([]);
    await insertRow(world.pool, 'ledger_entries', {
      ...{ tenant_id: stranger.tenantId, seq: 3, trace_id: 'loose', batch_id: 999_999, recorded_at: NOON },
    });
    expect((await lifeOf(stranger, 'loose')).entries.map(({ seal }) => seal)).to.deep.equal([undefined]);
  });
});
