/**
 * Owns: random commands about the tenants and traces of usage-histories.ts, giving them to a ledger in memory, and mixing
 * them with usage.
 * Does not own: storage and keys; those are tested on real servers (command-interleaving.test.ts).
 */
import fc from 'fast-check';
import { type CommandFacts, factsOfTrace, NO_FACTS } from '../../src/ledger/commands/command-facts.js';
import type { LedgerCommand } from '../../src/ledger/commands/command.js';
import { decideCommand } from '../../src/ledger/commands/decide-command.js';
import { amountNano } from '../../src/ledger/money.js';
import { type ErrorCode, isTollbookError } from '../../src/runtime/errors.js';
import type { MemoryLedger } from './memory-ledger.js';
import { tightTerms } from './usage-histories.js';

const amounts = fc.bigInt(1n, 40n).map(amountNano);

/** A command without its key, about tenant `tenant-a` or the like. */
export type CommandWithoutKey = LedgerCommand extends infer C
  ? C extends LedgerCommand
    ? Omit<C, 'key'>
    : never
  : never;

function identity(tenants: readonly string[]) {
  return { tenantId: fc.constantFrom(...tenants), actor: fc.constant('ops'), reason: fc.constant('property') };
}

/** Any command but an opening, which every ledger of these tests begins with. */
export function commandsOf(tenants: readonly string[], traceIds: readonly string[]): fc.Arbitrary<CommandWithoutKey> {
  const who = identity(tenants);
  const traces = fc.constantFrom(...traceIds);
  const refundOf = fc.oneof(
    { weight: 3, arbitrary: fc.record({ traceId: traces }) },
    { weight: 1, arbitrary: fc.record({ seq: fc.integer({ min: 1, max: 30 }) }) },
  );
  const kind = <K extends string>(name: K) => fc.constant(name);
  return fc.oneof(
    fc.record({ ...who, kind: kind('credit'), amountNano: amounts }),
    fc.record({ ...who, kind: kind('adjust'), amountNano: fc.constantFrom(-30n, -1n, 7n).map(amountNano) }),
    fc.record({ ...who, kind: kind('limits'), terms: fc.oneof(tightTerms, fc.constant({ dailyQuota: null })) }),
    fc.record({ ...who, kind: kind('refund'), of: refundOf }),
    fc.record({ ...who, kind: kind('refund'), of: refundOf, amountNano: amounts }),
    {
      weight: 4,
      arbitrary: fc.record({ ...who, kind: kind('collect'), traceId: traces, allowNegative: fc.boolean() }),
    },
    fc.record({ ...who, kind: kind('void'), traceId: traces }),
  );
}

/** Gives a command to a ledger in memory; returns what it became, or why it was refused. */
export function give(ledger: MemoryLedger, command: LedgerCommand): 'booked' | ErrorCode {
  const at = ledger.entries.length;
  const source = { topic: '~commands', partition: 0, kafkaOffset: BigInt(at) };
  const origin = { source, occurredAt: '2026-04-02T00:00:00.000Z' };
  try {
    const { entry, account } = decideCommand(ledger.account, command, { origin, facts: factsOf(ledger, command) });
    ledger.account = account;
    ledger.entries.push(entry);
    return 'booked';
  } catch (error) {
    if (isTollbookError(error)) return error.code;
    throw error;
  }
}

/** What the store reads for a command, from entries in memory. */
function factsOf({ entries }: MemoryLedger, command: LedgerCommand): CommandFacts {
  const ofTrace = (traceId: string) => entries.filter((entry) => entry.traceId === traceId);
  if (command.kind === 'collect' || command.kind === 'void') return factsOfTrace(ofTrace(command.traceId));
  if (command.kind !== 'refund') return NO_FACTS;
  const { of } = command;
  const named = 'seq' in of ? entries.find(({ seq }) => seq === of.seq) : undefined;
  const traceId = 'seq' in of ? named?.traceId : of.traceId;
  const facts = traceId === undefined ? NO_FACTS : factsOfTrace(ofTrace(traceId));
  const subject = named ?? facts.subject;
  const refunds = entries.filter(({ type, referenceSeq }) => type === 'REFUND' && referenceSeq === subject?.seq);
  const refundedNano = amountNano(refunds.reduce((sum, refund) => sum + refund.amountNano, 0n));
  return { ...facts, subject, refundedNano };
}
