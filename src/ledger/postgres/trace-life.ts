/**
 * Owns: everything the database says about one trace: its entries, those that refer to them and those they refer to, their
 * seals, and its hold.
 * Does not own: what was set aside of the trace (trace-set-aside.ts).
 * Invariants: every look-up goes by a unique index, references by ledger_entries_reference; none scans with history.
 */
import type pg from 'pg';
import type { EntrySeal, RecordedEntry, TraceEntry, TraceLife } from '../ledger-queries.js';
import type { OpenHold, TraceKey } from '../ledger-store.js';
import { parseAmount } from '../money.js';
import { ENTRY_SELECT, type EntryRow, storedEntryOf } from './proof-rows.js';
import { safeInteger } from './rows.js';
import { readSetAside } from './trace-set-aside.js';

/** Deep enough for a refund of a charge that refers to a failure, with one to spare. */
const REFERENCE_DEPTH_MAX = 3;

/** Reads the life of a trace. */
export async function readTraceLife(client: pg.ClientBase, trace: TraceKey): Promise<TraceLife> {
  const own = await selectEntries(client, 'e.trace_id = $2', [trace.tenantId, trace.traceId]);
  const originals = await selectOriginals(client, trace.tenantId, own);
  const later = await selectLater(client, trace.tenantId, own);
  const related = [...mark(own, 'own'), ...mark(originals, 'original'), ...mark(later, 'later')];
  const seals = await selectSeals(client, related);
  return {
    entries: related
      .map((entry) => ({ ...entry, seal: seals.get(entry.batchId) }))
      .sort((one, other) => one.entry.seq - other.entry.seq),
    hold: await selectHold(client, trace),
    ...(await readSetAside(client, trace)),
  };
}

type RelatedEntry = Omit<TraceEntry, 'seal'>;

function mark(entries: readonly RecordedEntry[], relation: TraceEntry['relation']): RelatedEntry[] {
  return entries.map((entry) => ({ ...entry, relation }));
}

async function selectEntries(client: pg.ClientBase, condition: string, values: unknown[]): Promise<RecordedEntry[]> {
  const { rows } = await client.query<EntryRow>(
    `SELECT ${ENTRY_SELECT} FROM ledger_entries e WHERE e.tenant_id = $1 AND ${condition} ORDER BY e.seq`,
    values,
  );
  return rows.map(storedEntryOf);
}

/** The entries of other traces that those given refer to. */
async function selectOriginals(
  client: pg.ClientBase,
  tenantId: string,
  own: readonly RecordedEntry[],
): Promise<RecordedEntry[]> {
  const known = new Set(own.map(({ entry }) => entry.seq));
  const seqs = own.flatMap(({ entry: { referenceSeq } }) =>
    referenceSeq === null || known.has(referenceSeq) ? [] : [referenceSeq],
  );
  return seqs.length === 0 ? [] : selectEntries(client, 'e.seq = ANY($2)', [tenantId, seqs]);
}

/** The entries that refer to those given, and in turn to these. */
async function selectLater(
  client: pg.ClientBase,
  tenantId: string,
  own: readonly RecordedEntry[],
): Promise<RecordedEntry[]> {
  const known = new Set(own.map(({ entry }) => entry.seq));
  const later: RecordedEntry[] = [];
  let newest = [...known];
  for (let depth = 0; depth < REFERENCE_DEPTH_MAX && newest.length > 0; depth += 1) {
    const referring = await selectEntries(client, 'e.reference_seq = ANY($2)', [tenantId, newest]);
    const found = referring.filter(({ entry }) => !known.has(entry.seq));
    newest = found.map(({ entry }) => entry.seq);
    for (const seq of newest) known.add(seq);
    later.push(...found);
  }
  return later;
}

async function selectSeals(client: pg.ClientBase, entries: readonly RecordedEntry[]): Promise<Map<number, EntrySeal>> {
  const batchIds = [...new Set(entries.map(({ batchId }) => batchId))];
  const { rows } = await client.query<{
    batch_id: string;
    topic: string;
    partition: number;
    batch_no: string;
    hash: Buffer;
    head_no: string;
  }>(
    `SELECT b.batch_id, b.topic, b.partition, b.batch_no, b.hash, c.batch_no AS head_no
     FROM ledger_batches b JOIN stream_cursors c ON c.topic = b.topic AND c.partition = b.partition
     WHERE b.batch_id = ANY($1)`,
    [batchIds],
  );
  return new Map(
    rows.map((row) => [
      safeInteger(row.batch_id),
      {
        batchId: safeInteger(row.batch_id),
        source: { topic: row.topic, partition: row.partition },
        batchNo: safeInteger(row.batch_no),
        hash: row.hash.toString('hex'),
        headBatchNo: safeInteger(row.head_no),
      },
    ]),
  );
}

async function selectHold(client: pg.ClientBase, trace: TraceKey): Promise<OpenHold | undefined> {
  const { rows } = await client.query<{ amount: string; counted_on: string | null; expires_at: Date }>(
    `SELECT amount, counted_on::text AS counted_on, expires_at FROM open_holds WHERE tenant_id = $1 AND trace_id = $2`,
    [trace.tenantId, trace.traceId],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    ...trace,
    amountNano: parseAmount(row.amount),
    countedOn: row.counted_on,
    expiresAt: row.expires_at.toISOString(),
  };
}
