/**
 * Owns: `tollbook credit | adjust | refund`: the commands that move money by hand.
 * Does not own: what the commands mean (ledger/commands).
 */
import type { Command } from 'commander';
import type { RefundCommand } from '../ledger/commands/command.js';
import type { AmountNano } from '../ledger/money.js';
import { TollbookError } from '../runtime/errors.js';
import {
  amountOf,
  balanceAfter,
  type CommandFlags,
  commandOptions,
  identityOf,
  runLedgerCommand,
} from './ledger-command-run.js';
import { currencyCode, identifier, positiveAmount, signedAmount, wholeNumber } from './option-values.js';

interface AmountFlags extends CommandFlags {
  readonly amount: AmountNano;
  readonly currency?: string;
}

interface RefundFlags extends CommandFlags {
  readonly trace?: string;
  readonly entry?: number;
  readonly amount?: AmountNano;
  readonly currency?: string;
}

const CURRENCY_HELP = 'checked against the account; default: its currency';

/** Adds `credit`, `adjust` and `refund` to the program. */
export function registerMoneyCommands(program: Command): void {
  const creditCommand = program
    .command('credit')
    .description('put money into an account')
    .argument('<tenant>', 'tenant id; the account opens if there is none', identifier)
    .requiredOption('--amount <decimal>', 'currency units, such as 250.00', positiveAmount)
    .option(
      '--currency <code>',
      'checked against the account; for a new one, its currency (TOLLBOOK_DEFAULT_CURRENCY)',
      currencyCode,
    );
  commandOptions(creditCommand).action(credit);
  const adjustCommand = program
    .command('adjust')
    .description('correct a balance; it may become negative')
    .argument('<tenant>', 'tenant id', identifier)
    .requiredOption('--amount <decimal>', 'signed currency units, such as -3.25', signedAmount)
    .option('--currency <code>', CURRENCY_HELP, currencyCode);
  commandOptions(adjustCommand).action(adjust);
  const refundCommand = program
    .command('refund')
    .description('put back what a charge took, and its request once it is refunded in full')
    .argument('<tenant>', 'tenant id', identifier)
    .option('--trace <id>', 'the charged trace', identifier)
    .option('--entry <seq>', 'the entry that charged it, instead of --trace', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--amount <decimal>', 'currency units; default: all that is left', positiveAmount)
    .option('--currency <code>', CURRENCY_HELP, currencyCode);
  commandOptions(refundCommand).action(refund);
}

async function credit(tenantId: string, flags: AmountFlags): Promise<void> {
  await runLedgerCommand(
    { kind: 'credit', ...identityOf(tenantId, flags), ...amountIn(flags) },
    flags,
    (entry) => `credited ${amountOf(entry)} to ${tenantId} as entry ${entry.seq}; balance ${balanceAfter(entry)}`,
  );
}

async function adjust(tenantId: string, flags: AmountFlags): Promise<void> {
  await runLedgerCommand(
    { kind: 'adjust', ...identityOf(tenantId, flags), ...amountIn(flags) },
    flags,
    (entry) =>
      `adjusted the balance of ${tenantId} by ${amountOf(entry)} as entry ${entry.seq}; balance ${balanceAfter(entry)}`,
  );
}

async function refund(tenantId: string, flags: RefundFlags): Promise<void> {
  const { amount, currency } = flags;
  const command: RefundCommand = {
    kind: 'refund',
    ...identityOf(tenantId, flags),
    of: chargeNamed(flags),
    ...(amount === undefined ? {} : { amountNano: amount }),
    ...(currency === undefined ? {} : { currency }),
  };
  await runLedgerCommand(command, flags, (entry) => {
    const request = entry.requests === 0 ? '' : ', and its request';
    const what = `${amountOf(entry)} of entry ${entry.referenceSeq ?? ''}${request}`;
    return `refunded ${what} to ${tenantId} as entry ${entry.seq}; balance ${balanceAfter(entry)}`;
  });
}

function amountIn({ amount, currency }: AmountFlags): { amountNano: AmountNano; currency?: string } {
  return { amountNano: amount, ...(currency === undefined ? {} : { currency }) };
}

function chargeNamed({ trace, entry }: RefundFlags): RefundCommand['of'] {
  if (trace !== undefined && entry === undefined) return { traceId: trace };
  if (trace === undefined && entry !== undefined) return { seq: entry };
  const found = trace === undefined ? 'neither' : 'both';
  throw new TollbookError('USAGE_INVALID', `a refund needs --trace or --entry, one of the two; found: ${found}`);
}
