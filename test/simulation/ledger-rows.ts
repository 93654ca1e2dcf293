/**
 * Owns: the committed rows of a simulated ledger: what a database transaction writes at its commit, all of it or nothing.
 * Does not own: locks and transactions (simulated-ledger.ts).
 * Invariants: the keys of the schema hold (entries by seq and by trace and status, commands by key, accounts, cursors);
 * batches have no key of their own, so that the fence alone keeps a chain from forking.
 */
import type { Account } from '../../src/ledger/account.js';
import type { SealedBatch, StreamSource } from '../../src/ledger/batch.js';
import type { CommandRecord } from '../../src/ledger/commands/command-content.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import type { Cursor, EntryKey, LedgerAppend, OpenHold, TraceKey } from '../../src/ledger/ledger-store.js';
import { traceKey } from '../../src/ledger/ledger-store.js';
import { TollbookError } from '../../src/runtime/errors.js';

/** What one database transaction has written and not yet committed. */
export interface PendingWrites {
  readonly cursors: Map<string, Cursor>;
  readonly accounts: Map<string, Account>;
  readonly entries: LedgerEntry[];
  append: LedgerAppend | undefined;
}

/** The tables. */
export class LedgerRows {
  readonly cursors = new Map<string, Cursor>();
  readonly accounts = new Map<string, Account>();
  /** By tenant, in the order of their seq. */
  readonly entries = new Map<string, LedgerEntry[]>();
  readonly batches: SealedBatch[] = [];
  readonly holds = new Map<string, OpenHold>();
  readonly commands = new Map<string, CommandRecord>();
  readonly #isFenced: boolean;
  readonly #accountsAt = new Map<string, Account>();
  readonly #recordedAtMs = new Map<string, number>();

  constructor(isFenced: boolean) {
    this.#isFenced = isFenced;
  }

  entriesOf(tenantId: string): readonly LedgerEntry[] {
    return this.entries.get(tenantId) ?? [];
  }

  entry({ tenantId, seq }: EntryKey): LedgerEntry | undefined {
    return this.entriesOf(tenantId).find((entry) => entry.seq === seq);
  }

  entriesOfTrace({ tenantId, traceId }: TraceKey): LedgerEntry[] {
    return this.entriesOf(tenantId).filter((entry) => entry.traceId === traceId);
  }

  /** The account as it was committed at a seq; undefined when no commit ended there. */
  accountAt(tenantId: string, seq: number): Account | undefined {
    return this.#accountsAt.get(`${tenantId} ${seq}`);
  }

  /** When the last entry of a tenant was recorded; 0 before the first. */
  recordedAtMs(tenantId: string): number {
    return this.#recordedAtMs.get(tenantId) ?? 0;
  }

  /** Throws FENCED unless every cursor is where the writer read it. */
  assertFence({ batches }: LedgerAppend, created: ReadonlyMap<string, Cursor>): void {
    for (const { cursorBefore } of batches) this.#assertUnmoved(cursorBefore, created);
  }

  #assertUnmoved(cursorBefore: Cursor, created: ReadonlyMap<string, Cursor>): void {
    const key = sourceKey(cursorBefore.source);
    const stands = this.cursors.get(key) ?? created.get(key);
    const unmoved = stands?.nextOffset === cursorBefore.nextOffset && stands.batchNo === cursorBefore.batchNo;
    if (!this.#isFenced || unmoved) return;
    throw new TollbookError('FENCED', `another writer advanced ${key} past ${cursorBefore.nextOffset}`);
  }

  /** Throws POSTGRES_CONFLICT when a key is taken. */
  assertKeys({ append, accounts, cursors, entries }: PendingWrites): void {
    const taken = [
      ...[...accounts.keys()].filter((tenantId) => this.accounts.has(tenantId)),
      ...[...cursors.keys()].filter((key) => this.cursors.has(key)),
      ...commandsOf(append)
        .map(commandKey)
        .filter((key) => this.commands.has(key)),
      ...entries.filter((entry) => this.#isTaken(entry)).map(traceKey),
    ];
    if (taken.length > 0) throw new TollbookError('POSTGRES_CONFLICT', `keys taken: ${taken.join(', ')}`);
  }

  /** Writes everything; throws FENCED or POSTGRES_CONFLICT, and writes nothing. */
  commit(writes: PendingWrites): void {
    const { append, accounts, cursors } = writes;
    if (append !== undefined) this.assertFence(append, cursors);
    this.assertKeys(writes);
    for (const [tenantId, account] of accounts) this.accounts.set(tenantId, account);
    for (const [key, cursor] of cursors) this.cursors.set(key, cursor);
    for (const entry of writes.entries) this.#add(entry);
    if (append !== undefined) this.#write(append);
  }

  #add(entry: LedgerEntry): void {
    const known = this.entries.get(entry.tenantId);
    if (known === undefined) this.entries.set(entry.tenantId, [entry]);
    else known.push(entry);
  }

  #write(append: LedgerAppend): void {
    const { batches, accounts, holdsOpened, holdsClosed } = append;
    for (const { batch, cursorBefore, log } of batches) {
      const { source, nextOffset, batchNo, hash } = batch;
      this.cursors.set(sourceKey(source), { ...cursorBefore, nextOffset, batchNo, head: hash, log });
      this.batches.push(batch);
    }
    for (const account of accounts) {
      this.accounts.set(account.tenantId, account);
      this.#accountsAt.set(`${account.tenantId} ${account.seq}`, account);
      this.#recordedAtMs.set(account.tenantId, Date.parse(batches[0]?.batch.sealedAt ?? ''));
    }
    for (const hold of holdsOpened) this.holds.set(traceKey(hold), hold);
    for (const closed of holdsClosed) this.holds.delete(traceKey(closed));
    for (const command of commandsOf(append)) this.commands.set(commandKey(command), command);
  }

  #isTaken(entry: LedgerEntry): boolean {
    return this.entriesOf(entry.tenantId).some(
      ({ seq, traceId, status }) => seq === entry.seq || (traceId === entry.traceId && status === entry.status),
    );
  }
}

function commandsOf(append: LedgerAppend | undefined): CommandRecord[] {
  return (append?.batches ?? []).flatMap(({ commands = [] }) => commands);
}

/** One string for a source. */
export function sourceKey({ topic, partition }: StreamSource): string {
  return `${topic}/${partition}`;
}

/** One string for an idempotency key of a tenant. */
export function commandKey({ tenantId, key }: { readonly tenantId: string; readonly key: string }): string {
  return `${tenantId} ${key}`;
}
