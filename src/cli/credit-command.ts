/**
 * Owns: `tollbook credit`: putting money into an account from the command line.
 * Does not own: the command's meaning (ledger/credit.ts); running processes project it.
 */
import type { Command } from 'commander';
import { bookCredit, type CreditResult } from '../ledger/credit.js';
import { type AmountNano, displayAmount, formatAmount } from '../ledger/money.js';
import { PostgresLedgerStore } from '../ledger/postgres/postgres-ledger-store.js';
import { systemClock } from '../runtime/clock.js';
import { loadConfig } from '../runtime/config.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { defaultTerms } from './ledger-process.js';
import { currencyCode, identifier, plainText, positiveAmount } from './option-values.js';

interface CreditFlags {
  readonly amount: AmountNano;
  readonly currency?: string;
  readonly key: string;
  readonly actor: string;
  readonly reason: string;
  readonly json?: boolean;
}

/** Adds `credit` to the program. */
export function registerCreditCommand(program: Command): void {
  program
    .command('credit')
    .description('put money into an account; sending the same command again with its key is safe')
    .argument('<tenant>', 'tenant id; the account opens if there is none', identifier)
    .requiredOption('--amount <decimal>', 'currency units, such as 250.00', positiveAmount)
    .requiredOption('--key <key>', 'idempotency key: names this credit for ever', identifier)
    .requiredOption('--actor <who>', 'who gives the credit', plainText)
    .requiredOption('--reason <text>', 'why', plainText)
    .option('--currency <code>', 'default: TOLLBOOK_DEFAULT_CURRENCY', currencyCode)
    .option('--json', 'print the result as one JSON object')
    .action(async (tenantId: string, flags: CreditFlags) => {
      const result = await credit(tenantId, flags);
      process.stdout.write(flags.json === true ? asJson(tenantId, result) : asSentence(tenantId, flags, result));
    });
}

async function credit(tenantId: string, flags: CreditFlags): Promise<CreditResult & { currency: string }> {
  const config = loadConfig();
  const currency = flags.currency ?? config.defaultCurrency;
  const pool = createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: 'tollbook-credit',
    connectionsMax: 1,
  });
  try {
    const ports = { store: new PostgresLedgerStore(pool), clock: systemClock, terms: defaultTerms(config) };
    const { key, actor, reason, amount } = flags;
    return { ...(await bookCredit(ports, { tenantId, key, actor, reason, currency, amountNano: amount })), currency };
  } finally {
    await pool.end();
  }
}

function asJson(
  tenantId: string,
  { outcome, seq, balanceAfterNano, currency }: CreditResult & { currency: string },
): string {
  return `${JSON.stringify({ tenantId, outcome, seq, balanceAfter: formatAmount(balanceAfterNano), currency })}\n`;
}

function asSentence(tenantId: string, flags: CreditFlags, result: CreditResult & { currency: string }): string {
  const balance = `${displayAmount(result.balanceAfterNano)} ${result.currency}`;
  return result.outcome === 'repeated'
    ? `key ${flags.key} was booked before, as entry ${result.seq}; the balance after it was ${balance}; nothing written\n`
    : `credited ${displayAmount(flags.amount)} ${result.currency} to ${tenantId} as entry ${result.seq}; balance ${balance}\n`;
}
