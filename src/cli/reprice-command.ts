/**
 * Owns: `tollbook reprice`: what every tenant would have paid at other prices.
 * Does not own: the sums (src/reconciliation/reprice), how they look (reprice-text.ts).
 * Invariants: writes nothing; stdout carries the result alone, with --json exactly one JSON document.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type pg from 'pg';
import { PostgresLedgerHistory } from '../ledger/postgres/postgres-ledger-history.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { readPriceMap } from '../prices/price-map-reader.js';
import type { UsageFilter } from '../reconciliation/reprice/charged-usage.js';
import { listSource, priceBookSource, type PriceSource } from '../reconciliation/reprice/price-source.js';
import { reprice, type Repricing } from '../reconciliation/reprice/reprice.js';
import { loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { listenForStop } from '../runtime/shutdown.js';
import { unknownAccount } from './ledger-reading.js';
import { bookName, currencyCode, identifier, instantValue } from './option-values.js';
import { startProgress } from './progress.js';
import { repriceCsv, repriceDocument, repriceText } from './reprice-text.js';
import { printJson, printRaw, printText } from './output.js';

interface BookVersion {
  readonly book: string;
  readonly version: number | undefined;
}

interface RepriceFlags {
  readonly prices?: BookVersion;
  readonly priceMap?: string;
  readonly currency: string;
  readonly tenant?: string;
  readonly since?: string;
  readonly until?: string;
  readonly csv?: boolean;
  readonly json?: boolean;
}

const HELP = `
Every charge (COMMITTED) is priced once more: the same quantities, by the same function, at other prices. With --prices BOOK
these are those of the version that was in force when the request happened, as consumers would have taken them; with
BOOK@VERSION those of that version, whenever the request was; with --price-map those of a list that is not imported.
A charge without a price there (its model, one of its meters, or its currency is missing) is counted apart, with what was
paid for it, and is part of no difference. Refunds and adjustments are left out. Nothing is written.`;

/** Adds `reprice` to the program. */
export function registerRepriceCommand(program: Command): void {
  program
    .command('reprice')
    .description('what every tenant would have paid at other prices, by tenant and by model')
    .addOption(
      new Option('--prices <book>', 'a price book, as BOOK or BOOK@VERSION')
        .argParser(bookVersion)
        .conflicts('priceMap'),
    )
    .option('--price-map <file>', 'a model price map that is not imported, as JSON')
    .option('--currency <code>', 'with --price-map: currency of its prices', currencyCode, 'USD')
    .option('--tenant <id>', 'only this tenant', identifier)
    .option('--since <time>', 'only requests of this time or later, RFC 3339', instantValue)
    .option('--until <time>', 'only requests before this time, RFC 3339', instantValue)
    .addOption(new Option('--csv', 'print the result as CSV').conflicts('json'))
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', HELP)
    .action(runReprice);
}

function bookVersion(text: string): BookVersion {
  const [, book = '', version] = /^([^@]*)(?:@([1-9]\d{0,8}))?$/.exec(text) ?? [];
  if (book === '') throw new InvalidArgumentError('allowed: BOOK, or BOOK@VERSION such as list@2');
  return { book: bookName(book), version: version === undefined ? undefined : Number(version) };
}

async function runReprice(flags: RepriceFlags): Promise<void> {
  const filter = filterOf(flags);
  const { databaseUrl: url, databaseRole: role } = loadConfig();
  const pool = createPostgresPool({ url, role, applicationName: 'tollbook-reprice', connectionsMax: 1 });
  try {
    const source = await sourceOf(pool, flags);
    const found = await watched(pool, { flags, filter, source });
    print(found, { flags, prices: source.name, filter });
  } finally {
    await pool.end();
  }
}

function print(
  found: Repricing,
  { flags, prices, filter }: { flags: RepriceFlags; prices: string; filter: UsageFilter },
): void {
  if (flags.json === true) return printJson(repriceDocument(found, { prices, filter }));
  if (flags.csv === true) printRaw(repriceCsv(found));
  else printText(repriceText(found, prices));
}

/** Throws USAGE_INVALID. */
function filterOf({ prices, priceMap, tenant, since, until }: RepriceFlags): UsageFilter {
  if (prices === undefined && priceMap === undefined) {
    throw new TollbookError('USAGE_INVALID', 'neither --prices nor --price-map is given; allowed: one of them');
  }
  if (since !== undefined && until !== undefined && since >= until) {
    throw new TollbookError('USAGE_INVALID', `--until is ${until}; allowed: a time after --since, which is ${since}`);
  }
  return {
    ...(tenant === undefined ? {} : { tenantId: tenant }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  };
}

/** Throws PRICE_BOOK_UNKNOWN, USAGE_INVALID, FILE_UNREADABLE, ACCOUNT_UNKNOWN. */
async function sourceOf(pool: pg.Pool, { prices, priceMap, currency, tenant }: RepriceFlags): Promise<PriceSource> {
  if (tenant !== undefined && !(await new PostgresLedgerReader(pool).readAccounts([tenant])).has(tenant)) {
    throw unknownAccount(tenant);
  }
  if (prices !== undefined) return priceBookSource(pool, prices.book, prices.version);
  const map = await readPriceMap(priceMap ?? '');
  return listSource(map.prices, { name: priceMap ?? '', currency });
}

async function watched(
  pool: pg.Pool,
  { flags, filter, source }: { flags: RepriceFlags; filter: UsageFilter; source: PriceSource },
): Promise<Repricing> {
  const { tenant, json } = flags;
  const accounts = new PostgresLedgerReader(pool);
  const total =
    tenant === undefined
      ? (await new PostgresLedgerHistory(pool).countLedger()).entries
      : ((await accounts.readAccounts([tenant])).get(tenant)?.seq ?? 0);
  const stop = listenForStop();
  const controller = new AbortController();
  void stop.received.then(() => controller.abort());
  const progress = startProgress({ label: 'pricing', total, unit: 'entries', silent: json === true });
  try {
    const onProgress = (entries: number): void => progress.set(entries);
    return await reprice(pool, { source, filter }, { signal: controller.signal, onProgress });
  } finally {
    progress.stop();
    stop.release();
  }
}
