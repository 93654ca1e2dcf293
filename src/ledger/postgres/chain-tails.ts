/**
 * Owns: reading the ends of batch chains in PostgreSQL, for whoever remembers them.
 * Invariants: reads only, by primary keys; at most `batchesMax` batches of each chain.
 */
import type { StreamSource } from '../batch.js';
import type { ReadRows } from './anchor-rows.js';
import { arrayLiteral } from './array-literal.js';
import { safeInteger } from './rows.js';

/** A batch at the end of a chain. */
export interface TailBatch {
  readonly source: StreamSource;
  readonly batchNo: number;
  /** As 64 hexadecimal digits. */
  readonly hash: string;
  readonly sealedAt: string;
  /** Whether it has commands; else what it did is done again by itself or by an operator. */
  readonly hasCommands: boolean;
}

/** What of the chains is known already: the last batch of each. */
export type SeenBatch = Pick<TailBatch, 'source' | 'batchNo'>;

/** What tells a database from the one that was there before: when its server started, and when it was created on it. Throws POSTGRES_*. */
export async function readDatabaseIdentity(rowsOf: ReadRows): Promise<string> {
  const [row] = await rowsOf<{ identity: string }>(
    `SELECT pg_postmaster_start_time()::text || '/' || d.oid AS identity
     FROM pg_database d WHERE d.datname = current_database()`,
  );
  return row?.identity ?? '';
}

/** The last batches of the chains of some topics that were not seen yet, each chain in its order. Throws POSTGRES_*. */
export async function readChainTails(
  rowsOf: ReadRows,
  { topics, seen, batchesMax }: { topics: readonly string[]; seen: readonly SeenBatch[]; batchesMax: number },
): Promise<TailBatch[]> {
  const rows = await rowsOf<{
    topic: string;
    partition: number;
    batch_no: string;
    hash: Buffer;
    sealed_at: Date;
    has_commands: boolean;
  }>(
    `SELECT b.topic, b.partition, b.batch_no, b.hash, b.sealed_at,
       EXISTS (SELECT FROM ledger_commands k WHERE k.batch_id = b.batch_id) AS has_commands
     FROM stream_cursors c
     LEFT JOIN unnest($2::text[], $3::integer[], $4::bigint[]) AS w(topic, partition, seen)
       ON w.topic = c.topic AND w.partition = c.partition
     JOIN ledger_batches b ON b.topic = c.topic AND b.partition = c.partition
       AND b.batch_no > greatest(coalesce(w.seen, 0), c.batch_no - $5)
     WHERE c.topic = ANY($1) ORDER BY b.topic, b.partition, b.batch_no`,
    [
      arrayLiteral(topics),
      arrayLiteral(seen.map(({ source }) => source.topic)),
      arrayLiteral(seen.map(({ source }) => source.partition)),
      arrayLiteral(seen.map(({ batchNo }) => batchNo)),
      batchesMax,
    ],
  );
  return rows.map((row) => ({
    source: { topic: row.topic, partition: row.partition },
    batchNo: safeInteger(row.batch_no),
    hash: row.hash.toString('hex'),
    sealedAt: row.sealed_at.toISOString(),
    hasCommands: row.has_commands,
  }));
}
