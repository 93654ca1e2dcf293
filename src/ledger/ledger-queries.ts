/**
 * Owns: the port through which operators read the ledger: accounts, entries and the life of a trace, now or at a past
 * instant.
 * Does not own: how an answer looks (src/cli), nor what Redis says about it. Adapters: src/ledger/postgres.
 * Invariants: every answer is of one snapshot and locks nothing. A past instant is a position in the tenant's ledger: the
 * last entry recorded by then, and all before it. The answer for it does not change as the ledger grows; where recorded
 * times step back, because the clocks of two writers disagree, an entry within that difference falls to either side.
 */
import type { Account } from './account.js';
import type { StreamSource } from './batch.js';
import type { DeadLetterReason } from './dead-letter.js';
import type { EntrySource, EntryStatus, EntryType, LedgerEntry } from './entry.js';
import type { OpenHold, TraceKey } from './ledger-store.js';
import type { AmountNano } from './money.js';

/** An entry as it stands in the ledger, with its hash and the batch that sealed it. */
export interface RecordedEntry {
  readonly entry: LedgerEntry;
  /** As 64 hexadecimal digits. */
  readonly entryHash: string;
  readonly batchId: number;
  readonly recordedAt: string;
}

/** The holds of an account that are neither settled nor expired. */
export interface OpenHolds {
  readonly count: number;
  readonly oldestExpiresAt: string | null;
}

/** An account as of its last entry. */
export interface AccountView {
  readonly account: Account;
  /** When that entry was recorded. */
  readonly recordedAt: string;
  /** Null at a past instant: only the sum of the holds, `heldNano`, is a ledger fact. */
  readonly openHolds: OpenHolds | null;
}

/** What is known of a tenant's account; `notYet`: its first entry was recorded after the instant asked for. */
export type AccountAnswer =
  | { readonly kind: 'found'; readonly view: AccountView }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'notYet'; readonly firstRecordedAt: string };

/** Which accounts to list, in ascending order of tenant ids. */
export interface AccountListing {
  readonly afterTenantId: string;
  readonly limit: number;
  /** Only accounts with less than this available (balance + credit limit − held). */
  readonly availableBelowNano?: AmountNano;
}

/** A page of accounts. */
export interface AccountPage {
  readonly accounts: readonly Account[];
  /** The tenant id to go on after; null at the end. */
  readonly next: string | null;
}

/** Which entries of a tenant; what is absent does not filter. */
export interface EntryFilter {
  readonly type?: EntryType;
  readonly status?: EntryStatus;
  readonly model?: string;
  readonly provider?: string;
  readonly apiKeyId?: string;
  readonly userId?: string;
  readonly projectId?: string;
  /** Only entries that have all of these tags. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Which of its times `since` (included) and `until` (not included) are about. */
  readonly by: 'occurred' | 'recorded';
  readonly since?: string;
  readonly until?: string;
}

/** A page of a tenant's entries to read. */
export interface EntryListing {
  readonly tenantId: string;
  readonly filter: EntryFilter;
  /** Only what was recorded by this instant. */
  readonly at?: string;
  /** Go on after the entry of this seq, in the order of the listing. */
  readonly after?: number;
  readonly limit: number;
  readonly order: 'oldestFirst' | 'newestFirst';
}

/** A page of entries. One page looks at a bounded number of entries, so it may be short, or empty, and yet not the last. */
export interface EntryPage {
  readonly entries: readonly RecordedEntry[];
  /** The seq to go on after; null when nothing is left. */
  readonly next: number | null;
  /** The last entry there was for this listing when the page was read. */
  readonly lastSeq: number;
}

/** The sealed batch of an entry, and where it stands in its chain. */
export interface EntrySeal {
  readonly batchId: number;
  readonly source: StreamSource;
  readonly batchNo: number;
  /** Hash of the batch, as 64 hexadecimal digits. */
  readonly hash: string;
  /** The number of the last batch of the chain. */
  readonly headBatchNo: number;
}

/**
 * An entry in the life of a trace: `own` stands under the trace id; `later` refers to one of those, as a refund does;
 * `original` is what an own entry refers to.
 */
export interface TraceEntry extends RecordedEntry {
  readonly relation: 'own' | 'later' | 'original';
  /** Undefined when no sealed batch covers the entry, which the proof of the chains reports. */
  readonly seal: EntrySeal | undefined;
}

/** A completion of the trace that was parked for want of a price. */
export interface ParkedUsage {
  readonly source: EntrySource;
  /** The meters used without a price. */
  readonly meters: readonly string[];
  readonly recordedAt: string;
}

/** An event of the trace that was not billable. */
export interface SkippedUsage {
  readonly source: EntrySource;
  readonly reason: string;
  readonly recordedAt: string;
}

/** A message of the trace that could not be charged. */
export interface TraceDeadLetter {
  readonly source: EntrySource;
  readonly reason: DeadLetterReason;
  readonly detail: string;
  readonly redriveState: string;
  readonly recordedAt: string;
}

/** Everything the database says about one trace, entries by seq. */
export interface TraceLife {
  readonly entries: readonly TraceEntry[];
  readonly hold: OpenHold | undefined;
  readonly parked: ParkedUsage | undefined;
  readonly skipped: readonly SkippedUsage[];
  readonly deadLetters: readonly TraceDeadLetter[];
}

/** Reads the ledger for operators. Every method throws POSTGRES_*, LEDGER_CORRUPT. */
export interface LedgerQueries {
  /** The account of a tenant, now or as of the last entry recorded by `at`. */
  readAccount(tenantId: string, at?: string): Promise<AccountAnswer>;
  /** A page of accounts. */
  listAccounts(listing: AccountListing): Promise<AccountPage>;
  /** A page of a tenant's entries; undefined when the tenant has no account. */
  listEntries(listing: EntryListing): Promise<EntryPage | undefined>;
  /** The life of a trace; with nothing in it when the trace is unknown. */
  readTrace(trace: TraceKey): Promise<TraceLife>;
}
