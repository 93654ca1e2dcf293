/**
 * Owns: `tollbook prices import | list | show`: bringing price lists into the ledger, and looking at them.
 * Does not own: `prices match` (prices-match-command.ts), the format and the import (src/prices), the pricing of events.
 * Invariants: with --json, stdout carries exactly one JSON document; prices are decimal strings per 1,000 units.
 */
import type { Command } from 'commander';
import type pg from 'pg';
import { type ImportedVersion, type PriceFilter, readPrices, readVersions } from '../ledger/postgres/price-books.js';
import { type ModelPrices, versionNameOf } from '../ledger/price-book.js';
import { readDeclaredNames, withDeclaredNames } from '../prices/declared-names.js';
import { importPrices, type ImportResult } from '../prices/import-prices.js';
import { type PriceMap, readPriceMap, type SkipReason } from '../prices/price-map-reader.js';
import { systemClock } from '../runtime/clock.js';
import { loadConfig } from '../runtime/config.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { bookName, currencyCode, instantValue, labelText, plainText } from './option-values.js';
import { plainTable } from './plain-table.js';
import { conditionText, metersText, rowJson, versionAt } from './price-texts.js';
import { registerPricesMatchCommand } from './prices-match-command.js';
import { printText } from './output.js';

interface ImportFlags {
  readonly book: string;
  readonly effectiveFrom?: string;
  readonly currency: string;
  readonly actor: string;
  readonly aliases?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

interface ShowFlags extends PriceFilter {
  readonly at?: string;
  readonly json?: boolean;
}

const IMPORT_HELP = `
FILE is the public model price map: a JSON object of model → { litellm_provider, input_cost_per_token, … }.
A price per token becomes a price per 1,000, exactly. A model of the map answers to its own name and, when that starts with
the provider ("gemini/gemini-2.5-pro" of gemini), also to the rest of it ("gemini-2.5-pro"), unless the map has an entry of
that name for the same provider. Entries of the form { "alias_of": MODEL } are names of that model. Each condition of a model is a row of prices: a class (priority, flex, batch, …), a length
of the input (above 200,000 tokens, …), hours of the week. A request is charged by one row; what no row prices is parked,
never charged at another row. An explicit price of zero is a price. Meters are exclusive: input_tokens counts what no other
meter of the input counts. Entries without a price are skipped and counted; fields that look like prices and were not
understood are named. The same file again is not imported twice. Without --effective-from the first version of a book begins
with the oldest usage that is parked, so that "unpriced price --all" can charge it; later ones begin now. Events are priced
by the version that is in effect at their occurred_at; set TOLLBOOK_PRICE_BOOK to let consumers do so.

Names are exact. --aliases declares others for this version:
  { "openai": { "aliases": { "gpt-latest": "gpt-4o" }, "date_suffix": true } }
An alias is priced like the model of the list that it names. With date_suffix a name that the list does not have is priced
like the same name without the date at its end ("gpt-4o-2024-08-06"). "prices match" tells how a name is priced.`;

/** Adds `prices` to the program. */
export function registerPricesCommand(program: Command): void {
  const prices = program
    .command('prices')
    .description('price books: lists of prices that price events without their own');
  prices
    .command('import')
    .description('make a price list the next version of a book')
    .argument('<file>', 'the public model price map, as JSON')
    .requiredOption('--book <name>', 'the book; the first import creates it', bookName)
    .requiredOption('--actor <who>', 'who imports it', plainText)
    .option(
      '--effective-from <time>',
      'RFC 3339; now or later, but for the first version (default: now; of the first, the oldest parked usage)',
      instantValue,
    )
    .option('--currency <code>', 'currency of the prices', currencyCode, 'USD')
    .option('--aliases <file>', 'names beside those of the list, as JSON; see below', String)
    .option('--dry-run', 'tell what would be imported, and write nothing')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', IMPORT_HELP)
    .action((file: string, flags: ImportFlags) => runImport(file, flags));
  prices
    .command('list')
    .description('show every version of every book')
    .option('--json', 'print the result as one JSON array')
    .action((flags: { json?: boolean }) => withPool((pool) => list(pool, flags.json === true)));
  prices
    .command('show')
    .description('show the prices of the version that is in effect now, or at a time')
    .argument('<book>', 'the book', bookName)
    .option('--at <time>', 'RFC 3339 (default: now)', instantValue)
    .option('--provider <name>', 'only this provider', labelText)
    .option('--model <name>', 'only this model, as events name it', labelText)
    .option('--json', 'print the result as one JSON object')
    .action((book: string, flags: ShowFlags) => withPool((pool) => show(pool, book, flags)));
  registerPricesMatchCommand(prices, withPool);
}

async function withPool(work: (pool: pg.Pool) => Promise<void>): Promise<void> {
  const config = loadConfig();
  const { databaseUrl: url, databaseRole: role } = config;
  const pool = createPostgresPool({ url, role, applicationName: 'tollbook-prices', connectionsMax: 1 });
  try {
    await work(pool);
  } finally {
    await pool.end();
  }
}

async function runImport(file: string, { aliases, json, ...wanted }: ImportFlags): Promise<void> {
  const list = await readPriceMap(file);
  const map = aliases === undefined ? list : withDeclaredNames(list, await readDeclaredNames(aliases));
  await withPool(async (pool) => {
    const result = await importPrices(pool, { ...wanted, map }, systemClock);
    printText(json === true ? `${JSON.stringify(importJson(map, result))}\n` : importText(map, result));
  });
}

function importJson(map: PriceMap, { outcome, version, changes }: ImportResult): object {
  const { skipped, rows } = map;
  const unread = [...map.unread].map(([field, models]) => ({ field, models }));
  return { outcome, ...versionJson(version), names: map.prices.length, rows, changes, skipped, unread };
}

function versionJson({ digest, ...version }: ImportedVersion): object {
  return { ...version, priceVersion: versionNameOf(version), digest: digest.toString('hex') };
}

const SKIP_WORDS: Readonly<Record<SkipReason, string>> = {
  name: 'with a name no event can carry',
  noPrice: 'without a price',
  alias: 'that are an alias of a model that the list does not have',
};

function importText(map: PriceMap, { outcome, version, changes }: ImportResult): string {
  const name = versionNameOf(version);
  if (outcome === 'unchanged') {
    return `the file is ${name} already, in effect from ${version.effectiveFrom}; nothing written\n`;
  }
  const { added, changed, removed, same } = changes;
  const lines = [
    `${outcome === 'imported' ? 'imported' : 'would import'} ${version.models} models as ${name} ` +
      `(${version.currency}), in effect from ${version.effectiveFrom}; ${map.rows} rows of prices`,
    ...(version.datedProviders?.length
      ? [`names with a date are priced without it: ${version.datedProviders.join(', ')}`]
      : []),
    `names: ${added} added, ${changed} changed, ${removed} removed, ${same} as before`,
    ...Object.entries(SKIP_WORDS).flatMap(([reason, words]) => counted(map.skipped[reason as SkipReason], words)),
    ...[...map.unread].map(([field, models]) => `not understood: ${field} (${models} models)`),
  ];
  return `${lines.join('\n')}\n`;
}

function counted(count: number, words: string): string[] {
  return count === 0 ? [] : [`skipped: ${count} ${words}`];
}

async function list(pool: pg.Pool, json: boolean): Promise<void> {
  const versions = await readVersions(pool);
  if (json) {
    printText(`${JSON.stringify(versions.map(versionJson))}\n`);
    return;
  }
  const table = plainTable(['price version', 'in effect from', 'currency', 'models', 'imported by', 'imported at']);
  for (const version of versions) {
    const { effectiveFrom, currency, models, actor, importedAt } = version;
    table.push([versionNameOf(version), effectiveFrom, currency, models, actor, importedAt]);
  }
  printText(`${table.toString()}\n`);
}

async function show(pool: pg.Pool, book: string, { at, json, ...filter }: ShowFlags): Promise<void> {
  const version = await versionAt(pool, book, at ?? new Date(systemClock.nowMs()).toISOString());
  const prices = await readPrices(pool, version, filter);
  if (json === true) {
    printText(`${JSON.stringify({ ...versionJson(version), prices: prices.map(modelJson) })}\n`);
    return;
  }
  const table = plainTable(['provider', 'model', 'when', 'input per 1k', 'output per 1k', 'further meters per 1k']);
  for (const { provider, model, aliasOf, rows } of prices) {
    const name = aliasOf === undefined ? model : `${model} (alias of ${aliasOf})`;
    for (const row of rows) {
      const { inputPer1k = '-', outputPer1k = '-', meters } = row;
      table.push([provider, name, conditionText(row), inputPer1k, outputPer1k, metersText(meters)]);
    }
  }
  const heading = `${versionNameOf(version)} (${version.currency}), in effect from ${version.effectiveFrom}`;
  printText(`${heading}, ${prices.length} names\n${table.toString()}\n`);
}

function modelJson({ rows, ...model }: ModelPrices): object {
  return { ...model, rows: rows.map(rowJson) };
}
