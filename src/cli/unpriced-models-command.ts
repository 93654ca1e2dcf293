/**
 * Owns: `tollbook unpriced models`: which models wait for a price, and which names of a book are near.
 * Invariants: reads only.
 */
import type { Command } from 'commander';
import type pg from 'pg';
import { readParkedModels } from '../ledger/postgres/parked-usage.js';
import { readPrices } from '../ledger/postgres/price-books.js';
import { type Config, loadConfig } from '../runtime/config.js';
import { nearestModels, pricedVersion } from '../prices/match-model.js';
import { systemClock } from '../runtime/clock.js';
import { bookName } from './option-values.js';
import { printText } from './output.js';
import { plainTable } from './plain-table.js';
import { versionAt } from './price-texts.js';

interface ModelsFlags {
  readonly book?: string;
  readonly json?: boolean;
}

/** Adds `models` to the unpriced usage. */
export function registerUnpricedModelsCommand(
  unpriced: Command,
  withPool: (config: Readonly<Config>, work: (pool: pg.Pool) => Promise<void>) => Promise<void>,
): void {
  unpriced
    .command('models')
    .description('show which models wait for a price, how often, and the nearest names of a price book')
    .option('--book <name>', 'the book (default: TOLLBOOK_PRICE_BOOK, if it is set)', bookName)
    .option('--json', 'print the result as one JSON array')
    .action((flags: ModelsFlags) => {
      const config = loadConfig();
      return withPool(config, (pool) => models(pool, { ...flags, book: flags.book ?? config.priceBook }));
    });
}

async function models(pool: pg.Pool, { book, json }: ModelsFlags & { readonly book: string }): Promise<void> {
  const nearest = await nearestOf(pool, book);
  const found = (await readParkedModels(pool)).map((each) => ({ ...each, nearest: nearest(each) }));
  if (json === true) {
    printText(`${JSON.stringify(found)}\n`);
    return;
  }
  const table = plainTable(['provider', 'model', 'traces', 'since', 'without a price', 'nearest names']);
  for (const { provider, model, traces, since, missing, nearest: near } of found)
    table.push([provider, model, traces, since, missing.join(', '), near.join(', ')]);
  printText(found.length === 0 ? 'nothing is parked\n' : `${table.toString()}\n`);
}

type Nearest = (wanted: { readonly provider: string; readonly model: string }) => readonly string[];

/** Without a book nothing is near. */
async function nearestOf(pool: pg.Pool, book: string): Promise<Nearest> {
  if (book === '') return () => [];
  const version = await versionAt(pool, book, new Date(systemClock.nowMs()).toISOString());
  const priced = pricedVersion(version, await readPrices(pool, version));
  return (wanted) => nearestModels(priced, wanted).map(({ model }) => model);
}
