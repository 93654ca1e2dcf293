/** The charge protocol with a price book, on real servers: events without pricing, and the version that prices them. */
import { expect } from 'chai';
import { readPrices, readVersions } from '../../src/ledger/postgres/price-books.js';
import { parseDeclaredNames, withDeclaredNames } from '../../src/prices/declared-names.js';
import { importPrices } from '../../src/prices/import-prices.js';
import { parsePriceMap } from '../../src/prices/price-map-reader.js';
import { expectAtRest } from '../support/at-rest.js';
import { DOUBLE_PRICES, importText, newBook, UNIT_PRICES } from '../support/price-lists.js';
import { batchOf, ProtocolWorld, type TestStream } from '../support/protocol-world.js';
import { replayWorld, toldOf } from '../support/shadow-samples.js';
import { NOON, wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const NOW_MS = Date.parse(NOON) + 1000;

describe('the charge protocol with a price book', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  /** A book with the unit prices from the start of March. */
  async function importedBook(): Promise<string> {
    const book = newBook();
    const effectiveFrom = '2026-03-01T00:00:00.000Z';
    await importText(world.pool, UNIT_PRICES, { book, atMs: NOW_MS, effectiveFrom });
    return book;
  }

  const unquoted = (tenantId: string, traceId: string, fields: WireEvent = {}): WireEvent =>
    wireCompleted({ tenantId, traceId, units: 3, fields: { pricing: undefined, stream: true, ...fields } });

  async function charge(book: string | undefined, stream: TestStream, events: readonly WireEvent[]): Promise<object> {
    const parts = book === undefined ? {} : { priceBook: book };
    return batchOf(await world.protocol(parts).charge(stream.chunk(events))).counts;
  }

  async function pricedEntries(tenantId: string): Promise<object[]> {
    return world.rows<object>(
      `SELECT trace_id, status, amount, input_price, price_version FROM ledger_entries
       WHERE tenant_id = $1 AND type = 'DEDUCT' ORDER BY seq`,
      [tenantId],
    );
  }

  it('skips an event without pricing as long as no book is configured', async () => {
    const tenantId = world.tenant();
    const counts = await charge(undefined, world.stream('completed'), [unquoted(tenantId, 'a')]);
    expect(counts).to.include({ skipped: 1, charged: 0, openings: 0 });
    expect(await world.account(tenantId)).to.equal(undefined);
  });

  it('charges an event without pricing at the price of the book, and pins the version', async () => {
    const [book, tenantId] = [await importedBook(), world.tenant()];
    const counts = await charge(book, world.stream('completed'), [unquoted(tenantId, 'a')]);
    expect(counts).to.include({ charged: 1, openings: 1, skipped: 0 });
    expect(await pricedEntries(tenantId)).to.deep.equal([
      { trace_id: 'a', status: 'COMMITTED', amount: '3.000000000', input_price: '1000', price_version: `${book}@1` },
    ]);
    await expectAtRest(world, [tenantId]);
  });

  it('holds the estimate of a pending event without pricing, and settles it', async () => {
    const [book, tenantId] = [await importedBook(), world.tenant()];
    await world.credit(tenantId, '10');
    const pending = wirePending({ tenantId, traceId: 'a', units: 5, fields: { pricing: undefined } });
    await charge(book, world.stream('pending'), [pending]);
    expect((await world.account(tenantId))?.heldNano).to.equal(5_000_000_000n);
    await charge(book, world.stream('completed'), [unquoted(tenantId, 'a')]);
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'COMMITTED']);
    await expectAtRest(world, [tenantId]);
  });

  const CONDITIONS = `{ "claude-sonnet-4": { "litellm_provider": "anthropic",
    "input_cost_per_token": 1, "output_cost_per_token": 2, "cache_read_input_token_cost": 0,
    "input_cost_per_token_above_200k_tokens": 3, "output_cost_per_token_above_200k_tokens": 4 } }`;

  async function bookWithConditions(): Promise<string> {
    const book = newBook();
    await importText(world.pool, CONDITIONS, { book, atMs: NOW_MS, effectiveFrom: '2026-03-01T00:00:00.000Z' });
    return book;
  }

  it('charges a long input at the price for its length, cached tokens counting, and pins that row', async () => {
    const [book, tenantId] = [await bookWithConditions(), world.tenant()];
    const at = (traceId: string, inputTokens: number, meters?: object): WireEvent =>
      unquoted(tenantId, traceId, {
        usage: { input_tokens: inputTokens, output_tokens: 1, ...(meters && { meters }) },
      });
    const counts = await charge(book, world.stream('completed'), [at('short', 200_000), at('long', 200_001)]);
    expect(counts).to.include({ charged: 2 });
    expect(await pricedEntries(tenantId)).to.deep.include.members([
      {
        trace_id: 'short',
        status: 'COMMITTED',
        amount: '200002.000000000',
        input_price: '1000',
        price_version: `${book}@1`,
      },
      {
        ...{ trace_id: 'long', status: 'COMMITTED', amount: '600007.000000000', input_price: '3000' },
        price_version: `${book}@1/above-200000`,
      },
    ]);
    const again = await charge(book, world.stream('completed'), [at('long', 200_001)]);
    expect(again).to.include({ duplicates: 1 });
    const cached = at('cached', 1, { cached_input_tokens: 200_000 });
    expect(await charge(book, world.stream('completed'), [cached])).to.include({ charged: 0, unpriced: 1 });
    await expectAtRest(world, [tenantId]);
  });

  it('charges what is free as zero, counts it against the quotas, and projects it', async () => {
    const [book, tenantId] = [await bookWithConditions(), world.tenant()];
    const free = unquoted(tenantId, 'free', {
      usage: { input_tokens: 0, output_tokens: 0, meters: { cached_input_tokens: 500 } },
    });
    expect(await charge(book, world.stream('completed'), [free])).to.include({ charged: 1, unpriced: 0 });
    expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED']);
    expect(await world.account(tenantId)).to.include({ balanceNano: 0n, dailyUsed: 1, monthlyUsed: 1 });
    await expectAtRest(world, [tenantId]);
  });

  it('leaves the prices of an event that carries its own alone', async () => {
    const [book, tenantId] = [await importedBook(), world.tenant()];
    const own = wireCompleted({ tenantId, traceId: 'a', units: 7, fields: { stream: true } });
    await charge(book, world.stream('completed'), [own, unquoted(tenantId, 'b')]);
    expect(await pricedEntries(tenantId)).to.have.deep.nested.property('[0].price_version', null);
    expect(await pricedEntries(tenantId)).to.have.deep.nested.property('[1].price_version', `${book}@1`);
  });

  it('still skips an event that its gateway declares unbillable, or that names no tenant', async () => {
    const [book, tenantId] = [await importedBook(), world.tenant()];
    const events = [
      unquoted(tenantId, 'a', { skip_reason: 'internal' }),
      unquoted(tenantId, 'b', { tenant_id: undefined }),
    ];
    expect(await charge(book, world.stream('completed'), events)).to.include({ skipped: 2, charged: 0 });
  });

  it('changes its price exactly when a version takes effect, by the time of the event', async () => {
    const [book, tenantId] = [await importedBook(), world.tenant()];
    const effectiveFrom = '2026-03-15T12:00:03.000Z';
    await importText(world.pool, DOUBLE_PRICES, { book, atMs: NOW_MS, effectiveFrom });
    const events = [
      unquoted(tenantId, 'first', { occurred_at: effectiveFrom }),
      unquoted(tenantId, 'last', { occurred_at: '2026-03-15T12:00:02.999Z' }),
      unquoted(tenantId, 'offset', { occurred_at: '2026-03-15T13:00:03.000+01:00' }),
    ];
    await charge(book, world.stream('completed'), events);
    const versions = (await pricedEntries(tenantId)).map((entry) => ({ ...entry }));
    expect(versions.map((entry) => Reflect.get(entry, 'price_version') as string)).to.deep.equal([
      `${book}@2`,
      `${book}@1`,
      `${book}@2`,
    ]);
    expect(await world.account(tenantId)).to.have.property('balanceNano', -15_000_000_000n);
  });

  it('finds a second delivery to be a duplicate although a newer version is in force by then', async () => {
    const [book, tenantId] = [await importedBook(), world.tenant()];
    const event = unquoted(tenantId, 'a');
    await charge(book, world.stream('completed'), [event]);
    await importText(world.pool, DOUBLE_PRICES, { book, atMs: NOW_MS });
    expect(await charge(book, world.stream('completed'), [event])).to.include({ duplicates: 1, deadLetters: 0 });
  });

  it('finds a second delivery to be a duplicate although its clock ran ahead of the import of its price', async () => {
    const [book, tenantId] = [await importedBook(), world.tenant()];
    const ahead = unquoted(tenantId, 'a', { occurred_at: new Date(NOW_MS + 120_000).toISOString() });
    await charge(book, world.stream('completed'), [ahead]);
    await importText(world.pool, DOUBLE_PRICES, { book, atMs: NOW_MS });
    expect(await charge(book, world.stream('completed'), [ahead])).to.include({ duplicates: 1, deadLetters: 0 });
    expect(await pricedEntries(tenantId)).to.have.length(1);
  });

  it('prices the events of one chunk alike in two consumers that read it at once', async () => {
    const [book, tenantId] = [await importedBook(), world.tenant()];
    const chunk = world.stream('completed').chunk(['a', 'b', 'c'].map((traceId) => unquoted(tenantId, traceId)));
    const outcomes = await Promise.all([1, 2].map(() => world.protocol({ priceBook: book }).charge(chunk)));
    expect(outcomes.map(({ kind }) => kind).sort()).to.deep.equal(['alreadyCharged', 'charged']);
    expect(await pricedEntries(tenantId)).to.have.length(3);
    await expectAtRest(world, [tenantId]);
  });

  it('parks the completion of a model that the book does not have, and skips its estimate with the reason', async () => {
    const [book, tenantId] = [await importedBook(), world.tenant()];
    const unknown = { model: 'gpt-5', pricing: undefined };
    const estimate = wirePending({ tenantId, traceId: 'a', units: 5, fields: unknown });
    expect(await charge(book, world.stream('pending'), [estimate])).to.include({ skipped: 1, openings: 1 });
    expect(await charge(book, world.stream('completed'), [unquoted(tenantId, 'a', unknown)])).to.include({
      unpriced: 1,
    });
    const [skipped] = await world.rows<{ reason: string }>('SELECT reason FROM skipped_events WHERE tenant_id = $1', [
      tenantId,
    ]);
    expect(skipped?.reason).to.include(`price book ${book} has none for gpt-5 of anthropic`);
    const parked = await world.rows<object>('SELECT trace_id, meters FROM unpriced_usage WHERE tenant_id = $1', [
      tenantId,
    ]);
    expect(parked).to.deep.equal([{ trace_id: 'a', meters: ['input_tokens'] }]);
    await expectAtRest(world, [tenantId]);
  });
});

describe('a price book with declared names', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  it('charges a declared alias and a declared date, in a replay too, and parks what is not declared', async () => {
    const [book, tenantId] = [newBook(), world.tenant()];
    const names = { anthropic: { aliases: { sonnet: 'claude-sonnet-4' }, date_suffix: true } };
    const declared = parseDeclaredNames(Buffer.from(JSON.stringify(names)));
    const map = withDeclaredNames(parsePriceMap(Buffer.from(UNIT_PRICES)), declared);
    const wanted = { book, map, currency: 'USD', actor: 'ops', effectiveFrom: '2026-03-01T00:00:00.000Z' };
    await importPrices(world.pool, wanted, { nowMs: () => NOW_MS });
    const models = ['sonnet', 'claude-sonnet-4-20250514', 'claude-sonnet-4@20250514', 'claude-sonnet', 'Sonnet'];
    const events = models.map((model, index) =>
      wireCompleted({ tenantId, traceId: `t-${index}`, units: 3, fields: { pricing: undefined, stream: true, model } }),
    );
    const { counts } = batchOf(
      await world.protocol({ priceBook: book }).charge(world.stream('completed').chunk(events)),
    );
    expect(counts).to.include({ charged: 3, unpriced: 2 });
    const priced = await world.rows<object>(
      `SELECT amount, input_price, price_version FROM ledger_entries WHERE type = 'DEDUCT'`,
    );
    const expected = { amount: '3.000000000', input_price: '1000', price_version: `${book}@1` };
    expect(priced).to.deep.equal([expected, expected, expected]);
    const [version] = await readVersions(world.pool, book);
    expect(version?.datedProviders).to.deep.equal(['anthropic']);
    const stored = (await readPrices(world.pool, version!)).map(({ model, aliasOf }) => [model, aliasOf]);
    expect(stored).to.deep.equal([
      ['claude-sonnet-4', undefined],
      ['sonnet', 'claude-sonnet-4'],
    ]);
    expect(toldOf(await replayWorld(world, { charging: { priceBook: book } }))).to.deep.equal([]);
    await expectAtRest(world, [tenantId]);
  });
});
