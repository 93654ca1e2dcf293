/**
 * Owns: reading, in a proof snapshot, what the chains of batches are held against: cursors, accepted gaps, and the names
 * of entries that do not fit their batch.
 * Invariants: reads only; names are bounded by a limit.
 */
import type { SealedBatch, StreamSource } from '../batch.js';
import type { Cursor, EntryKey } from '../ledger-store.js';
import { type ProofScope, sourcesIn } from './proof-scope.js';
import type { ProofSnapshot } from './proof-snapshot.js';
import { CURSOR_SELECT, type CursorRow, cursorOf, safeInteger } from './rows.js';

/** The cursors of a scope. Throws POSTGRES_*. */
export async function readCursorsOf(snapshot: ProofSnapshot, scope: ProofScope): Promise<Cursor[]> {
  const rows = await snapshot.rows<CursorRow>(
    `SELECT ${CURSOR_SELECT} FROM stream_cursors c WHERE ${sourcesIn(scope, 'c')} ORDER BY c.topic, c.partition`,
  );
  return rows.map(cursorOf);
}

/** A range of offsets whose loss was accepted: from, up to, not including, to. */
export interface AcceptedGap {
  readonly source: StreamSource;
  readonly from: bigint;
  readonly to: bigint;
}

/** The accepted gaps of a scope. Throws POSTGRES_*. */
export async function readGapsOf(snapshot: ProofSnapshot, scope: ProofScope): Promise<AcceptedGap[]> {
  const rows = await snapshot.rows<{ topic: string; partition: number; from_offset: string; to_offset: string }>(
    `SELECT g.topic, g.partition, g.from_offset, g.to_offset FROM stream_gaps g WHERE ${sourcesIn(scope, 'g')}`,
  );
  return rows.map(({ topic, partition, from_offset: from, to_offset: to }) => ({
    source: { topic, partition },
    from: BigInt(from),
    to: BigInt(to),
  }));
}

/** Entries that name a batch as theirs, whether there is one or not, at most `limit`. Throws POSTGRES_*. */
export async function entriesNaming(snapshot: ProofSnapshot, batchId: number, limit: number): Promise<EntryKey[]> {
  const rows = await snapshot.rows<KeyRow>(
    'SELECT e.tenant_id, e.seq FROM ledger_entries e WHERE e.batch_id = $1 ORDER BY e.tenant_id, e.seq LIMIT $2',
    [batchId, limit],
  );
  return rows.map(keyOf);
}

/** Entries of a batch whose source, position or time of recording is not that of the batch. Throws POSTGRES_*. */
export async function entriesBeside(
  snapshot: ProofSnapshot,
  { batchId, source, firstOffset, nextOffset, sealedAt }: SealedBatch,
  limit: number,
): Promise<EntryKey[]> {
  const rows = await snapshot.rows<KeyRow>(
    `SELECT e.tenant_id, e.seq FROM ledger_entries e
     WHERE e.batch_id = $1 AND NOT (e.source_topic = $2 AND e.source_partition = $3 AND e.source_offset >= $4
       AND e.source_offset < $5 AND e.recorded_at = $6)
     ORDER BY e.tenant_id, e.seq LIMIT $7`,
    [batchId, source.topic, source.partition, firstOffset, nextOffset, sealedAt, limit],
  );
  return rows.map(keyOf);
}

interface KeyRow {
  readonly tenant_id: string;
  readonly seq: string;
}

function keyOf({ tenant_id: tenantId, seq }: KeyRow): EntryKey {
  return { tenantId, seq: safeInteger(seq) };
}
