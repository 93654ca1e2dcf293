/**
 * Owns: `tollbook unpriced list | price`: looking at what is parked for want of a price, and charging it.
 * Does not own: what pricing means (ledger/commands/price-usage.ts), nor pricing all of it (prices/price-parked.ts).
 * Invariants: with --json, stdout carries exactly one JSON document; what is asked for is checked before anything is read.
 */
import type { Command } from 'commander';
import type pg from 'pg';
import type { GivenPrices, PriceCommand } from '../ledger/commands/command.js';
import { CONNECTIONS_TO_NAME_BLOCKERS } from '../ledger/postgres/lock-watch.js';
import { displayAmount, formatAmount } from '../ledger/money.js';
import { meteredUsage } from '../ledger/pricing.js';
import { PostgresLedgerStore } from '../ledger/postgres/postgres-ledger-store.js';
import {
  countParked,
  type OpenParked,
  pageParked,
  type ParkedFilter,
  type ParkedPosition,
} from '../ledger/postgres/parked-usage.js';
import { assertPriceBook } from '../ledger/postgres/price-books.js';
import { type ParkedPricingResult, type ParkedQuote, priceParked, quoteParked } from '../prices/price-parked.js';
import { type Config, loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { nameMap } from '../runtime/name-map.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { clockBeside } from '../runtime/postgres-time.js';
import { defaultTerms } from './charging-parts.js';
import { amountOf, balanceAfter, runLedgerCommand } from './ledger-command-run.js';
import {
  bookName,
  currencyCode,
  identifier,
  instantValue,
  labelText,
  plainText,
  wholeNumber,
} from './option-values.js';
import { plainTable } from './plain-table.js';
import { meterPrices, parkedPosition, parkedPositionText, unitPrice } from './price-values.js';
import { startProgress } from './progress.js';
import { printText } from './output.js';
import { registerUnpricedModelsCommand } from './unpriced-models-command.js';

interface ListFlags {
  readonly tenant?: string;
  readonly model?: string;
  readonly since?: string;
  readonly limit: number;
  readonly after?: ParkedPosition;
  readonly json?: boolean;
}

interface PriceFlags extends Omit<GivenPrices, 'meters'> {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly book?: string;
  readonly meter?: Readonly<Record<string, string>>;
  readonly currency?: string;
  readonly key?: string;
  readonly actor: string;
  readonly reason: string;
  readonly allowNegative?: boolean;
  readonly json?: boolean;
}

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 1000;

const PRICE_HELP = `
One trace:   tollbook unpriced price TENANT TRACE --output-per-1k 0.015 --key KEY --actor WHO --reason WHY
             tollbook unpriced price TENANT TRACE --book NAME --key KEY --actor WHO --reason WHY
All of them: tollbook unpriced price --all --book NAME --actor WHO --reason WHY --dry-run, then --yes

Given prices fill in what the event lacks, in the currency of the account, and win over what it carries. A price book
prices every meter, by the version in effect at the event's occurred_at. The trace is charged by the rules of any
completion: it may be late, and without --allow-negative it may be refused for good (FAILED; see tollbook collect).
Sending the same command again with its key is safe; with --all the key follows from the trace.`;

/** Adds `unpriced` to the program. */
export function registerUnpricedCommand(program: Command): void {
  const unpriced = program.command('unpriced').description('usage that is parked because a price was missing');
  unpriced
    .command('list')
    .description('show what waits to be priced, oldest first')
    .option('--tenant <id>', 'only of this tenant', identifier)
    .option('--model <name>', 'only of this model', labelText)
    .option('--since <time>', 'only what was parked then (RFC 3339) or later', instantValue)
    .option('--limit <n>', 'most to show', wholeNumber(1, LIMIT_MAX), LIMIT_DEFAULT)
    .option('--after <position>', 'go on after the position that an earlier page ended with', parkedPosition)
    .option('--json', 'print the result as one JSON object')
    .action((flags: ListFlags) => withPool(loadConfig(), (pool) => list(pool, flags)));
  unpriced
    .command('price')
    .description('charge a parked trace at the prices given, or at those of a price book')
    .argument('[tenant]', 'tenant id', identifier)
    .argument('[trace]', 'trace id', identifier)
    .option('--input-per-1k <decimal>', 'price of 1,000 input tokens', unitPrice)
    .option('--output-per-1k <decimal>', 'price of 1,000 output tokens', unitPrice)
    .option('--meter <name=decimal>', 'price of 1,000 units of a further meter; may be repeated', meterPrices)
    .option('--currency <code>', 'checked against the account; default: its currency', currencyCode)
    .option('--book <name>', 'price it from this book', bookName)
    .option('--all', 'price everything parked that the book knows')
    .option('--dry-run', 'with --all: tell what it would come to, and write nothing')
    .option('--yes', 'with --all: charge all that are parked')
    .option('--key <key>', 'idempotency key: names this command for ever', identifier)
    .requiredOption('--actor <who>', 'who gives the command', plainText)
    .requiredOption('--reason <text>', 'why', plainText)
    .option('--allow-negative', 'charge it even when the balance does not cover it')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', PRICE_HELP)
    .action((tenantId: string | undefined, traceId: string | undefined, flags: PriceFlags) =>
      flags.all === true ? priceAll([tenantId, traceId], flags) : priceOne(tenantId, traceId, flags),
    );
  registerUnpricedModelsCommand(unpriced, withPool);
}

async function withPool<T>(config: Readonly<Config>, work: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const { databaseUrl: url, databaseRole: role } = config;
  const pool = createPostgresPool({
    url,
    role,
    applicationName: 'tollbook-unpriced',
    connectionsMax: CONNECTIONS_TO_NAME_BLOCKERS,
  });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}

async function list(pool: pg.Pool, flags: ListFlags): Promise<void> {
  const { tenant, model, since, after, limit, json } = flags;
  const filter: ParkedFilter = {
    ...(tenant === undefined ? {} : { tenantId: tenant }),
    ...(model === undefined ? {} : { model }),
    ...(since === undefined ? {} : { since }),
  };
  const found = await pageParked(pool, filter, { after, limit: limit + 1 });
  const page = found.slice(0, limit);
  const last = page[page.length - 1];
  const next = found.length > limit && last !== undefined ? parkedPositionText(last) : null;
  if (json === true) {
    printText(`${JSON.stringify({ parked: page.map(parkedJson), next })}\n`);
    return;
  }
  const table = plainTable(['parked at', 'tenant', 'trace', 'provider', 'model', 'used without a price']);
  for (const { recordedAt, tenantId, traceId, event, meters } of page) {
    table.push([recordedAt, tenantId, traceId, event.provider, event.model, meters.join(', ')]);
  }
  const more = next === null ? '' : `more: --after ${next}\n`;
  printText(page.length === 0 ? 'nothing is parked\n' : `${table.toString()}\n${more}`);
}

function parkedJson({ tenantId, traceId, event, meters, source, recordedAt }: OpenParked): object {
  const { provider, model, occurredAt, outcome, pricing } = event;
  const usage = meteredUsage(event.usage, pricing ?? { currency: '' }).map(({ meter, quantity, pricePer1k }) => ({
    ...{ meter, quantity, pricePer1k: pricePer1k ?? null },
  }));
  return {
    ...{ tenantId, traceId, recordedAt, occurredAt, provider, model, outcome, missing: meters, usage },
    currency: pricing?.currency ?? null,
    source: { ...source, kafkaOffset: source.kafkaOffset.toString() },
  };
}

async function priceOne(tenantId: string | undefined, traceId: string | undefined, flags: PriceFlags): Promise<void> {
  const { key, actor, reason, currency, allowNegative = false } = flags;
  if (tenantId === undefined || traceId === undefined) throw usage('name a tenant and a trace, or --all');
  if (flags.dryRun === true || flags.yes === true) throw usage('--dry-run and --yes are for --all');
  if (key === undefined) throw usage("required option '--key <key>' not specified");
  const command: PriceCommand = {
    kind: 'price',
    ...{ tenantId, key, actor, reason, traceId, allowNegative },
    prices: pricesOf(flags),
    ...(currency === undefined ? {} : { currency }),
  };
  const { book } = flags;
  if (book !== undefined) await withPool(loadConfig(), (pool) => assertPriceBook(pool, book, 'book'));
  await runLedgerCommand(command, { ...flags, key }, (entry) => {
    const { seq, status, description, usage: charged } = entry;
    return status === 'FAILED'
      ? `refused: ${description}; trace ${traceId} of ${tenantId} is FAILED as entry ${seq}, ${amountOf(entry)} uncollected`
      : `charged ${amountOf(entry)} for trace ${traceId} to ${tenantId} as entry ${seq} ` +
          `(${charged.priceVersion}); balance ${balanceAfter(entry)}`;
  });
}

function pricesOf({ book, inputPer1k, outputPer1k, meter }: PriceFlags): PriceCommand['prices'] {
  const isGiven = inputPer1k !== undefined || outputPer1k !== undefined || meter !== undefined;
  if (book !== undefined && isGiven) throw usage('give prices or --book, not both');
  if (book !== undefined) return { book };
  if (!isGiven) throw usage('give --input-per-1k, --output-per-1k, --meter or --book');
  return {
    ...(inputPer1k === undefined ? {} : { inputPer1k }),
    ...(outputPer1k === undefined ? {} : { outputPer1k }),
    meters: meter ?? {},
  };
}

async function priceAll(named: readonly (string | undefined)[], flags: PriceFlags): Promise<void> {
  const { book, key, actor, reason, allowNegative = false, json } = flags;
  if (named.some((name) => name !== undefined)) throw usage('name a trace or --all, not both');
  if (key !== undefined) throw usage('--all takes no --key: the key of each command follows from its trace');
  const prices = pricesOf(flags);
  if (book === undefined || !('book' in prices)) throw usage('--all needs --book');
  const config = loadConfig();
  await withPool(config, async (pool) => {
    await assertPriceBook(pool, book, 'book');
    const parked = await countParked(pool);
    if (flags.dryRun === true) {
      const quote = await quoteParked(pool, book);
      printText(json === true ? `${JSON.stringify(quoteJson(quote))}\n` : quoteText(book, quote));
      return;
    }
    if (parked > 0 && flags.yes !== true)
      throw usage(`${parked} traces are parked; look at a --dry-run, then add --yes`);
    const defaults = { currency: config.defaultCurrency, terms: defaultTerms(config) };
    const clock = clockBeside(pool, config.clockSkewMaxMs);
    await clock.check();
    const ports = { store: new PostgresLedgerStore(pool), clock, defaults };
    const progress = startProgress({ label: 'pricing', total: parked, unit: 'traces' });
    try {
      const onProgress = (done: number): void => progress.set(done);
      const result = await priceParked(pool, ports, { book, actor, reason, allowNegative, filter: {}, onProgress });
      printText(json === true ? `${JSON.stringify(result)}\n` : allText(book, result));
    } finally {
      progress.stop();
    }
  });
}

function quoteJson({ priced, amounts, left }: ParkedQuote): object {
  const texts = [...amounts].map(([currency, amount]) => [currency, formatAmount(amount)] as const);
  return { dryRun: true, wouldCharge: priced, amounts: nameMap(texts), left };
}

function quoteText(book: string, { priced, amounts, left }: ParkedQuote): string {
  const sums = [...amounts].map(([currency, amount]) => `${displayAmount(amount)} ${currency}`);
  const lines = [
    `would charge ${priced} parked traces from price book ${book}${sums.length === 0 ? '' : `, ${sums.join(' and ')}`}`,
    ...(left === 0 ? [] : [`still parked: ${left} (PRICE_MISSING)`]),
    'nothing is written; whether balances cover it is decided when it is charged',
  ];
  return `${lines.join('\n')}\n`;
}

function allText(book: string, { committed, failed, left }: ParkedPricingResult): string {
  const lines = [
    `charged ${committed} parked traces from price book ${book}`,
    ...(failed === 0 ? [] : [`refused: ${failed}, which are now FAILED; tollbook collect charges them`]),
    ...Object.entries(left).map(([code, count]) => `still parked: ${count} (${code})`),
  ];
  return `${lines.join('\n')}\n`;
}

function usage(message: string): TollbookError {
  return new TollbookError('USAGE_INVALID', `${message} (add --help for what is allowed)`);
}
