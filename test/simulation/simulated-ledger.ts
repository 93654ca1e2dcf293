/**
 * Owns: the ledger port of a simulation: database transactions over rows in memory, with row locks, READ COMMITTED reads,
 * and every statement a step that the scheduler draws. Keeps the contract that PostgreSQL keeps (ledger-store-contract.ts).
 * Does not own: the rows and their keys (ledger-rows.ts), reading outside of transactions (simulated-ledger-reader.ts).
 * Invariants: what is written is seen by nobody before the commit; a process that dies leaves nothing and holds no lock.
 */
import { type Account, emptyAccount } from '../../src/ledger/account.js';
import type { StreamSource } from '../../src/ledger/batch.js';
import type { RecordedCommand } from '../../src/ledger/commands/command-content.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import type * as port from '../../src/ledger/ledger-store.js';
import { traceKey } from '../../src/ledger/ledger-store.js';
import { amountNano, type AmountNano } from '../../src/ledger/money.js';
import type { TraceState } from '../../src/ledger/trace.js';
import { invariant, TollbookError } from '../../src/runtime/errors.js';
import { stateOf } from '../property/memory-ledger.js';
import { commandKey, LedgerRows, type PendingWrites, sourceKey } from './ledger-rows.js';
import type { Removal } from './removals.js';
import { type LockHolder, RowLocks } from './row-locks.js';
import type { SimulatedProcess, StepScheduler } from './step-scheduler.js';

/** How the simulated database behaves, and which safety it does without. */
export interface SimulatedLedgerOptions {
  readonly scheduler: StepScheduler;
  /** Tells whether the answer of the commit now made is lost: it is committed, and the writer does not know. */
  readonly losesAnswer: () => boolean;
  readonly removed: Removal | undefined;
}

/** The ledger of a simulation. */
export class SimulatedLedger implements port.LedgerStore {
  readonly rows: LedgerRows;
  readonly locks: RowLocks;
  readonly options: SimulatedLedgerOptions;
  readonly #open = new Set<SimulatedTransaction>();
  #batchId = 0;

  constructor(options: SimulatedLedgerOptions) {
    this.options = options;
    this.rows = new LedgerRows(options.removed !== 'fence');
    this.locks = new RowLocks(options.scheduler);
  }

  async transact<T>(work: (transaction: port.LedgerTransaction) => Promise<T>): Promise<T> {
    const { scheduler, losesAnswer } = this.options;
    const transaction = new SimulatedTransaction(this, scheduler.running);
    this.#open.add(transaction);
    try {
      await scheduler.step();
      const result = await work(transaction);
      await scheduler.step();
      transaction.commit();
      this.#end(transaction);
      await scheduler.step();
      if (losesAnswer()) throw new TollbookError('POSTGRES_UNAVAILABLE', 'the answer of the commit was lost');
      return result;
    } finally {
      this.#end(transaction);
    }
  }

  /** Ends the sessions of a process without commit: it died, or its connections were cut. */
  cut(process: SimulatedProcess): void {
    for (const transaction of this.#of(process)) {
      transaction.isCut = true;
      this.#end(transaction);
    }
  }

  /** The sessions of a process lose their row locks and do not know it: what the fence is for. Rows inserted stay theirs. */
  loseLocks(process: SimulatedProcess): void {
    for (const transaction of this.#of(process)) this.locks.release(transaction, transaction.inserted());
  }

  /** The next batch id; like a sequence it never goes back. */
  nextBatchId(): number {
    this.#batchId += 1;
    return this.#batchId;
  }

  #of(process: SimulatedProcess): SimulatedTransaction[] {
    return [...this.#open].filter((transaction) => transaction.process === process);
  }

  #end(transaction: SimulatedTransaction): void {
    this.#open.delete(transaction);
    this.locks.forget(transaction);
  }
}

class SimulatedTransaction implements port.LedgerTransaction, LockHolder {
  readonly process: SimulatedProcess;
  isCut = false;
  readonly #ledger: SimulatedLedger;
  readonly #writes: PendingWrites = { cursors: new Map(), accounts: new Map(), entries: [], append: undefined };

  constructor(ledger: SimulatedLedger, process: SimulatedProcess) {
    this.#ledger = ledger;
    this.process = process;
  }

  assertOpen(): void {
    if (this.isCut) throw new TollbookError('POSTGRES_UNAVAILABLE', 'the connection was cut');
  }

  commit(): void {
    this.assertOpen();
    this.#ledger.rows.commit(this.#writes);
  }

  inserted(): ReadonlySet<string> {
    const { cursors, accounts } = this.#writes;
    return new Set([...cursors.keys()].map(cursorRow).concat([...accounts.keys()].map(accountRow)));
  }

  async lockCursors(sources: readonly StreamSource[]): Promise<port.Cursor[]> {
    await this.#statement();
    const known = sources.map(sourceKey).filter((key) => this.#cursor(key) !== undefined);
    const locked: port.Cursor[] = [];
    for (const key of this.#inLockOrder(known, (name) => name)) {
      await this.#ledger.locks.lock(this, cursorRow(key));
      const cursor = this.#cursor(key);
      if (cursor !== undefined) locked.push(cursor);
    }
    return locked;
  }

  async createCursor(cursor: port.Cursor): Promise<port.Cursor> {
    const key = sourceKey(cursor.source);
    await this.#ledger.locks.lock(this, cursorRow(key));
    if (this.#cursor(key) === undefined) this.#writes.cursors.set(key, cursor);
    return this.#cursor(key) ?? cursor;
  }

  async ensureAccounts(openings: readonly port.AccountOpening[]): Promise<ReadonlySet<string>> {
    await this.#statement();
    const missing = openings.filter(({ tenantId }) => this.#account(tenantId) === undefined);
    const opened = new Set<string>();
    for (const opening of this.#inLockOrder(missing, ({ tenantId }) => tenantId)) {
      const row = accountRow(opening.tenantId);
      await this.#ledger.locks.lock(this, row);
      if (this.#account(opening.tenantId) !== undefined) {
        this.#ledger.locks.unlock(row); // ON CONFLICT DO NOTHING waits for who inserts the row, and locks nothing
      } else {
        this.#writes.accounts.set(opening.tenantId, emptyAccount(opening, opening.terms));
        opened.add(opening.tenantId);
      }
    }
    return opened;
  }

  async lockOpenAccounts(tenantIds: readonly string[]): Promise<Map<string, port.LockedAccount> | undefined> {
    if (tenantIds.some((tenantId) => this.#account(tenantId) === undefined)) return this.#statement();
    return this.lockAccounts(tenantIds);
  }

  async lockAccounts(tenantIds: readonly string[]): Promise<Map<string, port.LockedAccount>> {
    await this.#statement();
    const known = tenantIds.filter((tenantId) => this.#account(tenantId) !== undefined);
    const locked = new Map<string, port.LockedAccount>();
    for (const tenantId of this.#inLockOrder(known, (name) => name)) {
      await this.#ledger.locks.lock(this, accountRow(tenantId));
      const account = this.#account(tenantId);
      if (account === undefined) continue;
      locked.set(tenantId, { ...account, recordedAtMs: this.#ledger.rows.recordedAtMs(tenantId) });
    }
    return locked;
  }

  async readTraces(traces: readonly port.TraceKey[]): Promise<Map<string, TraceState>> {
    await this.#statement();
    const states = traces.flatMap((trace): [string, TraceState][] => {
      const account = this.#account(trace.tenantId);
      const entries = this.#ledger.rows.entriesOfTrace(trace);
      if (account === undefined || entries.length === 0) return [];
      return [[traceKey(trace), stateOf({ opened: account, account, entries }, trace.traceId)]];
    });
    return new Map(states);
  }

  /** No simulated event lacks its price. */
  readUnpriced(): Promise<ReadonlyMap<string, never>> {
    return this.#statement().then(() => new Map<string, never>());
  }

  readParked(): Promise<undefined> {
    return this.#statement();
  }

  readPricedVersions(): Promise<[]> {
    return this.#statement().then(() => []);
  }

  async readCommand(key: port.CommandKey): Promise<RecordedCommand | undefined> {
    await this.#statement();
    const record = this.#ledger.rows.commands.get(commandKey(key));
    if (record === undefined) return undefined;
    const entry = this.#ledger.rows.entry({ tenantId: key.tenantId, seq: record.seq });
    invariant(entry !== undefined, 'every command has its entry');
    return { ...record, entry };
  }

  async readEntry(key: port.EntryKey): Promise<LedgerEntry | undefined> {
    await this.#statement();
    return this.#ledger.rows.entry(key);
  }

  async readTraceEntries(trace: port.TraceKey): Promise<LedgerEntry[]> {
    await this.#statement();
    return this.#ledger.rows.entriesOfTrace(trace);
  }

  async readRefunded({ tenantId, seq }: port.EntryKey): Promise<AmountNano> {
    await this.#statement();
    const refunds = this.#ledger.rows
      .entriesOf(tenantId)
      .filter(({ type, referenceSeq }) => type === 'REFUND' && referenceSeq === seq);
    return amountNano(refunds.reduce((sum, refund) => sum + refund.amountNano, 0n));
  }

  async drawBatchIds(count: number): Promise<number[]> {
    await this.#statement();
    return Array.from({ length: count }, () => this.#ledger.nextBatchId());
  }

  async appendEntries(batches: readonly port.StampedEntries[]): Promise<void> {
    await this.#statement();
    for (const { entries } of batches) this.#writes.entries.push(...Array.from(entries, ({ entry }) => entry));
    this.#ledger.rows.assertKeys(this.#writes);
  }

  async append(append: port.LedgerAppend): Promise<void> {
    await this.#statement();
    this.#writes.append = append;
    this.#ledger.rows.assertKeys(this.#writes);
    this.#ledger.rows.assertFence(append, this.#writes.cursors);
  }

  async #statement(): Promise<undefined> {
    await this.#ledger.options.scheduler.step();
    this.assertOpen();
  }

  #cursor(key: string): port.Cursor | undefined {
    return this.#ledger.rows.cursors.get(key) ?? this.#writes.cursors.get(key);
  }

  #account(tenantId: string): Account | undefined {
    return this.#ledger.rows.accounts.get(tenantId) ?? this.#writes.accounts.get(tenantId);
  }

  #inLockOrder<T>(rows: readonly T[], keyOf: (row: T) => string): readonly T[] {
    if (this.#ledger.options.removed === 'lock order') return rows;
    return [...rows].sort((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
  }
}

function cursorRow(key: string): string {
  return `cursor ${key}`;
}

function accountRow(tenantId: string): string {
  return `account ${tenantId}`;
}
