/**
 * Owns: the port through which audits and rebuilds read the ledger: pages of tenants, and accounts as they were at a seq.
 * Adapters: src/ledger/postgres.
 * Invariants: everything returned is committed, and nothing is locked.
 */
import type { Account } from './account.js';
import type { AmountNano } from './money.js';

/** A tenant, and a seq of its ledger; null asks for the account of now alone. */
export interface AccountAsked {
  readonly tenantId: string;
  readonly seq: number | null;
}

/** The last entry of a tenant: what it left, and when it was recorded. */
export interface LastEntry {
  readonly balanceNano: AmountNano;
  readonly heldNano: AmountNano;
  readonly recordedAt: string;
}

/** A tenant's account now and at the seq asked for, as of one snapshot. */
export interface AccountStanding {
  readonly account: Account;
  /** What the last entry left; null when it is missing. An account that says something else was changed by hand. */
  readonly lastEntry: LastEntry | null;
  /** The account as the entries up to the seq asked for left it; null when the ledger has not come so far, or is corrupt. */
  readonly then: Account | null;
  /** Why the account at that seq cannot be told: an entry is missing. */
  readonly corrupt: string | null;
  /** When the entry at that seq was recorded; null when there is none. */
  readonly recordedAt: string | null;
  /** When the entry after that seq was recorded; null when it is the last one. */
  readonly nextRecordedAt: string | null;
}

/** Reads the past of accounts. Every method throws POSTGRES_*, LEDGER_CORRUPT. */
export interface LedgerHistory {
  /** The standings of the given tenants, each named once; unknown tenants are absent. */
  readStandings(asked: readonly AccountAsked[]): Promise<ReadonlyMap<string, AccountStanding>>;
  /** How many accounts there are after a tenant (an empty id: in all), and entries in them. */
  countLedger(afterTenantId?: string): Promise<{ readonly accounts: number; readonly entries: number }>;
  /** `count` tenants drawn at random, all when there are fewer. */
  sampleTenants(count: number): Promise<readonly string[]>;
}
