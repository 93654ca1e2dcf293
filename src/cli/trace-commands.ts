/**
 * Owns: `tollbook collect | void`: the commands that end a trace by hand.
 * Does not own: what the commands mean (ledger/commands).
 */
import type { Command } from 'commander';
import { displayAmount } from '../ledger/money.js';
import {
  amountOf,
  balanceAfter,
  type CommandFlags,
  commandOptions,
  identityOf,
  runLedgerCommand,
} from './ledger-command-run.js';
import { identifier } from './option-values.js';

interface TraceFlags extends CommandFlags {
  readonly trace: string;
  readonly allowNegative?: boolean;
}

/** Adds `collect` and `void` to the program. */
export function registerTraceCommands(program: Command): void {
  const collectCommand = program
    .command('collect')
    .description('charge a FAILED trace now')
    .argument('<tenant>', 'tenant id', identifier)
    .requiredOption('--trace <id>', 'the trace whose charge was refused', identifier)
    .option('--allow-negative', 'charge it even when the balance does not cover it');
  commandOptions(collectCommand).action(collect);
  const voidCommand = program
    .command('void')
    .description('end an open hold without a charge; a completion that still comes is charged as late')
    .argument('<tenant>', 'tenant id', identifier)
    .requiredOption('--trace <id>', 'the trace whose hold is open', identifier);
  commandOptions(voidCommand).action(voidHold);
}

async function collect(tenantId: string, flags: TraceFlags): Promise<void> {
  const { trace: traceId, allowNegative = false } = flags;
  await runLedgerCommand(
    { kind: 'collect', ...identityOf(tenantId, flags), traceId, allowNegative },
    flags,
    (entry) =>
      `collected ${amountOf(entry)} for trace ${traceId} from ${tenantId} as entry ${entry.seq}; ` +
      `balance ${balanceAfter(entry)}`,
  );
}

async function voidHold(tenantId: string, flags: TraceFlags): Promise<void> {
  const { trace: traceId } = flags;
  await runLedgerCommand(
    { kind: 'void', ...identityOf(tenantId, flags), traceId },
    flags,
    (entry) =>
      `voided the hold of ${amountOf(entry)} of trace ${traceId} as entry ${entry.seq}; ` +
      `${tenantId} now holds ${displayAmount(entry.heldAfterNano)} ${entry.currency}`,
  );
}
