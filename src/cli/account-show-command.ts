/**
 * Owns: `tollbook account show | list`: an account, now or as it was, beside what Redis has of it; and the accounts by page.
 * Does not own: how they look (account-documents.ts).
 * Invariants: reads only; Redis is read before the ledger, so that a projection in between does not look like an alarm.
 */
import type { Command } from 'commander';
import type { AccountAnswer, AccountPage, LedgerQueries } from '../ledger/ledger-queries.js';
import type { AmountNano } from '../ledger/money.js';
import { dayOf } from '../ledger/trace.js';
import { systemClock } from '../runtime/clock.js';
import type { Config } from '../runtime/config.js';
import { TollbookError, unreachable } from '../runtime/errors.js';
import { accountCommand } from './account-command.js';
import {
  accountDocument,
  type AccountReport,
  accountReportDocument,
  accountReportText,
  accountTable,
} from './account-documents.js';
import { unknownAccount, withLedgerQueries } from './ledger-reading.js';
import { amountValue, identifier, instantValue, wholeNumber } from './option-values.js';
import { glanceAtQuota } from './quota-glance.js';
import { printJson, printText } from './output.js';

interface ShowFlags {
  readonly at?: string;
  readonly json?: boolean;
}

interface ListFlags {
  readonly limit: number;
  readonly after?: string;
  readonly below?: AmountNano;
  readonly json?: boolean;
}

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 1_000;

/** Adds `account show` and `account list` to the program. */
export function registerAccountShowCommands(program: Command): void {
  const account = accountCommand(program);
  account
    .command('show')
    .description('show what a tenant has, holds and may spend, and whether Redis says the same')
    .argument('<tenant>', 'tenant id', identifier)
    .option('--at <time>', 'as of the last entry recorded by then, RFC 3339', instantValue)
    .option('--json', 'print the account as one JSON object')
    .action(async (tenantId: string, flags: ShowFlags) => {
      const report = await withLedgerQueries('account-show', (queries, config) =>
        readReport(queries, config, { tenantId, at: flags.at }),
      );
      if (flags.json === true) printJson(accountReportDocument(report));
      else printText(accountReportText(report));
    });
  account
    .command('list')
    .description('list accounts by tenant id, a page at a time')
    .option('--limit <n>', 'accounts a page', wholeNumber(1, LIMIT_MAX), LIMIT_DEFAULT)
    .option('--after <tenant>', 'go on after this tenant id', identifier)
    .option('--below <decimal>', 'only accounts with less than this available', amountValue)
    .option('--json', 'print the page as one JSON object; `next` is what --after takes')
    .action(async (flags: ListFlags) => {
      const page = await withLedgerQueries('account-list', (queries) => queries.listAccounts(listingOf(flags)));
      printPage(page, flags.json === true);
    });
}

async function readReport(
  queries: LedgerQueries,
  config: Readonly<Config>,
  { tenantId, at }: { tenantId: string; at: string | undefined },
): Promise<AccountReport> {
  const glance = at === undefined ? await glanceAtQuota(config, tenantId) : null;
  const view = viewIn(await queries.readAccount(tenantId, at), tenantId, at);
  return { view, at: at ?? null, glance, today: utcDay(at === undefined ? systemClock.nowMs() : Date.parse(at)) };
}

function viewIn(answer: AccountAnswer, tenantId: string, at: string | undefined): AccountReport['view'] {
  switch (answer.kind) {
    case 'found':
      return answer.view;
    case 'unknown':
      throw unknownAccount(tenantId);
    case 'notYet':
      throw new TollbookError(
        'ACCOUNT_UNKNOWN',
        `tenant ${tenantId} had no account at ${at}; its first entry was recorded at ${answer.firstRecordedAt}`,
        { context: { tenantId, firstRecordedAt: answer.firstRecordedAt } },
      );
    default:
      return unreachable(answer);
  }
}

/** The UTC day (YYYY-MM-DD) of an instant in milliseconds. */
function utcDay(atMs: number): string {
  return dayOf(new Date(atMs).toISOString());
}

function listingOf({ limit, after, below }: ListFlags): Parameters<LedgerQueries['listAccounts']>[0] {
  return { afterTenantId: after ?? '', limit, ...(below === undefined ? {} : { availableBelowNano: below }) };
}

function printPage({ accounts, next }: AccountPage, json: boolean): void {
  if (json) {
    printJson({ accounts: accounts.map((account) => accountDocument(account, utcDay(systemClock.nowMs()))), next });
    return;
  }
  const none = next === null ? 'no account\n' : `no account up to ${next}\n`;
  printText(accounts.length === 0 ? none : accountTable(accounts));
  if (next !== null) process.stderr.write(`more: --after ${next}\n`);
}
