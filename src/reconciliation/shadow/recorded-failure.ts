/**
 * Owns: reading what the ledger recorded of a message that could not be charged for an error of the release of then: it is put
 * aside again, whatever this release would make of it.
 * Does not own: what such a message is (consumers/poison-hunt.ts).
 */
import type pg from 'pg';
import type { ProcessingFailure } from '../../consumers/charge-protocol.js';
import { type BatchSeal, rowsOf } from '../reconcile/ledger-batches.js';

/** The failure that a batch records: it then holds that one message; undefined for any other batch. Throws POSTGRES_*. */
export async function failureOf(pool: pg.Pool, batch: BatchSeal): Promise<ProcessingFailure | undefined> {
  if (batch.counts.deadLetters !== 1) return undefined;
  const { topic, partition } = batch.source;
  const [row] = await rowsOf<{ detail: string; bare: boolean; nameless: boolean }>(
    pool,
    `SELECT detail, headers = '{}' AS bare, tenant_id IS NULL AND trace_id IS NULL AS nameless FROM dead_letters
     WHERE topic = $1 AND partition = $2 AND kafka_offset >= $3 AND kafka_offset < $4 AND reason = 'PROCESSING_FAILED'`,
    [topic, partition, batch.firstOffset, batch.nextOffset],
  );
  if (row === undefined) return undefined;
  const { detail, bare: withoutHeaders, nameless: withoutNames } = row;
  return { detail, withoutHeaders, withoutNames };
}
