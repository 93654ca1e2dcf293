/**
 * Owns: the port through which the charge protocol and the commands reach the ledger.
 * Does not own: any decision. Adapters: src/ledger/postgres.
 * Invariants: everything in one `transact` is written together or not at all; an append whose cursor was advanced by
 * someone else in between fails with FENCED and writes nothing.
 */
import type { Account, AccountTerms } from './account.js';
import type { BatchStamp, SealedBatch, StreamSource } from './batch.js';
import type { CommandRecord, RecordedCommand } from './commands/command-content.js';
import type { ChargedLog } from './charged-log.js';
import type { HashedEntry } from './canonical-entry.js';
import type { LedgerEntry } from './entry.js';
import type { UsageCompleted, UsageEvent } from './events.js';
import type { AmountNano } from './money.js';
import type { PricedVersion, PriceSpan } from './price-book.js';
import type { SealedAside } from './set-aside.js';
import type { TraceState } from './trace.js';

/** How far a source has been charged; the row is lock, fence and position at once. */
export interface Cursor {
  readonly source: StreamSource;
  readonly nextOffset: bigint;
  readonly batchNo: number;
  /** Hash of the last sealed batch; the genesis value before the first. */
  readonly head: Buffer;
  /** The Kafka cluster whose offsets these are. */
  readonly clusterId: string;
  /** The log that was charged; absent for streams that are none of Kafka's. */
  readonly log?: ChargedLog | undefined;
}

/** An account whose row is locked, and when the last entry of its tenant was recorded. */
export interface LockedAccount extends Account {
  /** Milliseconds since the Unix epoch; 0 before the first entry. */
  readonly recordedAtMs: number;
}

/** One trace of one tenant. */
export interface TraceKey {
  readonly tenantId: string;
  readonly traceId: string;
}

/** An account to open when the tenant has none: with these terms, its windows starting at `day` (YYYY-MM-DD). */
export interface AccountOpening {
  readonly tenantId: string;
  readonly currency: string;
  readonly day: string;
  readonly terms: AccountTerms;
}

/** A hold to remember until it is settled or expires. */
export interface OpenHold extends TraceKey {
  readonly amountNano: AmountNano;
  readonly countedOn: string | null;
  readonly expiresAt: string;
}

/** An event that is not billable, and why. */
export interface SkippedEvent {
  readonly kafkaOffset: bigint;
  readonly event: UsageEvent;
  readonly reason: string;
}

/** A completion whose price is missing: parked with all it needs to be charged later. */
export interface UnpricedUsage {
  readonly kafkaOffset: bigint;
  readonly tenantId: string;
  readonly event: UsageEvent;
  readonly meters: readonly string[];
}

/** What one sealed batch writes of its own, but for its entries. */
export interface BatchAppend {
  readonly batch: SealedBatch;
  readonly cursorBefore: Cursor;
  readonly aside: SealedAside;
  /** The commands that became an entry of this batch. */
  readonly commands: readonly CommandRecord[];
  /** What is known of the log once the batch is charged; what is absent or null in it stays as it was. */
  readonly log?: ChargedLog | undefined;
}

/** What the entries of batches that are written together do to accounts and holds. */
export interface Standing {
  /** The accounts the entries changed, at their new seq. */
  readonly accounts: readonly Account[];
  readonly holdsOpened: readonly OpenHold[];
  readonly holdsClosed: readonly TraceKey[];
}

/** Everything that sealed batches write together, but for their entries: one batch a source. */
export interface LedgerAppend extends Standing {
  readonly batches: readonly BatchAppend[];
}

/** The entries of one batch, in the order they are to be written. */
export interface StampedEntries {
  readonly stamp: BatchStamp;
  readonly entries: Iterable<HashedEntry>;
}

/** An idempotency key of one tenant. */
export interface CommandKey {
  readonly tenantId: string;
  readonly key: string;
}

/** One entry of one tenant. */
export interface EntryKey {
  readonly tenantId: string;
  readonly seq: number;
}

/**
 * The ledger inside one database transaction. Order: lockCursors; lockOpenAccounts, or ensureAccounts and lockAccounts; reads;
 * appendEntries, append.
 */
export interface LedgerTransaction {
  /** Locks and returns the cursors of distinct sources, in ascending order; sources without one yet are absent. */
  lockCursors(sources: readonly StreamSource[]): Promise<Cursor[]>;
  /** Creates the cursor of a source at its first offset, locked; returns the one that now exists. */
  createCursor(cursor: Cursor): Promise<Cursor>;
  /**
   * Opens the accounts that are missing, in sorted order; returns the tenants that were opened here. Of the `unopened`, which are
   * not opened here, an account that is not there stays away until the database transaction ends.
   */
  ensureAccounts(openings: readonly AccountOpening[], unopened?: readonly string[]): Promise<ReadonlySet<string>>;
  /** Locks the accounts of all these distinct tenants in sorted order; undefined, and none locked, when one is missing. */
  lockOpenAccounts(tenantIds: readonly string[]): Promise<Map<string, LockedAccount> | undefined>;
  /** Locks accounts in sorted order; tenants without an account are absent from the result. */
  lockAccounts(tenantIds: readonly string[]): Promise<Map<string, LockedAccount>>;
  /** Reads what the ledger says about traces; unknown traces are absent. Keys as `traceKey` writes them. */
  readTraces(traces: readonly TraceKey[]): Promise<Map<string, TraceState>>;
  /** Reads the completions of those of the traces that are parked as unpriced, priced since or not. Keys as `traceKey` writes them. */
  readUnpriced(traces: readonly TraceKey[]): Promise<ReadonlyMap<string, UsageCompleted>>;
  /** Reads the completion of a trace that is parked as unpriced, priced since or not; undefined when none is. */
  readParked(trace: TraceKey): Promise<UsageCompleted | undefined>;
  /** Reads the versions of a price book that are in force within a span, with the prices of the span's models. */
  readPricedVersions(book: string, span: PriceSpan): Promise<PricedVersion[]>;
  /** Returns the command that a key was used for, with its entry; undefined when the key is new. */
  readCommand(key: CommandKey): Promise<RecordedCommand | undefined>;
  /** Reads one entry; undefined when there is none. */
  readEntry(key: EntryKey): Promise<LedgerEntry | undefined>;
  /** Reads every entry of a trace, in the order of their seq. */
  readTraceEntries(trace: TraceKey): Promise<LedgerEntry[]>;
  /** Sums what refunds have put back of an entry. */
  readRefunded(key: EntryKey): Promise<AmountNano>;
  /** Draws batch ids, ascending; call it while the account locks are held. */
  drawBatchIds(count: number): Promise<number[]>;
  /**
   * Writes the entries of batches that are sealed afterwards. Takes them one by one, so that the next are hashed while the
   * database is at work on those before.
   */
  appendEntries(batches: readonly StampedEntries[]): Promise<void>;
  /** Writes sealed batches whose entries are written. Throws FENCED when a cursor is no longer where it was read. */
  append(append: LedgerAppend): Promise<void>;
}

/** A ledger that can be written in database transactions. */
export interface LedgerStore {
  /** Runs `work` in one database transaction: committed when it returns, rolled back when it throws. */
  transact<T>(work: (transaction: LedgerTransaction) => Promise<T>): Promise<T>;
}

/** One string for a trace of a tenant; identifiers contain no blanks, so it is unambiguous. */
export function traceKey({ tenantId, traceId }: TraceKey): string {
  return `${tenantId} ${traceId}`;
}

/** Each trace once, in the order of its first mention. */
export function distinctTraces(traces: readonly TraceKey[]): TraceKey[] {
  const distinct = new Map<string, TraceKey>();
  for (const trace of traces) distinct.set(traceKey(trace), trace);
  return [...distinct.values()];
}
