/**
 * Owns: doubles of the ledger port around the real store: a writer that dies before its commit, and one that was paused
 * so long that its cursor is stale.
 * Invariants: everything but the fault is the real store's; what was written before the fault is rolled back by it.
 */
import type { Cursor, LedgerStore, LedgerTransaction } from '../../src/ledger/ledger-store.js';
import { TollbookError } from '../../src/runtime/errors.js';

/** Dies after the last write and before the commit, whenever `dies` says so. */
export function crashingBeforeCommit(store: LedgerStore, dies: () => boolean): LedgerStore {
  return {
    transact: (work) =>
      store.transact(async (transaction) => {
        const result = await work(transaction);
        if (dies()) throw new TollbookError('POSTGRES_UNAVAILABLE', 'the connection was cut before the commit');
        return result;
      }),
  };
}

/** Writes as one who read `cursor` long ago and has lost its lock since. */
export function pausedSince(store: LedgerStore, cursor: Cursor): LedgerStore {
  return { transact: (work) => store.transact((transaction) => work(withStaleCursor(transaction, cursor))) };
}

function withStaleCursor(transaction: LedgerTransaction, cursor: Cursor): LedgerTransaction {
  return {
    lockCursors: () => Promise.resolve([cursor]),
    createCursor: (fresh) => transaction.createCursor(fresh),
    ensureAccounts: (openings, unopened) => transaction.ensureAccounts(openings, unopened),
    lockOpenAccounts: (tenantIds) => transaction.lockOpenAccounts(tenantIds),
    lockAccounts: (tenantIds) => transaction.lockAccounts(tenantIds),
    readTraces: (traces) => transaction.readTraces(traces),
    readUnpriced: (traces) => transaction.readUnpriced(traces),
    readParked: (trace) => transaction.readParked(trace),
    readPricedVersions: (book, span) => transaction.readPricedVersions(book, span),
    readCommand: (key) => transaction.readCommand(key),
    readEntry: (key) => transaction.readEntry(key),
    readTraceEntries: (trace) => transaction.readTraceEntries(trace),
    readRefunded: (key) => transaction.readRefunded(key),
    drawBatchIds: (count) => transaction.drawBatchIds(count),
    appendEntries: (batches) => transaction.appendEntries(batches),
    append: (append) => transaction.append(append),
  };
}
