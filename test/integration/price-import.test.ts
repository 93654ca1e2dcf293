/** Importing price lists on a real PostgreSQL: versions, what is refused, and what the database itself keeps. */
import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { type ImportedVersion, readPrices, readVersions } from '../../src/ledger/postgres/price-books.js';
import type { ImportResult } from '../../src/prices/import-prices.js';
import { parsePriceMap } from '../../src/prices/price-map-reader.js';
import { exampleFiles } from '../../src/simulator/simulate.js';
import { failureOf } from '../support/command-samples.js';
import { refusalOf } from '../support/ledger-rows.js';
import { DOUBLE_PRICES, importText, newBook, priceMapText, UNIT_PRICES } from '../support/price-lists.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { openOwnerPool } from '../support/test-database.js';
import { NOON, wireCompleted } from '../support/wire-usage.js';

const NOW_MS = Date.parse(NOON) + 1000;
const NOW = new Date(NOW_MS).toISOString();

describe('importing a price list', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  async function rowsOf(book: string): Promise<{ versions: ImportedVersion[]; prices: number }> {
    const [row] = await world.rows<{ count: string }>('SELECT count(*) FROM price_book_prices WHERE book = $1', [book]);
    return { versions: await readVersions(world.pool, book), prices: Number(row?.count) };
  }

  function importUnit(book: string, wanted: Partial<Parameters<typeof importText>[2]> = {}): Promise<ImportResult> {
    return importText(world.pool, UNIT_PRICES, { book, atMs: NOW_MS, ...wanted });
  }

  it('keeps every price of the example file, digit by digit, in its first version', async () => {
    const [book, text] = [newBook(), await readFile(exampleFiles().pricesFile, 'utf8')];
    const effectiveFrom = '2025-01-01T00:00:00.000Z';
    const { outcome, version, changes } = await importText(world.pool, text, { book, atMs: NOW_MS, effectiveFrom });
    expect(outcome).to.equal('imported');
    expect(version).to.include({ book, version: 1, models: 261, effectiveFrom, importedAt: NOW, actor: 'ops' });
    expect(changes).to.deep.equal({ added: 376, changed: 0, removed: 0, same: 0 });
    const stored = await readPrices(world.pool, version);
    expect(stored).to.have.deep.members([...parsePriceMap(Buffer.from(text)).prices]);
  });

  it('writes nothing the second time, and says which version the file is', async () => {
    const book = newBook();
    await importUnit(book);
    const before = await rowsOf(book);
    const again = await importUnit(book, { atMs: NOW_MS + 60_000 });
    expect(again).to.deep.include({ outcome: 'unchanged', version: before.versions[0] });
    expect(await rowsOf(book)).to.deep.equal(before);
  });

  it('makes another file the next version, and an older one the version after that', async () => {
    const book = newBook();
    await importUnit(book);
    const more = priceMapText({ 'claude-sonnet-4': { input: '2', output: '2' }, other: { input: '1', output: '1' } });
    const second = await importText(world.pool, more, { book, atMs: NOW_MS + 1 });
    expect(second).to.deep.include({ changes: { added: 1, changed: 1, removed: 0, same: 0 } });
    const third = await importUnit(book, { atMs: NOW_MS + 2 });
    expect(third).to.deep.include({ outcome: 'imported', changes: { added: 0, changed: 1, removed: 1, same: 0 } });
    const { versions } = await rowsOf(book);
    expect(versions.map(({ version }) => version)).to.deep.equal([3, 2, 1]);
  });

  it('refuses a version that would change prices of the past, or overtake a planned one, and writes nothing', async () => {
    const book = newBook();
    await importUnit(book, { effectiveFrom: '2026-01-01T00:00:00.000Z' });
    const past = { book, atMs: NOW_MS, effectiveFrom: NOON };
    expect((await failureOf(importText(world.pool, DOUBLE_PRICES, past))).code).to.equal('PRICES_RETROACTIVE');
    const planned = { book, atMs: NOW_MS, effectiveFrom: '2026-04-01T00:00:00.000Z' };
    await importText(world.pool, DOUBLE_PRICES, planned);
    const before = await rowsOf(book);
    const error = await failureOf(importUnit(book, { effectiveFrom: '2026-03-20T00:00:00.000Z' }));
    expect(error.message).to.include(`when ${book}@2 takes effect`);
    expect(await rowsOf(book)).to.deep.equal(before);
  });

  it('refuses another currency than that of the book, and a name that is none', async () => {
    const book = newBook();
    await importUnit(book);
    const error = await failureOf(importText(world.pool, DOUBLE_PRICES, { book, atMs: NOW_MS, currency: 'EUR' }));
    expect(error.code).to.equal('CURRENCY_MISMATCH');
    expect((await failureOf(importUnit('A Book'))).code).to.equal('USAGE_INVALID');
    expect((await rowsOf(book)).versions).to.have.length(1);
  });

  it('writes nothing when it is only asked what it would do', async () => {
    const book = newBook();
    const result = await importUnit(book, { dryRun: true });
    expect(result).to.deep.include({ outcome: 'wouldImport', changes: { added: 1, changed: 0, removed: 0, same: 0 } });
    expect(await rowsOf(book)).to.deep.equal({ versions: [], prices: 0 });
  });

  it('is done once when eight importers bring the same file at once', async () => {
    const book = newBook();
    const results = await Promise.all(Array.from({ length: 8 }, () => importUnit(book)));
    expect(results.filter(({ outcome }) => outcome === 'imported')).to.have.length(1);
    expect(await rowsOf(book)).to.have.property('prices', 1);
  });

  it('numbers the versions without a gap when four importers bring different files at once', async () => {
    const book = newBook();
    const files = ['1', '2', '3', '4'].map((input) => priceMapText({ 'claude-sonnet-4': { input, output: '1' } }));
    await Promise.all(files.map((text) => importText(world.pool, text, { book, atMs: NOW_MS })));
    const { versions } = await rowsOf(book);
    expect(versions.map(({ version }) => version)).to.deep.equal([4, 3, 2, 1]);
  });

  it('leaves it to the database to refuse a gap, a step back and any change', async () => {
    const book = newBook();
    await importUnit(book);
    const owner = openOwnerPool(world.database);
    const add = (version: number, effective: string): Promise<unknown> =>
      owner.query(
        `INSERT INTO price_book_versions (book, version, effective_from, currency, models, source_digest, actor, imported_at)
         VALUES ($1, $2, $3, 'USD', 1, $4, 'ops', $5)`,
        [book, version, effective, Buffer.alloc(32), NOW],
      );
    expect(await refusalOf(add(3, NOW)), 'a gap').to.equal('23503');
    expect(await refusalOf(add(2, NOON)), 'a step back').to.equal('23514');
    for (const table of ['price_book_versions', 'price_book_prices']) {
      for (const statement of [
        `UPDATE ${table} SET book = book`,
        `DELETE FROM ${table}`,
        `TRUNCATE ${table} CASCADE`,
      ]) {
        expect(await refusalOf(owner.query(statement)), `${statement}, owner`).to.equal('23001');
        expect(await refusalOf(world.pool.query(statement)), `${statement}, application`).to.equal('42501');
      }
    }
    await owner.end();
  });

  it('begins the first version of a book with the oldest usage that is parked, and later ones now', async () => {
    const oldest = '2026-03-15T09:00:00.000Z';
    const parked = ['2026-03-15T11:00:00.000Z', oldest, NOON].map((occurredAt, index) =>
      wireCompleted({
        ...{ tenantId: 'parked', traceId: `parked-${index}` },
        fields: { occurred_at: occurredAt, pricing: { currency: 'USD' } },
      }),
    );
    batchOf(await world.protocol().charge(world.stream('completed').chunk(parked)));
    const book = newBook();
    expect((await importUnit(book)).version.effectiveFrom).to.equal(oldest);
    const second = await importText(world.pool, DOUBLE_PRICES, { book, atMs: NOW_MS + 1 });
    expect(second.version.effectiveFrom).to.equal(new Date(NOW_MS + 1).toISOString());
  });
});
