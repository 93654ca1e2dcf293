/** Owns: letting a random history happen to fresh ledgers in memory, and adding up what came of it. */
import fc from 'fast-check';
import type { AccountTerms } from '../../src/ledger/account.js';
import { balanceEffect, type LedgerEntry } from '../../src/ledger/entry.js';
import { deliver, type Happening, type MemoryLedger, openLedger } from './memory-ledger.js';
import { TENANTS, tightBalances, tightTerms } from './usage-histories.js';

/** What a ledger starts with. */
export interface Start {
  readonly terms: AccountTerms;
  readonly balanceNano: bigint;
}

/** Starts that are tight enough to refuse. */
export const tight: fc.Arbitrary<Start> = fc.record({ terms: tightTerms, balanceNano: tightBalances });

/** Lets a history happen to fresh ledgers, calling back after each step. */
export function play(
  start: Start,
  history: readonly Happening[],
  afterStep: (ledger: MemoryLedger) => void = () => undefined,
) {
  const ledgers = new Map(TENANTS.map((tenantId) => [tenantId, openLedger(tenantId, start.terms, start.balanceNano)]));
  for (const [index, happening] of history.entries()) {
    const ledger = ledgers.get(happening.tenantId as (typeof TENANTS)[number])!;
    deliver(ledger, happening, BigInt(index + 1));
    afterStep(ledger);
  }
  return [...ledgers.values()];
}

/** Adds up. */
export function sum(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n);
}

/** The entries of each trace, in order. */
export function perTrace(entries: readonly LedgerEntry[]): LedgerEntry[][] {
  const traces = new Set(entries.map(({ traceId }) => traceId));
  return [...traces].map((traceId) => entries.filter((entry) => entry.traceId === traceId));
}

/** What the entries took in all, in nano-units. */
export function charged(entries: readonly LedgerEntry[]): bigint {
  return -sum(entries.map(balanceEffect));
}
