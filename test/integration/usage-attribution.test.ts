/**
 * Owns: whose usage it was and in which class it was served, from the event to the entry, its hash, filters and prices; and
 * what an estimate with further meters holds. On real servers.
 */
import { expect } from 'chai';
import { parseAmount } from '../../src/ledger/money.js';
import { priceBookSource } from '../../src/reconciliation/reprice/price-source.js';
import { reprice } from '../../src/reconciliation/reprice/reprice.js';
import { expectAtRest } from '../support/at-rest.js';
import { TenantOfWorld } from '../support/command-samples.js';
import { importText, newBook } from '../support/price-lists.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { UNIT_PRICING, wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const WHOSE = {
  price_class: 'batch',
  user_id: 'auth0|a+b@c.d',
  project_id: 'project-1',
  tags: { team: 'search "x" \\ é', cost_center: '4711' },
};
/** Two images at 40 units each, and no price for output tokens. */
const IMAGES = { estimate: { meters: { output_images: 2 } } };
const IMAGE_PRICING = { input_per_1k: '1', currency: 'USD', meters: { output_images: '40000' } };

describe('what an event tells of whose usage it was', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let tenant: TenantOfWorld;

  before(async () => {
    world = await ProtocolWorld.open();
    tenant = new TenantOfWorld(world);
    await tenant.book({ kind: 'credit', amountNano: parseAmount('100') });
    await tenant.pending('a', 5, WHOSE);
    await tenant.completed('a', 3, WHOSE);
    await tenant.completed('b', 1, { user_id: 'other', tags: { team: 'ads' } });
    await tenant.completed('c', 1);
  });
  after(() => world.close());

  function run(...args: readonly string[]): Promise<CliResult> {
    return runTollbook(args, { DATABASE_URL: world.database.url, TOLLBOOK_REDIS_PREFIX: world.server.prefix });
  }

  async function traces(...filter: readonly string[]): Promise<string[]> {
    const { stdout } = await run('entries', 'list', '--tenant', tenant.tenantId, '--json', ...filter);
    const { entries } = JSON.parse(stdout) as { entries: { traceId: string; status: string }[] };
    return entries.map(({ traceId, status }) => `${traceId} ${status}`);
  }

  async function counts(role: 'pending' | 'completed', events: readonly WireEvent[], book?: string): Promise<object> {
    const parts = book === undefined ? {} : { priceBook: book };
    return batchOf(await world.protocol(parts).charge(world.stream(role).chunk(events))).counts;
  }

  it('stands on its hold and on its charge, covered by their hashes', async () => {
    const rows = await world.rows<object>(
      `SELECT status, price_class, user_id, project_id, tags FROM ledger_entries
       WHERE tenant_id = $1 AND trace_id = 'a' ORDER BY seq`,
      [tenant.tenantId],
    );
    expect(rows).to.deep.equal(['PENDING', 'COMMITTED'].map((status) => ({ status, ...WHOSE })));
    expect((await run('verify')).exitCode).to.equal(0);
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('is null where the event says nothing', async () => {
    const rows = await world.rows<object>(
      `SELECT price_class, user_id, project_id, tags FROM ledger_entries WHERE tenant_id = $1 AND trace_id = 'c'`,
      [tenant.tenantId],
    );
    expect(rows).to.deep.equal([{ price_class: null, user_id: null, project_id: null, tags: null }]);
  });

  it('filters the entries by user, by project and by any of its tags', async () => {
    const ofA = ['a PENDING', 'a COMMITTED'];
    expect(await traces('--user', WHOSE.user_id)).to.deep.equal(ofA);
    expect(await traces('--project', 'project-1')).to.deep.equal(ofA);
    expect(await traces('--tag', 'team=ads')).to.deep.equal(['b COMMITTED']);
    expect(await traces('--tag', `team=${WHOSE.tags.team}`, '--tag', 'cost_center=4711')).to.deep.equal(ofA);
    expect(await traces('--tag', 'team=ads', '--user', WHOSE.user_id)).to.deep.equal([]);
    const { exitCode, stderr } = await run('entries', 'list', '--tenant', tenant.tenantId, '--tag', 'team');
    expect(exitCode).to.equal(2);
    expect(stderr).to.include('NAME=VALUE');
  });

  it('is told by trace show, and by the CSV of its entries', async () => {
    const { stdout } = await run('trace', 'show', 'a', '--tenant', tenant.tenantId);
    expect(stdout)
      .to.include('price class batch')
      .and.include('user auth0|a+b@c.d')
      .and.include('tag cost_center=4711');
    const csv = await run('entries', 'list', '--tenant', tenant.tenantId, '--csv', '--user', 'other');
    expect(csv.stdout).to.include('price_class,user_id,project_id,tags').and.include('other,,"{""team"":""ads""}"');
  });

  it('makes no second delivery a conflict, but the class does: it decides the price', async () => {
    const again = (fields: WireEvent): WireEvent =>
      wireCompleted({ tenantId: tenant.tenantId, traceId: 'a', units: 3, fields: { ...WHOSE, ...fields } });
    expect(await counts('completed', [again({ tags: { team: 'late' }, user_id: 'late' })])).to.include({
      duplicates: 1,
    });
    expect(await counts('completed', [again({ price_class: 'priority' })])).to.include({ deadLetters: 1 });
    const [letter] = await world.rows<{ detail: string }>('SELECT detail FROM dead_letters WHERE tenant_id = $1', [
      tenant.tenantId,
    ]);
    expect(letter?.detail).to.include('differing: price_class');
  });

  describe('and of its price class', () => {
    const CLASSES = `{ "claude-sonnet-4": { "litellm_provider": "anthropic", "input_cost_per_token": 4,
      "output_cost_per_token": 8, "input_cost_per_token_batches": 2, "output_cost_per_token_batches": 4 } }`;

    async function classBook(): Promise<string> {
      const book = newBook();
      const effectiveFrom = '2026-03-01T00:00:00.000Z';
      await importText(world.pool, CLASSES, { book, atMs: world.clock.atMs, effectiveFrom });
      return book;
    }

    it('prices an event without pricing, holds its estimate, and re-prices its entry', async () => {
      const [book, tenantId] = [await classBook(), world.tenant()];
      await world.credit(tenantId, '100');
      const unquoted = { pricing: undefined };
      const held = wirePending({ tenantId, traceId: 'a', units: 5, fields: { ...unquoted, price_class: 'batch' } });
      await counts('pending', [held], book);
      expect((await world.account(tenantId))?.heldNano).to.equal(10_000_000_000n);
      const of = (traceId: string, fields: WireEvent): WireEvent =>
        wireCompleted({ tenantId, traceId, units: 3, fields: { ...unquoted, ...fields } });
      const events = [of('a', { price_class: 'batch' }), of('b', {}), of('c', { price_class: 'flex' })];
      expect(await counts('completed', events, book)).to.include({ charged: 2, unpriced: 1 });
      const rows = await world.rows<object>(
        `SELECT trace_id, amount, price_version FROM ledger_entries WHERE tenant_id = $1 AND status = 'COMMITTED' AND
         type = 'DEDUCT' ORDER BY seq`,
        [tenantId],
      );
      expect(rows).to.deep.equal([
        { trace_id: 'a', amount: '6.000000000', price_version: `${book}@1/batch` },
        { trace_id: 'b', amount: '12.000000000', price_version: `${book}@1` },
      ]);
      const control = { signal: new AbortController().signal, onProgress: (): void => undefined };
      const source = await priceBookSource(world.pool, book, undefined);
      const { totals } = await reprice(world.pool, { source, filter: { tenantId } }, control);
      expect(totals).to.deep.include({
        ...totals[0],
        entries: 2,
        paidNano: 18_000_000_000n,
        wouldNano: 18_000_000_000n,
      });
    });

    it('prices what was parked by the row of its class', async () => {
      const parked = new TenantOfWorld(world);
      await world.credit(parked.tenantId, '100');
      await parked.completed('a', 3, { price_class: 'batch', pricing: { currency: 'USD' } });
      const book = await classBook();
      const { entry } = await parked.book({ kind: 'price', traceId: 'a', prices: { book }, allowNegative: false });
      expect(entry).to.include({ status: 'COMMITTED', amountNano: parseAmount('6') });
      expect(entry.usage).to.include({ priceClass: 'batch', priceVersion: `${book}@1/batch` });
    });
  });
});

describe('an estimate with further meters', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  async function charge(event: WireEvent, book?: string): Promise<void> {
    const parts = book === undefined ? {} : { priceBook: book };
    batchOf(await world.protocol(parts).charge(world.stream('pending').chunk([event])));
  }

  async function imageBook(): Promise<string> {
    const book = newBook();
    const text = `{ "claude-sonnet-4": { "litellm_provider": "anthropic", "input_cost_per_token": 0.001,
      "output_cost_per_image": 40 } }`;
    const effectiveFrom = '2026-03-01T00:00:00.000Z';
    await importText(world.pool, text, { book, atMs: world.clock.atMs, effectiveFrom });
    return book;
  }

  for (const [where, fields, hasBook] of [
    ['that the event carries', { ...IMAGES, pricing: IMAGE_PRICING }, false],
    ['of a price book', { ...IMAGES, pricing: undefined }, true],
  ] as const) {
    it(`holds what they may cost at the prices ${where}, and is refused where the balance does not cover it`, async () => {
      const book = hasBook ? await imageBook() : undefined;
      const [poor, rich] = [world.tenant(), world.tenant()];
      await world.credit(rich, '100');
      for (const tenantId of [poor, rich]) await charge(wirePending({ tenantId, traceId: 'a', fields }), book);
      expect(await world.statuses(poor)).to.deep.equal(['REFUSED']);
      expect(await world.statuses(rich)).to.deep.equal(['PENDING']);
      expect((await world.account(rich))?.heldNano).to.equal(parseAmount('80'));
      await expectAtRest(world, [poor, rich]);
    });
  }

  it('records them on the entry of the hold, each with its price', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '100');
    const pricing = { ...UNIT_PRICING, meters: { output_images: '40000' } };
    const estimate = { input_tokens: 1, max_output_tokens: 2, meters: { output_images: 1, unused: 0 } };
    await charge(wirePending({ tenantId, traceId: 'a', fields: { pricing, estimate } }));
    const [entry] = await world.rows<object>(
      `SELECT amount, meters FROM ledger_entries WHERE tenant_id = $1 AND status = 'PENDING'`,
      [tenantId],
    );
    expect(entry).to.deep.equal({ amount: '45.000000000', meters: { output_images: { quantity: 1, price: '40000' } } });
  });
});
