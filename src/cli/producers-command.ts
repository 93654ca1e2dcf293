/**
 * Owns: `tollbook producers list-gaps | accept-gap`: accepting that events of a gateway will never be published.
 * Does not own: finding the gaps (`tollbook reconcile`).
 */
import type { Command } from 'commander';
import {
  acceptProducerGap,
  type AcceptedProducerGap,
  type ProducerGapAcceptance,
  readProducerGaps,
} from '../ledger/postgres/producer-gaps.js';
import { loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createPostgresPool } from '../runtime/postgres.js';
import type pg from 'pg';
import { identifier, plainText, wholeNumber } from './option-values.js';
import { printText } from './output.js';
import { plainTable } from './plain-table.js';

interface AcceptFlags extends ProducerGapAcceptance {
  readonly json?: boolean;
}

/** Adds `producers` to the program. */
export function registerProducersCommand(program: Command): void {
  const producers = program.command('producers').description('the gateways, by the numbers of their events');
  producers
    .command('list-gaps')
    .description('show the gaps that were accepted, with who accepted them and why')
    .option('--json', 'print the result as one JSON array')
    .action((flags: { json?: boolean }) => withPool((pool) => list(pool, flags.json === true)));
  producers
    .command('accept-gap')
    .description(
      'accept that events with these numbers will never be published, so that reconcile no longer names them',
    )
    .requiredOption('--instance <name>', 'the gateway, as reconcile names it', identifier)
    .requiredOption('--epoch <n>', 'which start of it', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .requiredOption('--from <n>', 'the first number', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .requiredOption('--to <n>', 'the last number', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .requiredOption('--actor <who>', 'who accepts the loss', plainText)
    .requiredOption('--reason <text>', 'why', plainText)
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      '\nFirst ask the gateway to publish the events again: that closes the gap, and nothing is charged twice.\n' +
        'What was accepted and is published later all the same is charged like any other event.',
    )
    .action((flags: AcceptFlags) => withPool((pool) => accept(pool, flags)));
}

async function withPool(work: (pool: pg.Pool) => Promise<void>): Promise<void> {
  const { databaseUrl: url, databaseRole: role } = loadConfig();
  const pool = createPostgresPool({ url, role, applicationName: 'tollbook-producers', connectionsMax: 1 });
  try {
    await work(pool);
  } finally {
    await pool.end();
  }
}

async function list(pool: pg.Pool, json: boolean): Promise<void> {
  const gaps = await readProducerGaps(pool);
  printText(json ? `${JSON.stringify(gaps)}\n` : gapsText(gaps));
}

function gapsText(gaps: readonly AcceptedProducerGap[]): string {
  if (gaps.length === 0) return 'no gap was accepted\n';
  const table = plainTable(['instance', 'epoch', 'from', 'to', 'actor', 'reason', 'accepted at']);
  for (const { instance, epoch, from, to, actor, reason, acceptedAt } of gaps)
    table.push([instance, epoch, from, to, actor, reason, acceptedAt]);
  return `${table.toString()}\n`;
}

async function accept(pool: pg.Pool, { json, ...acceptance }: AcceptFlags): Promise<void> {
  const { instance, epoch, from, to, actor, reason } = acceptance;
  if (to < from) throw new TollbookError('USAGE_INVALID', `--to: found ${to}, allowed: ${from} (--from) or more`);
  await acceptProducerGap(pool, { instance, epoch, from, to, actor, reason });
  printText(
    json === true
      ? `${JSON.stringify({ instance, epoch, from, to })}\n`
      : `accepted the loss of ${to - from + 1} events: numbers ${from} to ${to} of producer ${instance} epoch ${epoch}\n`,
  );
}
