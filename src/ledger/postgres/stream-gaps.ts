/**
 * Owns: accepting a gap: recording that Kafka lost a range before the ledger read it, and moving the cursor past it.
 * Invariants: the record and the cursor move together; a cursor never moves back, and never without a record.
 */
import type pg from 'pg';
import { TollbookError } from '../../runtime/errors.js';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { StreamSource } from '../batch.js';

/** A loss to accept: from the cursor up to, not including, `toOffset`. */
export interface GapAcceptance {
  readonly source: StreamSource;
  readonly toOffset: bigint;
  readonly actor: string;
  readonly reason: string;
}

/** Accepts a gap and returns its first offset. Atomic. Throws USAGE_INVALID when the cursor is not before `toOffset`. */
export async function acceptGap(pool: pg.Pool, { source, toOffset, actor, reason }: GapAcceptance): Promise<bigint> {
  const { topic, partition } = source;
  try {
    const { rows } = await pool.query<{ from_offset: string }>(
      `WITH behind AS (
         SELECT next_offset FROM stream_cursors WHERE topic = $1 AND partition = $2 AND next_offset < $3 FOR UPDATE),
       moved AS (
         UPDATE stream_cursors SET next_offset = $3
         WHERE topic = $1 AND partition = $2 AND EXISTS (SELECT FROM behind))
       INSERT INTO stream_gaps (topic, partition, from_offset, to_offset, actor, reason)
       SELECT $1, $2, next_offset, $3, $4, $5 FROM behind RETURNING from_offset`,
      [topic, partition, toOffset, actor, reason],
    );
    const accepted = rows[0];
    if (accepted !== undefined) return BigInt(accepted.from_offset);
  } catch (error) {
    throw translatePostgresError(error);
  }
  throw new TollbookError(
    'USAGE_INVALID',
    `${topic}/${partition} has no cursor before offset ${toOffset}: nothing to accept`,
    {
      context: { topic, partition, toOffset },
    },
  );
}
