/**
 * Owns: reading entries and sealed batches back in full, as proofs need them.
 * Invariants: keyset pages, so that memory is bounded by the page; values come back exactly as they were hashed.
 */
import type pg from 'pg';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { SealedBatch, StreamSource } from '../batch.js';
import type { EntryStatus, EntryType, LedgerEntry } from '../entry.js';
import { parseAmount } from '../money.js';
import { countOf, safeInteger, type UsageColumns, usageOf } from './rows.js';

/** An entry as stored, with the hash and the seal it was stored with. */
export interface StoredEntry {
  readonly entry: LedgerEntry;
  /** As 64 hexadecimal digits. */
  readonly entryHash: string;
  readonly batchId: number;
  readonly recordedAt: string;
}

/** A row of `ledger_entries`, selected with ENTRY_SELECT. */
export interface EntryRow extends UsageColumns {
  readonly tenant_id: string;
  readonly seq: string;
  readonly trace_id: string;
  readonly type: EntryType;
  readonly status: EntryStatus;
  readonly amount: string;
  readonly balance_before: string;
  readonly balance_after: string;
  readonly held_before: string;
  readonly held_after: string;
  readonly currency: string;
  readonly requests: LedgerEntry['requests'];
  readonly counted_on_text: string | null;
  readonly description: string | null;
  readonly detail: Readonly<Record<string, string>> | null;
  readonly reference_seq: string | null;
  readonly actor: string | null;
  readonly command_hash: string | null;
  readonly source_topic: string;
  readonly source_partition: number;
  readonly source_offset: string;
  readonly occurred_at: Date;
  readonly recorded_at: Date;
  readonly batch_id: string;
  readonly entry_hash: Buffer;
}

/** The select list that makes an EntryRow of `ledger_entries e`. */
export const ENTRY_SELECT = 'e.*, e.counted_on::text AS counted_on_text';

/** A page of entries by (tenant, seq), after the given position. Throws POSTGRES_*. */
export async function pageEntries(
  pool: pg.Pool,
  after: { tenantId: string; seq: number },
  limit: number,
): Promise<StoredEntry[]> {
  return readEntries(
    pool,
    `SELECT ${ENTRY_SELECT} FROM ledger_entries e WHERE (e.tenant_id, e.seq) > ($1 COLLATE "C", $2)
     ORDER BY e.tenant_id, e.seq LIMIT $3`,
    [after.tenantId, after.seq, limit],
  );
}

async function readEntries(pool: pg.Pool, sql: string, values: unknown[]): Promise<StoredEntry[]> {
  try {
    return (await pool.query<EntryRow>(sql, values)).rows.map(storedEntryOf);
  } catch (error) {
    throw translatePostgresError(error);
  }
}

/** Reads an entry with its hash and its seal from its row. */
export function storedEntryOf(row: EntryRow): StoredEntry {
  return {
    entry: {
      tenantId: row.tenant_id,
      seq: safeInteger(row.seq),
      traceId: row.trace_id,
      type: row.type,
      status: row.status,
      amountNano: parseAmount(row.amount),
      balanceBeforeNano: parseAmount(row.balance_before),
      balanceAfterNano: parseAmount(row.balance_after),
      heldBeforeNano: parseAmount(row.held_before),
      heldAfterNano: parseAmount(row.held_after),
      currency: row.currency,
      usage: usageOf(row),
      requests: row.requests,
      countedOn: row.counted_on_text,
      description: row.description,
      detail: row.detail,
      referenceSeq: countOf(row.reference_seq),
      actor: row.actor,
      commandHash: row.command_hash,
      source: { topic: row.source_topic, partition: row.source_partition, kafkaOffset: BigInt(row.source_offset) },
      occurredAt: row.occurred_at.toISOString(),
    },
    entryHash: row.entry_hash.toString('hex'),
    batchId: safeInteger(row.batch_id),
    recordedAt: row.recorded_at.toISOString(),
  };
}

interface BatchRow {
  readonly topic: string;
  readonly partition: number;
  readonly batch_no: string;
  readonly batch_id: string;
  readonly first_offset: string;
  readonly next_offset: string;
  readonly charged: number;
  readonly openings: number;
  readonly duplicates: number;
  readonly superseded: number;
  readonly skipped: number;
  readonly unpriced: number;
  readonly dead_letters: number;
  readonly merkle_root: Buffer;
  readonly aside_root: Buffer;
  readonly prev_hash: Buffer;
  readonly hash: Buffer;
  readonly sealed_at: Date;
}

/** What runs a statement: a pool, or a connection with a snapshot of its own. */
export type Queryable = Pick<pg.ClientBase, 'query'>;

/** A page of the sealed batches of a source by batch_no, after the given one. Throws POSTGRES_*. */
export async function pageBatches(
  queryable: Queryable,
  { source, afterBatchNo }: { source: StreamSource; afterBatchNo: number },
  limit: number,
): Promise<SealedBatch[]> {
  try {
    const { rows } = await queryable.query<BatchRow>(
      `SELECT * FROM ledger_batches WHERE topic = $1 AND partition = $2 AND batch_no > $3 ORDER BY batch_no LIMIT $4`,
      [source.topic, source.partition, afterBatchNo, limit],
    );
    return rows.map(sealedBatchOf);
  } catch (error) {
    throw translatePostgresError(error);
  }
}

/** Finds a batch by its id; undefined when there is none. Throws POSTGRES_*. */
export async function selectBatch(queryable: Queryable, batchId: number): Promise<SealedBatch | undefined> {
  try {
    const { rows } = await queryable.query<BatchRow>('SELECT * FROM ledger_batches WHERE batch_id = $1', [batchId]);
    return rows[0] === undefined ? undefined : sealedBatchOf(rows[0]);
  } catch (error) {
    throw translatePostgresError(error);
  }
}

function sealedBatchOf(row: BatchRow): SealedBatch {
  return {
    source: { topic: row.topic, partition: row.partition },
    batchNo: safeInteger(row.batch_no),
    batchId: safeInteger(row.batch_id),
    firstOffset: BigInt(row.first_offset),
    nextOffset: BigInt(row.next_offset),
    counts: {
      charged: row.charged,
      openings: row.openings,
      duplicates: row.duplicates,
      superseded: row.superseded,
      skipped: row.skipped,
      unpriced: row.unpriced,
      deadLetters: row.dead_letters,
    },
    merkleRoot: row.merkle_root,
    asideRoot: row.aside_root,
    prevHash: row.prev_hash,
    sealedAt: row.sealed_at.toISOString(),
    hash: row.hash,
  };
}
