/**
 * Owns: the port through which projections and proofs read the ledger; everything it returns is committed.
 * Adapters: src/ledger/postgres.
 */
import type { Account } from './account.js';
import type { StreamSource } from './batch.js';
import type { EntryStatus } from './entry.js';
import type { Cursor, TraceKey } from './ledger-store.js';

/** One step in the life of a trace that the ledger has recorded. */
export interface TraceStep extends TraceKey {
  readonly seq: number;
  readonly status: EntryStatus;
}

/** An account at its seq, with the trace steps recorded after `sinceSeq`, all of one snapshot. */
export interface AccountProgress {
  readonly account: Account;
  readonly steps: readonly TraceStep[];
}

/** How far a commit moved a tenant's ledger: the usage steps after `sinceSeq` up to the account's seq. */
export interface LedgerAdvance extends AccountProgress {
  readonly sinceSeq: number;
}

/** Reads committed facts of the ledger. */
export interface LedgerReader {
  /**
   * Accounts with the first `stepsMax` usage steps recorded after a seq of each, in one snapshot; unknown tenants are
   * absent.
   */
  readProgress(
    since: readonly { readonly tenantId: string; readonly sinceSeq: number }[],
    stepsMax: number,
  ): Promise<AccountProgress[]>;
  /** Every recorded step of the given traces. */
  readSteps(traces: readonly TraceKey[]): Promise<TraceStep[]>;
  /** A page of accounts by ascending tenant id, after the given one. */
  pageAccounts(afterTenantId: string, limit: number): Promise<{ readonly tenantId: string; readonly seq: number }[]>;
  /** The accounts of the given tenants; unknown tenants are absent. */
  readAccounts(tenantIds: readonly string[]): Promise<Map<string, Account>>;
  readCursor(source: StreamSource): Promise<Cursor | undefined>;
  readCursors(): Promise<Cursor[]>;
  /** The tenants whose entries the given batches of a source sealed: `fromBatchNo` < batch_no ≤ `toBatchNo`. */
  tenantsOfBatches(source: StreamSource, fromBatchNo: number, toBatchNo: number): Promise<string[]>;
}
