/**
 * Owns: reading the sealed batches of all sources in the order they were charged, and what else tells which offsets a
 * source has covered: where its chain starts, and the losses an operator accepted.
 * Invariants: reads only; keyset pages, so that memory is bounded by the page.
 */
import type pg from 'pg';
import type { BatchCounts, StreamSource } from '../../ledger/batch.js';
import { safeInteger } from '../../ledger/postgres/rows.js';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { OffsetRange } from '../topic/partition-reader.js';
import { sourceName } from './frozen-ranges.js';

/** A sealed batch as far as it tells what its messages became. */
export interface BatchSeal {
  readonly batchId: number;
  readonly batchNo: number;
  readonly source: StreamSource;
  readonly firstOffset: bigint;
  readonly nextOffset: bigint;
  readonly sealedAt: string;
  readonly counts: BatchCounts;
}

/** A row of `ledger_batches`, selected with BATCH_SEAL_SELECT. */
export interface BatchSealRow {
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
  readonly sealed_at: Date;
}

/** The select list that makes a BatchSealRow of `ledger_batches b`. */
export const BATCH_SEAL_SELECT =
  'b.topic, b.partition, b.batch_no, b.batch_id, b.first_offset, b.next_offset, b.charged, b.openings, b.duplicates, ' +
  'b.superseded, b.skipped, b.unpriced, b.dead_letters, b.sealed_at';

/** Runs a query on the pool. Throws POSTGRES_*. */
export async function rowsOf<R extends pg.QueryResultRow>(
  pool: pg.Pool,
  sql: string,
  values: unknown[] = [],
): Promise<R[]> {
  try {
    return (await pool.query<R>(sql, values)).rows;
  } catch (error) {
    throw translatePostgresError(error);
  }
}

/** A page of batches by batch id, after one and up to another, both of any source. Throws POSTGRES_*. */
export async function pageBatchSeals(
  pool: pg.Pool,
  { after, through }: { readonly after: number; readonly through: number },
  limit: number,
): Promise<BatchSeal[]> {
  const rows = await rowsOf<BatchSealRow>(
    pool,
    `SELECT ${BATCH_SEAL_SELECT} FROM ledger_batches b
     WHERE b.batch_id > $1 AND b.batch_id <= $2 ORDER BY b.batch_id LIMIT $3`,
    [after, through, limit],
  );
  return rows.map(batchSealOf);
}

/** Reads a batch from its row. */
export function batchSealOf(row: BatchSealRow): BatchSeal {
  return {
    batchId: safeInteger(row.batch_id),
    batchNo: safeInteger(row.batch_no),
    source: { topic: row.topic, partition: row.partition },
    firstOffset: BigInt(row.first_offset),
    nextOffset: BigInt(row.next_offset),
    sealedAt: row.sealed_at.toISOString(),
    counts: {
      charged: row.charged,
      openings: row.openings,
      duplicates: row.duplicates,
      superseded: row.superseded,
      skipped: row.skipped,
      unpriced: row.unpriced,
      deadLetters: row.dead_letters,
    },
  };
}

/** The first offset of each chain of some topics, by `sourceName`. Throws POSTGRES_*. */
export async function readChargedStarts(pool: pg.Pool, topics: readonly string[]): Promise<Map<string, bigint>> {
  const rows = await rowsOf<{ topic: string; partition: number; first_offset: string }>(
    pool,
    `SELECT b.topic, b.partition, b.first_offset FROM stream_cursors c
     JOIN ledger_batches b ON b.topic = c.topic AND b.partition = c.partition AND b.batch_no = 1
     WHERE c.topic = ANY($1)`,
    [topics],
  );
  return new Map(rows.map((row) => [sourceName(row), BigInt(row.first_offset)]));
}

/** Between which batches the covered part of some ranges lies: after one batch id, up to and with another. */
export interface BatchSpan {
  readonly after: number;
  readonly through: number;
}

/**
 * The span of batch ids that covers every range: from just before the first batch that reaches into one, to the last
 * batch there is of these sources. Order: looks at the batches of a source before its range. Throws POSTGRES_*.
 */
export async function spanOfRanges(
  pool: pg.Pool,
  ranges: readonly { readonly source: StreamSource; readonly from: bigint; readonly to: bigint }[],
): Promise<BatchSpan> {
  const [row] = await rowsOf<{ first: string | null; last: string | null }>(
    pool,
    `SELECT min(reach.first) AS first, max(reach.last) AS last
     FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS w(topic, partition, start)
     CROSS JOIN LATERAL (
       SELECT (SELECT b.batch_id FROM ledger_batches b WHERE b.topic = w.topic AND b.partition = w.partition
                 AND b.next_offset > w.start ORDER BY b.batch_no LIMIT 1) AS first,
              (SELECT b.batch_id FROM ledger_batches b WHERE b.topic = w.topic AND b.partition = w.partition
                 ORDER BY b.batch_no DESC LIMIT 1) AS last) AS reach`,
    [
      ranges.map(({ source }) => source.topic),
      ranges.map(({ source }) => source.partition),
      ranges.map(({ from }) => from.toString()),
    ],
  );
  if (row === undefined || row.first === null || row.last === null) return { after: 0, through: 0 };
  return { after: safeInteger(row.first) - 1, through: safeInteger(row.last) };
}

/** The losses that operators accepted, by `sourceName`. Throws POSTGRES_*. */
export async function readAcceptedGaps(
  pool: pg.Pool,
  topics: readonly string[],
): Promise<Map<string, readonly OffsetRange[]>> {
  const rows = await rowsOf<{ topic: string; partition: number; from_offset: string; to_offset: string }>(
    pool,
    'SELECT topic, partition, from_offset, to_offset FROM stream_gaps WHERE topic = ANY($1) ORDER BY from_offset',
    [topics],
  );
  const gaps = new Map<string, OffsetRange[]>();
  for (const row of rows) {
    const name = sourceName(row);
    gaps.set(name, [...(gaps.get(name) ?? []), { from: BigInt(row.from_offset), to: BigInt(row.to_offset) }]);
  }
  return gaps;
}
