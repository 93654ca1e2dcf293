/**
 * Owns: the `tollbook account` command group that the account commands share.
 * Does not own: its subcommands.
 * Invariants: a program has one such group, whichever subcommand is registered first.
 */
import type { Command } from 'commander';

const GROUP = 'account';

/** The `account` group of the program, added to it the first time it is asked for. */
export function accountCommand(program: Command): Command {
  return (
    program.commands.find((command) => command.name() === GROUP) ??
    program.command(GROUP).description('open the account of a tenant, and look at it')
  );
}
