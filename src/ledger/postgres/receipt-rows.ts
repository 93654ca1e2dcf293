/**
 * Owns: reading what a receipt is made of: the entries of a trace, their batch with its leaves, the head of its chain.
 * Invariants: reads only, with the snapshot of the caller; entries and batches are found by unique indexes, the leaves of
 * a batch by the block index of its id.
 */
import type pg from 'pg';
import { TollbookError } from '../../runtime/errors.js';
import type { SealedBatch } from '../batch.js';
import type { EntryKey, TraceKey } from '../ledger-store.js';
import { ENTRY_SELECT, type EntryRow, selectBatch, type StoredEntry, storedEntryOf } from './proof-rows.js';
import { CURSOR_SELECT, type CursorRow, cursorOf } from './rows.js';

/** The entries of a trace with their seals, by seq. */
export async function selectSealedTrace(client: pg.ClientBase, trace: TraceKey): Promise<StoredEntry[]> {
  const { rows } = await client.query<EntryRow>(
    `SELECT ${ENTRY_SELECT} FROM ledger_entries e
     WHERE e.tenant_id = $1 COLLATE "C" AND e.trace_id = $2 COLLATE "C" ORDER BY e.seq`,
    [trace.tenantId, trace.traceId],
  );
  return rows.map(storedEntryOf);
}

/** The batch of an entry, what lies beside the entry in its tree, and where the chain ends. */
export interface EntryPlace {
  readonly batch: SealedBatch;
  /** The stored hashes in the order of the tree. */
  readonly leaves: readonly string[];
  readonly leafIndex: number;
  readonly head: { readonly batchNo: number; readonly hash: string };
}

/** Finds the place of an entry. Throws LEDGER_CORRUPT when no batch, or no chain, covers it. */
export async function selectPlace(client: pg.ClientBase, { entry, batchId }: StoredEntry): Promise<EntryPlace> {
  const batch = await selectBatch(client, batchId);
  if (batch === undefined) throw corrupt(entry, `is in no sealed batch: there is none with id ${batchId}`);
  const { rows } = await client.query<{ tenant_id: string; seq: string; hash: string }>(
    `SELECT e.tenant_id, e.seq, encode(e.entry_hash, 'hex') AS hash FROM ledger_entries e
     WHERE e.batch_id = $1 ORDER BY e.source_offset, e.seq`,
    [batchId],
  );
  const leafIndex = rows.findIndex((row) => row.tenant_id === entry.tenantId && Number(row.seq) === entry.seq);
  const cursors = await client.query<CursorRow>(
    `SELECT ${CURSOR_SELECT} FROM stream_cursors WHERE topic = $1 AND partition = $2`,
    [batch.source.topic, batch.source.partition],
  );
  if (cursors.rows[0] === undefined) throw corrupt(entry, 'is in a chain that has no cursor');
  const { batchNo, head } = cursorOf(cursors.rows[0]);
  return { batch, leaves: rows.map(({ hash }) => hash), leafIndex, head: { batchNo, hash: head.toString('hex') } };
}

function corrupt({ tenantId, seq }: EntryKey, what: string): TollbookError {
  return new TollbookError('LEDGER_CORRUPT', `entry ${tenantId}#${seq} ${what}: run "tollbook verify"`, {
    context: { tenantId, seq },
  });
}
