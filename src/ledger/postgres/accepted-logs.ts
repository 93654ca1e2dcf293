/**
 * Owns: accepting another log in the place of the one that was charged: the record, and what the cursor knows of its log.
 * Invariants: the record and the cursor change together; the position stays where it is, so that nothing in the ledger gets a
 * position for the second time: the new log is counted on from there (`log_base`).
 */
import type pg from 'pg';
import { TollbookError } from '../../runtime/errors.js';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { StreamSource } from '../batch.js';

/** A log to go on with, from its first offset. */
export interface LogAcceptance {
  readonly source: StreamSource;
  readonly clusterId: string;
  /** The first offset that Kafka has. */
  readonly logStart: bigint;
  /** The id of its topic; null where Kafka gives none. */
  readonly topicId: string | null;
  readonly actor: string;
  readonly reason: string;
}

/** From where on positions are of the accepted log, and what they are above its offsets. */
export interface AcceptedLog {
  readonly fromPosition: bigint;
  readonly base: bigint;
}

/** Accepts a log. Atomic. Throws USAGE_INVALID when the source has no cursor of that cluster, POSTGRES_*. */
export async function acceptLog(
  pool: pg.Pool,
  { source: { topic, partition }, clusterId, logStart, topicId, actor, reason }: LogAcceptance,
): Promise<AcceptedLog> {
  try {
    const { rows } = await pool.query<{ from_position: string; log_base: string }>(
      `WITH moved AS (
         UPDATE stream_cursors SET log_base = next_offset - $4, topic_id = $5, last_position = NULL, last_digest = NULL
         WHERE topic = $1 AND partition = $2 AND cluster_id = $3 RETURNING next_offset, log_base)
       INSERT INTO accepted_logs (topic, partition, from_position, log_base, topic_id, actor, reason)
       SELECT $1, $2, next_offset, log_base, $5, $6, $7 FROM moved RETURNING from_position, log_base`,
      [topic, partition, clusterId, logStart, topicId, actor, reason],
    );
    const [accepted] = rows;
    if (accepted !== undefined) {
      return { fromPosition: BigInt(accepted.from_position), base: BigInt(accepted.log_base) };
    }
  } catch (error) {
    throw translatePostgresError(error);
  }
  throw new TollbookError('USAGE_INVALID', `${topic}/${partition} was never charged: there is no log to replace`, {
    context: { topic, partition, clusterId },
  });
}
