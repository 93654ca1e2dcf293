/**
 * Owns: `tollbook prices import | list | show`: bringing price lists into the ledger, and looking at them.
 * Does not own: the format and the import (src/prices), nor the pricing of events (src/consumers).
 * Invariants: with --json, stdout carries exactly one JSON document; prices are decimal strings per 1,000 units.
 */
import type { Command } from 'commander';
import type pg from 'pg';
import {
  type ImportedVersion,
  type PriceFilter,
  readPrices,
  readVersions,
  unknownPriceBook,
} from '../ledger/postgres/price-books.js';
import { type ModelPrices, priceVersionOf, versionInForce } from '../ledger/price-book.js';
import { importPrices, type ImportResult } from '../prices/import-prices.js';
import { type PriceMap, readPriceMap, type SkipReason } from '../prices/price-map-reader.js';
import { systemClock } from '../runtime/clock.js';
import { loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { bookName, currencyCode, instantValue, labelText, plainText } from './option-values.js';
import { plainTable } from './plain-table.js';
import { printText } from './output.js';

interface ImportFlags {
  readonly book: string;
  readonly effectiveFrom?: string;
  readonly currency: string;
  readonly actor: string;
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
that name for the same provider. Further meters: cached_input_tokens, cache_creation_input_tokens, reasoning_tokens,
audio_input_tokens, audio_output_tokens, requests. Entries that price no tokens are skipped and counted; so are prices of
tiers, images and seconds. The same file again is not imported twice. Events are priced by the version that is in effect at
their occurred_at; set TOLLBOOK_PRICE_BOOK to let consumers do so.`;

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
    .option('--effective-from <time>', 'RFC 3339; now or later, but for the first version (default: now)', instantValue)
    .option('--currency <code>', 'currency of the prices', currencyCode, 'USD')
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

async function runImport(file: string, flags: ImportFlags): Promise<void> {
  const map = await readPriceMap(file);
  const { json, ...wanted } = flags;
  await withPool(async (pool) => {
    const result = await importPrices(pool, { ...wanted, map }, systemClock);
    printText(json === true ? `${JSON.stringify(importJson(map, result))}\n` : importText(map, result));
  });
}

function importJson(map: PriceMap, { outcome, version, changes }: ImportResult): object {
  const { skipped, unread } = map;
  return { outcome, ...versionJson(version), names: map.prices.length, changes, skipped, unread };
}

function versionJson({ digest, ...version }: ImportedVersion): object {
  return { ...version, priceVersion: priceVersionOf(version), digest: digest.toString('hex') };
}

const SKIP_WORDS: Readonly<Record<SkipReason, string>> = {
  name: 'with a name no event can carry',
  noTokenPrice: 'without a price for tokens',
  allZero: 'with nothing but zero prices',
};

function importText(map: PriceMap, { outcome, version, changes }: ImportResult): string {
  const name = priceVersionOf(version);
  if (outcome === 'unchanged') {
    return `the file is ${name} already, in effect from ${version.effectiveFrom}; nothing written\n`;
  }
  const { added, changed, removed, same } = changes;
  const lines = [
    `${outcome === 'imported' ? 'imported' : 'would import'} ${version.models} models as ${name} ` +
      `(${version.currency}), in effect from ${version.effectiveFrom}`,
    `names: ${added} added, ${changed} changed, ${removed} removed, ${same} as before`,
    ...Object.entries(SKIP_WORDS).flatMap(([reason, words]) => counted(map.skipped[reason as SkipReason], words)),
    ...Object.entries(map.unread).map(([field, models]) => `not imported: ${field} (${models} models)`),
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
    table.push([priceVersionOf(version), effectiveFrom, currency, models, actor, importedAt]);
  }
  printText(`${table.toString()}\n`);
}

async function show(pool: pg.Pool, book: string, { at, json, ...filter }: ShowFlags): Promise<void> {
  const version = await versionAt(pool, book, at ?? new Date(systemClock.nowMs()).toISOString());
  const prices = await readPrices(pool, version, filter);
  if (json === true) {
    printText(`${JSON.stringify({ ...versionJson(version), prices })}\n`);
    return;
  }
  const table = plainTable(['provider', 'model', 'input per 1k', 'output per 1k', 'further meters per 1k']);
  for (const { provider, model, inputPer1k = '-', outputPer1k = '-', meters } of prices) {
    table.push([provider, model, inputPer1k, outputPer1k, metersText(meters)]);
  }
  const heading = `${priceVersionOf(version)} (${version.currency}), in effect from ${version.effectiveFrom}`;
  printText(`${heading}, ${prices.length} names\n${table.toString()}\n`);
}

function metersText(meters: ModelPrices['meters']): string {
  return Object.entries(meters)
    .map(([meter, price]) => `${meter} ${price}`)
    .join(', ');
}

/** The version of a book that is in effect at a time. Throws PRICE_BOOK_UNKNOWN, USAGE_INVALID before its first version. */
async function versionAt(pool: pg.Pool, book: string, at: string): Promise<ImportedVersion> {
  const versions = await readVersions(pool, book);
  const first = versions.at(-1);
  if (first === undefined) throw unknownPriceBook(book, 'book');
  const version = versionInForce(versions, at);
  if (version !== undefined) return version;
  const begins = `${priceVersionOf(first)} takes effect at ${first.effectiveFrom}`;
  throw new TollbookError('USAGE_INVALID', `at is ${at}; allowed: later, since ${begins}`);
}
