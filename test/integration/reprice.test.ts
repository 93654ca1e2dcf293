/**
 * Owns: that a re-pricing comes to the sums that PostgreSQL computes by itself from quantities and prices, that what has no
 * price is counted apart, and that nothing is written.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { parseAmount } from '../../src/ledger/money.js';
import { listSource, priceBookSource } from '../../src/reconciliation/reprice/price-source.js';
import { reprice, type Repricing } from '../../src/reconciliation/reprice/reprice.js';
import { plainModel } from '../support/plain-prices.js';
import { TenantOfWorld } from '../support/command-samples.js';
import { DOUBLE_PRICES, importText, newBook, priceMapText, UNIT_PRICES } from '../support/price-lists.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { NOON, wireCompleted, type WireEvent } from '../support/wire-usage.js';

const NOW_MS = Date.parse(NOON) + 1000;
const EVENING = '2026-03-15T20:00:00.000Z';
/** Prices whose products have to be rounded. */
const ODD_PRICES = { inputPer1k: '0.00000033333', outputPer1k: '0.0000017', meters: { requests: '0.0005' } };

describe('a re-pricing', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let folder: string;

  before(async () => {
    world = await ProtocolWorld.open();
    folder = await mkdtemp(path.join(tmpdir(), 'tollbook-reprice-'));
    await charge('acme', 60, (index) => ({ usage: usage(index * 7919, index * 31) }));
    await charge('bolt', 40, (index) => ({ usage: usage(index * 104_729, 0), model: 'claude-haiku' }));
    await charge('bolt', 5, (index) => ({ usage: usage(index, 1), occurred_at: EVENING }), 'evening');
    await charge('corp', 3, (index) => ({
      usage: { ...usage(index, 2), meters: { requests: 3 } },
      pricing: { input_per_1k: '1', output_per_1k: '2', meters: { requests: '5' }, currency: 'USD' },
    }));
    const acme = new TenantOfWorld(world, 'acme');
    await acme.book({ kind: 'refund', of: { traceId: 'plain-3' } });
    await acme.book({ kind: 'credit', amountNano: parseAmount('100') });
    await acme.pending('held', 1);
  });
  after(async () => {
    await rm(folder, { recursive: true });
    await world.close();
  });

  const usage = (input: number, output: number): object => ({ input_tokens: input, output_tokens: output });

  async function charge(
    tenantId: string,
    count: number,
    fieldsOf: (n: number) => WireEvent,
    name = 'plain',
  ): Promise<void> {
    const events = Array.from({ length: count }, (_, index) =>
      wireCompleted({ tenantId, traceId: `${name}-${index + 1}`, fields: { stream: true, ...fieldsOf(index + 1) } }),
    );
    world.clock.atMs = Date.parse(EVENING) + 1000;
    batchOf(await world.protocol().charge(world.stream('completed').chunk(events)));
  }

  function repriced(parts: Omit<Parameters<typeof reprice>[1], 'filter'>, filter = {}): Promise<Repricing> {
    const control = { signal: new AbortController().signal, onProgress: (): void => undefined };
    return reprice(world.pool, { filter, ...parts }, control);
  }

  /** What PostgreSQL says: paid, and would have paid at the odd prices, of the charges that some condition finds. */
  async function independentSums(condition: string): Promise<{ paid: bigint; would: bigint; entries: number }> {
    const [row] = await world.rows<{ paid: string; would: string; entries: string }>(
      `SELECT count(*) AS entries, sum(amount) * 1000000000 AS paid, sum(round((input_tokens * 0.00000033333
         + output_tokens * 0.0000017 + coalesce((meters->'requests'->>'quantity')::numeric, 0) * 0.0005) / 1000, 9))
         * 1000000000 AS would
       FROM ledger_entries WHERE type = 'DEDUCT' AND status = 'COMMITTED' AND ${condition}`,
    );
    const whole = (text = ''): bigint => BigInt(text.replace(/\.0+$/, ''));
    return { paid: whole(row?.paid), would: whole(row?.would), entries: Number(row?.entries) };
  }

  const ODD_MODELS = ['claude-sonnet-4', 'claude-haiku'].map((model) =>
    plainModel({ provider: 'anthropic', model }, ODD_PRICES),
  );

  it('comes to the sums that PostgreSQL computes, by tenant and by model', async () => {
    const found = await repriced({ source: listSource(ODD_MODELS, { name: 'odd', currency: 'USD' }) });
    for (const { tenantId, entries, paidNano, wouldNano } of found.tenants) {
      const sums = await independentSums(`tenant_id = '${tenantId}'`);
      expect({ entries, paid: paidNano, would: wouldNano }, tenantId).to.deep.equal(sums);
    }
    for (const { model, entries, paidNano, wouldNano } of found.models) {
      const sums = await independentSums(`model = '${model}'`);
      expect({ entries, paid: paidNano, would: wouldNano }, model).to.deep.equal(sums);
    }
    const [total] = found.totals;
    const { paid, would, entries } = await independentSums('true');
    expect(total).to.include({ paidNano: paid, wouldNano: would, entries, notPriced: 0 });
    expect([found.tenants.length, found.models.length, entries]).to.deep.equal([3, 2, 108]);
  });

  it('takes the version of a book that was in force when the request happened, or the one that is named', async () => {
    const book = newBook();
    const morning = '2026-03-01T00:00:00.000Z';
    await importText(world.pool, UNIT_PRICES, { book, atMs: NOW_MS, effectiveFrom: morning });
    await importText(world.pool, DOUBLE_PRICES, { book, atMs: NOW_MS, effectiveFrom: '2026-03-15T18:00:00.000Z' });
    const filter = { tenantId: 'bolt' };
    const inForce = await repriced({ source: await priceBookSource(world.pool, book, undefined) }, filter);
    const evening = inForce.models.find(({ model }) => model === 'claude-sonnet-4');
    expect(evening).to.include({ entries: 5, wouldNano: 2n * evening!.paidNano });
    const first = await repriced({ source: await priceBookSource(world.pool, book, 1) }, filter);
    expect(first.models.find(({ model }) => model === 'claude-sonnet-4')).to.include({ wouldNano: evening!.paidNano });
    expect(first.notPriced).to.include({ model: 40 });
  });

  it('counts what the prices do not cover apart, with what was paid for it', async () => {
    const [sonnet] = ODD_MODELS;
    const source = listSource([plainModel(sonnet!, { ...ODD_PRICES, meters: {} })], {
      name: 'partial',
      currency: 'USD',
    });
    const { totals, notPriced } = await repriced({ source });
    expect(notPriced).to.deep.equal({ model: 40, meter: 3, currency: 0, outOfRange: 0 });
    const left = await independentSums(`model = 'claude-haiku' OR tenant_id = 'corp'`);
    expect(totals[0]).to.include({ entries: 65, notPriced: 43, notPricedPaidNano: left.paid });
    const inEuro = await repriced({ source: listSource(ODD_MODELS, { name: 'euro', currency: 'EUR' }) });
    expect(inEuro.notPriced).to.include({ currency: 108 });
  });

  it('looks only at requests of the time and the tenant that are asked for', async () => {
    const source = listSource(ODD_MODELS, { name: 'odd', currency: 'USD' });
    const evening = await repriced({ source }, { since: EVENING });
    expect(evening.tenants.map(({ tenantId, entries }) => [tenantId, entries])).to.deep.equal([['bolt', 5]]);
    const before = await repriced({ source }, { until: EVENING, tenantId: 'bolt' });
    expect(before.tenants.map(({ tenantId, entries }) => [tenantId, entries])).to.deep.equal([['bolt', 40]]);
  });

  describe('on the command line', () => {
    const run = (...args: readonly string[]): Promise<CliResult> =>
      runTollbook(['reprice', ...args], { DATABASE_URL: world.database.url });

    async function priceFile(): Promise<string> {
      const file = path.join(folder, 'prices.json');
      const prices = { input: '1e-7', output: '2e-7' };
      await writeFile(file, priceMapText({ 'claude-sonnet-4': prices, 'claude-haiku': prices }));
      return file;
    }

    it('prints the same sums as a table, as CSV and as one JSON document, and writes nothing', async () => {
      const file = await priceFile();
      const [before] = await world.rows<{ count: string }>('SELECT sum(seq) AS count FROM accounts');
      const json = await run('--price-map', file, '--json');
      expect(json.stderr).to.equal('');
      const document = JSON.parse(json.stdout) as { totals: Record<string, string>[]; tenants: object[] };
      const { paid, wouldHavePaid, delta, notPricedPaid } = document.totals[0]!;
      const csv = await run('--price-map', file, '--csv');
      expect(csv.stdout.split('\r\n').find((line) => line.startsWith('all'))).to.equal(
        `all,,,,USD,105,${paid},${wouldHavePaid},${delta},3,${notPricedPaid}`,
      );
      const text = await run('--price-map', file);
      expect(text.stdout).to.contain(`105 charges came to ${paid} USD and would have come to ${wouldHavePaid}`);
      expect(text.stdout).to.contain('3 charges have no price');
      const [after] = await world.rows<{ count: string }>('SELECT sum(seq) AS count FROM accounts');
      expect(after).to.deep.equal(before);
    });

    it('says what is allowed when it is called wrongly', async () => {
      const WRONG: readonly (readonly [RegExp, number, ...string[]])[] = [
        [/neither --prices nor --price-map is given/, 2],
        [/allowed: BOOK, or BOOK@VERSION/, 2, '--prices', 'list@0'],
        [/PRICE_BOOK_UNKNOWN: --prices is nowhere/, 1, '--prices', 'nowhere'],
        [/FILE_UNREADABLE/, 1, '--price-map', path.join(folder, 'none.json')],
        [/ACCOUNT_UNKNOWN: tenant nobody/, 1, '--price-map', await priceFile(), '--tenant', 'nobody'],
        [/--until is .*; allowed: a time after --since/, 2, '--prices', 'a', '--since', EVENING, '--until', NOON],
      ];
      for (const [message, exitCode, ...args] of WRONG) {
        const result = await run(...args);
        expect(result.stderr, args.join(' ')).to.match(message);
        expect([result.exitCode, result.stdout], args.join(' ')).to.deep.equal([exitCode, '']);
      }
    });
  });
});
