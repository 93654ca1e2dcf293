/** Owns: commands, traces and facts for the unit tests of the commands; amounts are in currency units. */
import { type Account, evolve } from '../../../../src/ledger/account.js';
import type { CommandBooking, CommandOrigin } from '../../../../src/ledger/commands/command-entry.js';
import { type CommandFacts, factsOfTrace, NO_FACTS } from '../../../../src/ledger/commands/command-facts.js';
import type { LedgerCommand } from '../../../../src/ledger/commands/command.js';
import { decideCommand } from '../../../../src/ledger/commands/decide-command.js';
import type { LedgerEntry } from '../../../../src/ledger/entry.js';
import { amountNano, parseAmount } from '../../../../src/ledger/money.js';
import { account, charge } from '../usage-samples.js';

/** What every command of these tests carries. */
export const IDENTITY = { tenantId: 'tenant-1', key: 'key-1', actor: 'ops', reason: 'asked by the tenant' };

/** Where the commands of these tests stand, two days after the usage of the samples. */
export const ORIGIN: CommandOrigin = {
  source: { topic: '~commands', partition: 3, kafkaOffset: 9n },
  occurredAt: '2026-03-17T08:00:00.000Z',
};

/** Decides a command on an account with 10 units at seq 7. */
export function decideOn(
  command: LedgerCommand,
  { from = account(), facts = NO_FACTS }: { from?: Account; facts?: CommandFacts } = {},
): CommandBooking {
  return decideCommand(from, command, { origin: ORIGIN, facts });
}

/** One step of a trace; `requests` counts on 2026-03-15 unless another day is named. */
export function step(changes: Partial<LedgerEntry>): LedgerEntry {
  const requests = changes.requests ?? 0;
  return charge({ seq: 4, requests, countedOn: requests === 0 ? null : '2026-03-15', ...changes });
}

/** A hold of 3 units that counted its request. */
export function hold(changes: Partial<LedgerEntry> = {}): LedgerEntry {
  return step({
    ...{ seq: 3, status: 'PENDING', amountNano: parseAmount('3'), requests: 1 },
    ...{ heldBeforeNano: parseAmount('1'), heldAfterNano: parseAmount('4') },
    ...changes,
  });
}

/** The facts about a trace of which `refunded` units have been put back. */
export function factsOf(trace: readonly LedgerEntry[], refunded = '0'): CommandFacts {
  return { ...factsOfTrace(trace), refundedNano: parseAmount(refunded) };
}

/** The account after a booking, folded from the entries themselves. */
export function folded(from: Account, { opening, entry }: CommandBooking): Account {
  return evolve(opening === undefined ? from : evolve(from, opening), entry);
}

/** An amount so large that one nano-unit more is too much. */
export const LARGEST = amountNano(2n ** 63n - 1n);
