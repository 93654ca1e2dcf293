/**
 * Owns: reading the heads of all chains, and the hashes of single batches, for anchors.
 * Invariants: reads only; every statement goes by a primary key.
 */
import type pg from 'pg';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { StreamSource } from '../batch.js';
import { arrayLiteral } from './array-literal.js';
import { safeInteger } from './rows.js';

/** The last batch of a chain. */
export interface ChainHead {
  readonly source: StreamSource;
  readonly batchNo: number;
  /** As 64 hexadecimal digits. */
  readonly hash: string;
  readonly nextOffset: bigint;
  readonly sealedAt: string;
  readonly clusterId: string;
}

/** One batch of a chain. */
export interface BatchKey {
  readonly source: StreamSource;
  readonly batchNo: number;
}

/** Reads rows of the ledger. */
export type ReadRows = <R extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]) => Promise<R[]>;

/** Reads rows through a pool. Throws POSTGRES_*. */
export function rowsThrough(pool: pg.Pool): ReadRows {
  return async <R extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []) => {
    try {
      return (await pool.query<R>(sql, [...values])).rows;
    } catch (error) {
      throw translatePostgresError(error);
    }
  };
}

/** The heads of all chains that have a batch, by source. */
export async function readHeads(rowsOf: ReadRows): Promise<ChainHead[]> {
  const rows = await rowsOf<{
    topic: string;
    partition: number;
    batch_no: string;
    hash: Buffer;
    next_offset: string;
    sealed_at: Date;
    cluster_id: string;
  }>(
    `SELECT b.topic, b.partition, b.batch_no, b.hash, b.next_offset, b.sealed_at, c.cluster_id
     FROM stream_cursors c JOIN ledger_batches b
       ON b.topic = c.topic AND b.partition = c.partition AND b.batch_no = c.batch_no AND b.hash = c.head
     ORDER BY b.topic, b.partition`,
  );
  return rows.map((row) => ({
    source: { topic: row.topic, partition: row.partition },
    batchNo: safeInteger(row.batch_no),
    hash: row.hash.toString('hex'),
    nextOffset: BigInt(row.next_offset),
    sealedAt: row.sealed_at.toISOString(),
    clusterId: row.cluster_id,
  }));
}

/** The hashes of those of the batches that exist, in the order asked; undefined for one that does not. */
export async function readBatchHashes(rowsOf: ReadRows, keys: readonly BatchKey[]): Promise<(string | undefined)[]> {
  const rows = await rowsOf<{ at: string; hash: Buffer }>(
    `SELECT w.at, b.hash FROM unnest($1::text[], $2::integer[], $3::bigint[]) WITH ORDINALITY
       AS w(topic, partition, batch_no, at)
     JOIN ledger_batches b ON b.topic = w.topic COLLATE "C" AND b.partition = w.partition AND b.batch_no = w.batch_no`,
    [
      arrayLiteral(keys.map(({ source }) => source.topic)),
      arrayLiteral(keys.map(({ source }) => source.partition)),
      arrayLiteral(keys.map(({ batchNo }) => batchNo)),
    ],
  );
  const hashes = new Map(rows.map(({ at, hash }) => [Number(at), hash.toString('hex')]));
  return keys.map((_, index) => hashes.get(index + 1));
}
