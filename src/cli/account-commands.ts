/**
 * Owns: `tollbook account open` and `tollbook limits`: opening an account, and changing its terms.
 * Does not own: what the commands mean (ledger/commands).
 */
import { type Command, Option } from 'commander';
import type { AccountTerms, HoldPolicy } from '../ledger/account.js';
import type { LimitsCommand, OpenAccountCommand } from '../ledger/commands/command.js';
import type { AmountNano } from '../ledger/money.js';
import { accountCommand } from './account-command.js';
import { type CommandFlags, commandOptions, identityOf, runLedgerCommand, termsIn } from './ledger-command-run.js';
import { currencyCode, identifier, quotaValue, unsignedAmount } from './option-values.js';

interface TermsFlags extends CommandFlags {
  readonly currency?: string;
  readonly creditLimit?: AmountNano;
  readonly dailyQuota?: number | 'unlimited';
  readonly monthlyQuota?: number | 'unlimited';
  readonly holdPolicy?: HoldPolicy;
}

/** Adds `account open` and `limits` to the program. */
export function registerAccountCommands(program: Command): void {
  const open = accountCommand(program)
    .command('open')
    .description('open the account of a tenant; terms that are left out are the TOLLBOOK_DEFAULT_… settings')
    .argument('<tenant>', 'tenant id', identifier)
    .option('--currency <code>', 'for ever; default: TOLLBOOK_DEFAULT_CURRENCY', currencyCode);
  commandOptions(termOptions(open)).action(openAccount);
  const limits = program
    .command('limits')
    .description('change what an account may spend; terms that are left out stay as they are')
    .argument('<tenant>', 'tenant id', identifier)
    .option('--currency <code>', 'the currency of the credit limit, checked against the account', currencyCode);
  commandOptions(termOptions(limits)).action(changeLimits);
}

function termOptions(command: Command): Command {
  return command
    .option('--credit-limit <decimal>', 'how far the balance may go below zero, in currency units', unsignedAmount)
    .option('--daily-quota <n>', 'requests per UTC day, or unlimited', quotaValue)
    .option('--monthly-quota <n>', 'requests per UTC month, or unlimited', quotaValue)
    .addOption(
      new Option('--hold-policy <policy>', 'hold the estimate of a pending request, or only check it').choices([
        'estimate',
        'none',
      ]),
    );
}

async function openAccount(tenantId: string, flags: TermsFlags): Promise<void> {
  const command: OpenAccountCommand = { kind: 'open-account', ...identityOf(tenantId, flags), ...termsOf(flags) };
  await runLedgerCommand(
    command,
    flags,
    (entry) => `opened account ${tenantId} in ${entry.currency} as entry ${entry.seq}: ${termsIn(entry)}`,
  );
}

async function changeLimits(tenantId: string, flags: TermsFlags): Promise<void> {
  const command: LimitsCommand = { kind: 'limits', ...identityOf(tenantId, flags), ...termsOf(flags) };
  await runLedgerCommand(
    command,
    flags,
    (entry) => `limits of ${tenantId} are now, as of entry ${entry.seq}: ${termsIn(entry)}`,
  );
}

function termsOf({ currency, creditLimit, dailyQuota, monthlyQuota, holdPolicy }: TermsFlags): {
  terms: Partial<AccountTerms>;
  currency?: string;
} {
  return {
    terms: {
      ...(creditLimit === undefined ? {} : { creditLimitNano: creditLimit }),
      ...(dailyQuota === undefined ? {} : { dailyQuota: quotaOf(dailyQuota) }),
      ...(monthlyQuota === undefined ? {} : { monthlyQuota: quotaOf(monthlyQuota) }),
      ...(holdPolicy === undefined ? {} : { holdPolicy }),
    },
    ...(currency === undefined ? {} : { currency }),
  };
}

function quotaOf(quota: number | 'unlimited'): number | null {
  return quota === 'unlimited' ? null : quota;
}
