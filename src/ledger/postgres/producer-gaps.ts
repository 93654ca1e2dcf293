/**
 * Owns: accepting that events of a gateway will never be published: recording their numbers, and reading what was accepted.
 * Does not own: finding the gaps (reconciliation/reconcile/producer-gaps.ts).
 * Invariants: a record is never changed; no number is accepted twice.
 */
import type pg from 'pg';
import { TollbookError } from '../../runtime/errors.js';
import { translatePostgresError } from '../../runtime/postgres.js';

/** Numbers of one start of a gateway, from one to another, both included. */
export interface ProducerGap {
  readonly instance: string;
  readonly epoch: number;
  readonly from: number;
  readonly to: number;
}

/** Numbers that are accepted as lost, by whom and why. */
export interface ProducerGapAcceptance extends ProducerGap {
  readonly actor: string;
  readonly reason: string;
}

/** What was accepted, and when (ISO 8601 UTC). */
export interface AcceptedProducerGap extends ProducerGapAcceptance {
  readonly acceptedAt: string;
}

interface GapRow {
  readonly instance: string;
  readonly epoch: string;
  readonly from_seq: string;
  readonly to_seq: string;
  readonly actor: string;
  readonly reason: string;
  readonly accepted_at: Date;
}

/** Accepts a gap. Atomic. Throws USAGE_INVALID for numbers that were accepted before, POSTGRES_*. */
export async function acceptProducerGap(pool: pg.Pool, acceptance: ProducerGapAcceptance): Promise<void> {
  const { instance, epoch, from, to, actor, reason } = acceptance;
  try {
    const { rowCount } = await pool.query(
      `INSERT INTO producer_gaps (instance, epoch, from_seq, to_seq, actor, reason)
       SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS (
         SELECT FROM producer_gaps WHERE instance = $1 AND epoch = $2 AND from_seq <= $4 AND to_seq >= $3)`,
      [instance, epoch, from, to, actor, reason],
    );
    if (rowCount === 1) return;
  } catch (error) {
    throw translatePostgresError(error);
  }
  throw new TollbookError(
    'USAGE_INVALID',
    `numbers ${from} to ${to} of producer ${instance} epoch ${epoch}: some were accepted before; allowed: numbers that were not`,
    { context: { instance, epoch, from, to } },
  );
}

/** Everything that was accepted, by gateway and number. Throws POSTGRES_*. */
export async function readProducerGaps(pool: pg.Pool): Promise<AcceptedProducerGap[]> {
  try {
    const { rows } = await pool.query<GapRow>('SELECT * FROM producer_gaps ORDER BY instance, epoch, from_seq');
    return rows.map(({ instance, epoch, from_seq, to_seq, actor, reason, accepted_at }) => ({
      ...{ instance, epoch: Number(epoch), from: Number(from_seq), to: Number(to_seq), actor, reason },
      acceptedAt: accepted_at.toISOString(),
    }));
  } catch (error) {
    throw translatePostgresError(error);
  }
}
