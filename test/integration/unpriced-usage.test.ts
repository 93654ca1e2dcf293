/** Usage parked for want of a price, on real servers: listing it, and charging it by hand or from a price book. */
import { expect } from 'chai';
import type { CommandResult } from '../../src/ledger/commands/book-command.js';
import type { PriceCommand } from '../../src/ledger/commands/command.js';
import { parseAmount } from '../../src/ledger/money.js';
import { countParked, type OpenParked, pageParked } from '../../src/ledger/postgres/parked-usage.js';
import { parkedKey, priceParked } from '../../src/prices/price-parked.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { expectAtRest } from '../support/at-rest.js';
import { failureOf, rowCounts, TenantOfWorld } from '../support/command-samples.js';
import { importText, priceMapText } from '../support/price-lists.js';
import { batchOf, NO_LIMITS, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, type WireEvent } from '../support/wire-usage.js';

const units = parseAmount;
const NO_OUTPUT_PRICE = { input_per_1k: '1000', currency: 'USD' };
const AT_TWO: PriceCommand['prices'] = { outputPer1k: '2000', meters: {} };

describe('usage without a price', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  /** A completion of one input and one output token whose output has no price; at two units it costs three. */
  function parkable(tenantId: string, traceId: string, fields: WireEvent = {}): WireEvent {
    const usage = { input_tokens: 1, output_tokens: 1 };
    return wireCompleted({ tenantId, traceId, fields: { usage, pricing: NO_OUTPUT_PRICE, ...fields } });
  }

  async function charge(events: readonly WireEvent[]): Promise<object> {
    return batchOf(await world.protocol().charge(world.stream('completed').chunk(events))).counts;
  }

  async function parked(traceIds: readonly string[], fields: WireEvent = {}): Promise<TenantOfWorld> {
    const tenant = new TenantOfWorld(world);
    await world.credit(tenant.tenantId, '10');
    expect(await charge(traceIds.map((traceId) => parkable(tenant.tenantId, traceId, fields)))).to.include({
      unpriced: traceIds.length,
    });
    return tenant;
  }

  function price(tenant: TenantOfWorld, parts: Partial<PriceCommand> = {}, key = 'k'): Promise<CommandResult> {
    return tenant.book({ kind: 'price', traceId: 'a', prices: AT_TWO, allowNegative: false, ...parts }, key);
  }

  async function openOf(tenant: TenantOfWorld): Promise<string[]> {
    const page = await pageParked(world.pool, { tenantId: tenant.tenantId }, { limit: 100 });
    return page.map(({ traceId }) => traceId);
  }

  it('names as a conflict a second completion with other content, before it is priced and after, and no repetition', async () => {
    const tenant = await parked(['a']);
    const { tenantId } = tenant;
    const other = parkable(tenantId, 'a', { usage: { input_tokens: 1, output_tokens: 9 } });
    const again = [parkable(tenantId, 'a'), other];
    expect(await charge(again)).to.include({ duplicates: 1, deadLetters: 1, unpriced: 0 });
    await price(tenant);
    expect(await charge(again)).to.include({ duplicates: 1, deadLetters: 1, charged: 0 });
    const { rows } = await world.pool.query<{ reason: string; detail: string }>(
      'SELECT DISTINCT reason, detail FROM dead_letters WHERE tenant_id = $1',
      [tenantId],
    );
    const detail = 'trace_id a is already parked without a price; differing: usage.output_tokens';
    expect(rows).to.deep.equal([{ reason: 'CONFLICTING_DUPLICATE', detail }]);
    expect(await world.account(tenantId)).to.include({ balanceNano: units('7') });
  });

  it('is charged by hand under its own trace, sealed in the command chain, and projected like usage', async () => {
    const tenant = await parked(['a']);
    const { outcome, entry } = await price(tenant);
    expect(outcome).to.equal('booked');
    expect(entry).to.include({
      traceId: 'a',
      type: 'DEDUCT',
      status: 'COMMITTED',
      amountNano: units('3'),
      actor: 'ops',
    });
    expect(entry.usage).to.include({ inputPrice: '1000', outputPrice: '2000', priceVersion: 'manual:k' });
    expect(entry.source.topic).to.equal('~commands');
    expect(await world.account(tenant.tenantId)).to.include({ balanceNano: units('7'), dailyUsed: 1 });
    await expectAtRest(world, [tenant.tenantId]);
    expect((await proveChains(world.pool)).problems).to.deep.equal([]);
    expect((await proveAccounts(world.pool)).problems).to.deep.equal([]);
  });

  it('is settled as free by an explicit price of zero, with its reason', async () => {
    const tenant = await parked(['a']);
    const { entry } = await price(tenant, { prices: { outputPer1k: '0', meters: {} } });
    expect(entry).to.include({ status: 'COMMITTED', amountNano: units('1') });
    expect(entry.usage).to.include({ outputPrice: '0' });
    expect(entry.description).to.be.a('string').and.not.equal('');
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('is charged once when the command is sent twenty times at once, and again later', async () => {
    const tenant = await parked(['a']);
    const results = await Promise.all(Array.from({ length: 20 }, () => price(tenant)));
    expect(results.filter(({ outcome }) => outcome === 'booked')).to.have.length(1);
    const again = await price(tenant);
    expect(again.outcome).to.equal('repeated');
    expect(again.entry).to.deep.equal(results[0]?.entry);
    expect(await world.statuses(tenant.tenantId)).to.deep.equal(['COMMITTED']);
  });

  it('is charged once when two operators price it with keys of their own', async () => {
    const tenant = await parked(['a']);
    const outcomes = await Promise.allSettled([price(tenant, {}, 'k1'), price(tenant, {}, 'k2')]);
    const refused = outcomes.flatMap((each) => (each.status === 'rejected' ? [String(each.reason)] : []));
    expect(refused).to.have.length(1);
    expect(refused[0]).to.include('trace a of').and.include('is COMMITTED');
    expect(await world.statuses(tenant.tenantId)).to.deep.equal(['COMMITTED']);
  });

  it('is a duplicate when its event is delivered again, before it is priced and after', async () => {
    const tenant = await parked(['a']);
    const event = parkable(tenant.tenantId, 'a');
    expect(await charge([event])).to.include({ duplicates: 1 });
    await price(tenant);
    expect(await charge([event])).to.include({ duplicates: 1, deadLetters: 0 });
    expect(await charge([event, event])).to.include({ duplicates: 2, deadLetters: 0 });
    expect(await world.statuses(tenant.tenantId)).to.deep.equal(['COMMITTED']);
  });

  it('cannot be priced by hand once its gateway has sent the event with its prices', async () => {
    const tenant = await parked(['a']);
    await tenant.completed('a', 4);
    expect(await openOf(tenant)).to.deep.equal([]);
    const before = await rowCounts(world);
    expect((await failureOf(price(tenant))).code).to.equal('PRICE_NOT_ALLOWED');
    expect(await rowCounts(world)).to.deep.equal(before);
  });

  it('settles the hold of its trace when it is priced', async () => {
    const tenant = new TenantOfWorld(world);
    await world.credit(tenant.tenantId, '10');
    await tenant.pending('a', 6);
    await charge([parkable(tenant.tenantId, 'a')]);
    expect(await world.account(tenant.tenantId)).to.include({ heldNano: units('6'), balanceNano: units('10') });
    const { entry } = await price(tenant);
    expect(entry).to.include({ heldAfterNano: 0n, requests: 0 });
    expect(await world.rows('SELECT FROM open_holds WHERE tenant_id = $1', [tenant.tenantId])).to.deep.equal([]);
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('is charged as late when its hold has expired meanwhile', async () => {
    const tenant = new TenantOfWorld(world);
    await world.credit(tenant.tenantId, '10');
    await tenant.pending('a', 6);
    await charge([parkable(tenant.tenantId, 'a')]);
    await world.expireHolds();
    expect((await price(tenant)).entry).to.include({ status: 'COMMITTED', description: 'late', requests: 1 });
    expect(await world.statuses(tenant.tenantId)).to.deep.equal(['PENDING', 'EXPIRED', 'COMMITTED']);
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('becomes FAILED when the balance does not cover it, and can then be collected', async () => {
    const tenant = await parked(['a']);
    await tenant.book({ kind: 'adjust', amountNano: units('-9') });
    expect((await price(tenant)).entry).to.include({ status: 'FAILED', description: 'INSUFFICIENT_BALANCE' });
    expect(await openOf(tenant)).to.deep.equal([]);
    await world.credit(tenant.tenantId, '5');
    const { entry } = await tenant.book({ kind: 'collect', traceId: 'a', allowNegative: false });
    expect(entry).to.include({ status: 'COMMITTED', amountNano: units('3') });
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('is refunded like any charge once it is priced', async () => {
    const tenant = await parked(['a']);
    await price(tenant);
    await tenant.book({ kind: 'refund', of: { traceId: 'a' } });
    expect(await world.account(tenant.tenantId)).to.include({ balanceNano: units('10'), dailyUsed: 0 });
    await expectAtRest(world, [tenant.tenantId]);
  });

  const REFUSED: readonly (readonly [string, Partial<PriceCommand>, string])[] = [
    ['a trace that is not parked', { traceId: 'b' }, 'UNPRICED_UNKNOWN'],
    ['a price that is missing', { prices: { inputPer1k: '1', meters: {} } }, 'PRICE_MISSING'],
    ['a price for a meter it did not use', { prices: { outputPer1k: '1', meters: { cached: '1' } } }, 'USAGE_INVALID'],
    ['a price in another currency', { currency: 'EUR' }, 'CURRENCY_MISMATCH'],
    ['a price book that does not exist', { prices: { book: 'nobody' } }, 'PRICE_MISSING'],
  ];
  for (const [what, parts, code] of REFUSED) {
    it(`is not charged with ${what}: ${code}, and nothing is written`, async () => {
      const tenant = await parked(['a']);
      const before = await rowCounts(world);
      expect((await failureOf(price(tenant, parts))).code).to.equal(code);
      expect(await rowCounts(world)).to.deep.equal(before);
    });
  }

  it('is refused when its key comes again with another price', async () => {
    const tenant = await parked(['a']);
    await price(tenant);
    const error = await failureOf(price(tenant, { prices: { outputPer1k: '2001', meters: {} } }));
    expect(error.code).to.equal('IDEMPOTENCY_KEY_REUSED');
    expect(error.context['fields']).to.deep.equal(['output_per_1k']);
    expect((await price(tenant, { prices: { outputPer1k: '02000', meters: {} } })).outcome).to.equal('repeated');
  });

  it('is listed oldest first, page by page, until it is charged', async () => {
    world.clock.atMs += 1000;
    const since = new Date(world.clock.atMs).toISOString();
    const tenant = await parked(['c', 'b']);
    world.clock.atMs += 1;
    await charge([parkable(tenant.tenantId, 'a', { model: 'gpt-5' })]);
    const page = (after?: OpenParked): Promise<OpenParked[]> => pageParked(world.pool, { since }, { after, limit: 2 });
    const first = await page();
    expect(first.map(({ traceId }) => traceId)).to.deep.equal(['b', 'c']);
    expect(first[0]).to.deep.include({ tenantId: tenant.tenantId, meters: ['output_tokens'] });
    expect((await page(first[1])).map(({ traceId }) => traceId)).to.deep.equal(['a']);
    expect(await countParked(world.pool, { since, model: 'gpt-5' })).to.equal(1);
    await price(tenant, { traceId: 'b' });
    expect(await openOf(tenant)).to.deep.equal(['c', 'a']);
    expect(await countParked(world.pool, { since })).to.equal(2);
  });
});

describe('everything parked, priced from a price book', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  it('is charged once, trace by trace; what the book does not have stays parked; a second run finds nothing', async () => {
    const text = priceMapText({ 'claude-sonnet-4': { input: '1', output: '2' } });
    await importText(world.pool, text, {
      book: 'list',
      atMs: world.clock.atMs,
      effectiveFrom: '2026-03-01T00:00:00.000Z',
    });
    const [rich, poor] = [new TenantOfWorld(world), new TenantOfWorld(world)];
    await world.credit(rich.tenantId, '1000');
    const long = 'x'.repeat(256);
    const completion = (tenant: TenantOfWorld, traceId: string, fields: WireEvent = {}): WireEvent =>
      wireCompleted({ tenantId: tenant.tenantId, traceId, fields: { pricing: { currency: 'USD' }, ...fields } });
    const events = [
      ...Array.from({ length: 230 }, (_none, index) => completion(rich, `t-${index}`)),
      ...[
        completion(rich, long, { event_id: 'event-of-long' }),
        completion(rich, 'unknown', { model: 'gpt-5' }),
        completion(poor, 'a'),
      ],
    ];
    batchOf(await world.protocol().charge(world.stream('completed').chunk(events)));
    const ports = { store: world.store, clock: world.clock, defaults: { currency: 'USD', terms: NO_LIMITS } };
    expect(await countParked(world.pool)).to.equal(233);
    const told: number[] = [];
    const run = { book: 'list', actor: 'ops', reason: 'list imported', allowNegative: false, filter: {} };
    const result = await priceParked(world.pool, ports, { ...run, onProgress: (done) => void told.push(done) });
    expect(result).to.deep.equal({ committed: 231, failed: 1, left: { PRICE_MISSING: 1 } });
    expect(told.at(-1)).to.equal(233);
    expect(await world.account(rich.tenantId)).to.include({ balanceNano: units('769') });
    expect(await world.statuses(poor.tenantId)).to.deep.equal(['FAILED']);
    const again = await priceParked(world.pool, ports, run);
    expect(again).to.deep.equal({ committed: 0, failed: 0, left: { PRICE_MISSING: 1 } });
    expect(await countParked(world.pool)).to.equal(1);
    await expectAtRest(world, [rich.tenantId, poor.tenantId]);
  });

  it('has keys that follow from the trace, readable where they fit', () => {
    expect(parkedKey('trace-1')).to.equal('unpriced:trace-1');
    expect(parkedKey('x'.repeat(247))).to.have.length(256);
    expect(parkedKey('x'.repeat(248))).to.match(/^unpriced:[0-9a-f]{64}$/);
  });
});
