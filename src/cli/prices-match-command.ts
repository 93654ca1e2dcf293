/**
 * Owns: `tollbook prices match`: which row of a price book would price a model, and why.
 * Does not own: the rules (ledger/price-book.ts, ledger/price-row.ts).
 * Invariants: reads only; exit code 1 when nothing would price the request.
 */
import type { Command } from 'commander';
import type pg from 'pg';
import { readPrices } from '../ledger/postgres/price-books.js';
import { priceVersionOf, versionNameOf } from '../ledger/price-book.js';
import { STANDARD_CLASS } from '../ledger/price-row.js';
import { matchModel, type ModelAnswer, type ModelMatch, pricedVersion } from '../prices/match-model.js';
import { systemClock } from '../runtime/clock.js';
import { bookName, instantValue, labelText, wholeNumber } from './option-values.js';
import { printText } from './output.js';
import { conditionText, pricesText, rowJson, versionAt } from './price-texts.js';

interface MatchFlags {
  readonly book: string;
  readonly provider?: string;
  readonly at?: string;
  readonly priceClass?: string;
  readonly contextTokens: number;
  readonly json?: boolean;
}

const RULE_WORDS: Readonly<Record<ModelMatch['rule'], (model: string) => string>> = {
  exact: () => 'by its own name',
  alias: (model) => `as an alias of ${model}`,
  dateSuffix: (model) => `without its date, as ${model}`,
};

/** Adds `match` to the price books. */
export function registerPricesMatchCommand(
  prices: Command,
  withPool: (work: (pool: pg.Pool) => Promise<void>) => Promise<void>,
): void {
  prices
    .command('match')
    .description('tell which row of a book would price a model, and why')
    .argument('<model>', 'the model, as events name it', labelText)
    .requiredOption('--book <name>', 'the book', bookName)
    .option('--provider <name>', 'the provider (default: every one that has the model)', labelText)
    .option('--at <time>', 'when the request is made, RFC 3339 (default: now)', instantValue)
    .option('--price-class <name>', 'class of the request, such as priority, flex or batch', labelText)
    .option('--context-tokens <n>', 'tokens of its input, cached ones included', wholeNumber(0, 1e12), 0)
    .option('--json', 'print the result as one JSON object')
    .action((model: string, flags: MatchFlags) => withPool((pool) => match(pool, model, flags)));
}

async function match(pool: pg.Pool, model: string, flags: MatchFlags): Promise<void> {
  const { book, provider, priceClass, contextTokens, json } = flags;
  const occurredAt = flags.at ?? new Date(systemClock.nowMs()).toISOString();
  const stored = await versionAt(pool, book, occurredAt);
  const version = pricedVersion(stored, await readPrices(pool, stored));
  const asked = { model, provider, contextTokens, occurredAt, ...(priceClass === undefined ? {} : { priceClass }) };
  const answer = matchModel(version, asked);
  const document = {
    ...{ model, provider: provider ?? null, priceClass: priceClass ?? STANDARD_CLASS, contextTokens, at: occurredAt },
    version: versionNameOf(version),
    matches: answer.matches.map(({ row, rows, ...found }) => ({
      ...found,
      priceVersion: row === undefined ? null : priceVersionOf(version, row),
      row: row === undefined ? null : rowJson(row),
      rows: rows.map(rowJson),
    })),
    nearest: answer.nearest,
  };
  printText(json === true ? `${JSON.stringify(document)}\n` : answerText(model, answer, versionNameOf(version)));
  if (!answer.matches.some(({ row }) => row !== undefined)) process.exitCode = 1;
}

function answerText(model: string, { matches, nearest }: ModelAnswer, version: string): string {
  if (matches.length === 0) {
    const near = nearest.map((each) => `  ${each.provider} ${each.model}`);
    const told = near.length === 0 ? [] : ['the nearest names, none of which is used for it:', ...near];
    return `${[`${version} does not price ${model}: its usage waits for a price`, ...told].join('\n')}\n`;
  }
  return `${matches.flatMap((found) => matchLines(model, found, version)).join('\n')}\n`;
}

function matchLines(
  model: string,
  { provider, rule, model: priced, rows, row }: ModelMatch,
  version: string,
): string[] {
  const found = `${provider} ${model}: ${version} has it ${RULE_WORDS[rule](priced)}`;
  const end = row === undefined ? '; no row is for such a request: its usage waits for a price' : '';
  return [
    `${found}${end}`,
    ...rows.map((each) => {
      const condition = conditionText(each);
      const mark = each === row ? '→' : ' ';
      return `  ${mark} ${condition === '' ? 'any other request' : condition}: ${pricesText(each)}`;
    }),
  ];
}
