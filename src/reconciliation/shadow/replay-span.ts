/**
 * Owns: which batches a replay begins with, held against what Kafka still has: a chunk whose messages are gone cannot be
 * charged again, so the replay begins after the last such chunk.
 * Invariants: reads only; nothing is skipped in silence: what comes before the first batch is named as taken over.
 */
import type pg from 'pg';
import type { StreamSource } from '../../ledger/batch.js';
import { safeInteger } from '../../ledger/postgres/rows.js';
import { rowsOf } from '../reconcile/ledger-batches.js';

/** The last batch of a source whose first message Kafka no longer has. */
export interface ExpiredBatches {
  readonly source: StreamSource;
  readonly logStart: bigint;
  readonly lastBatchId: number;
}

/** The log of a partition, as far as it matters: where it starts. */
export interface LogStart {
  readonly source: StreamSource;
  readonly start: bigint;
}

/** The sources with batches that cannot be replayed any more, each with the last of them. Throws POSTGRES_*. */
export async function expiredBatches(live: pg.Pool, logs: readonly LogStart[]): Promise<ExpiredBatches[]> {
  const expired: ExpiredBatches[] = [];
  for (const { source, start } of logs) {
    const [row] = await rowsOf<{ last: string | null }>(
      live,
      `SELECT (SELECT batch_id FROM ledger_batches WHERE topic = $1 AND partition = $2 AND first_offset < $3
               ORDER BY batch_no DESC LIMIT 1) AS last`,
      [source.topic, source.partition, start],
    );
    if (row === undefined || row.last === null) continue;
    expired.push({ source, logStart: start, lastBatchId: safeInteger(row.last) });
  }
  return expired;
}

/** The first batch from which on Kafka has everything. */
export function firstReplayable(expired: readonly ExpiredBatches[]): number {
  return expired.reduce((first, { lastBatchId }) => Math.max(first, lastBatchId + 1), 1);
}

/** Where the sources stand before a batch, by topic and partition. Throws POSTGRES_*. */
export async function endsBefore(live: pg.Pool, first: number): Promise<(StreamSource & { readonly end: bigint })[]> {
  const rows = await rowsOf<{ topic: string; partition: number; next_offset: string }>(
    live,
    `SELECT c.topic, c.partition, b.next_offset FROM stream_cursors c
     CROSS JOIN LATERAL (SELECT next_offset FROM ledger_batches WHERE topic = c.topic AND partition = c.partition
       AND batch_id < $1 ORDER BY batch_no DESC LIMIT 1) AS b`,
    [first],
  );
  return rows.map(({ topic, partition, next_offset: end }) => ({ topic, partition, end: BigInt(end) }));
}
