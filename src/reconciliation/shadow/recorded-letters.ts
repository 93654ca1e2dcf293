/**
 * Owns: reading from the dead letters of a batch what no topic tells again: the bounds that were set then, and the messages that
 * could not be charged for an error of the release of then.
 * Does not own: what is made of it (replay-batch.ts).
 */
import type pg from 'pg';
import type { PutAside } from '../../consumers/charge-protocol.js';
import type { LedgerBounds } from '../../consumers/chunk-plan.js';
import type { DeadLetterReason } from '../../ledger/dead-letter.js';
import { parseAmount } from '../../ledger/money.js';
import { type BatchSeal, rowsOf } from '../reconcile/ledger-batches.js';

/** What the dead letters of a batch tell of its time. */
export interface RecordedLetters {
  /** Messages that are put aside again, by offset. */
  readonly putAside: ReadonlyMap<bigint, PutAside>;
  /** A bound that nothing broke made no difference, and is not set. */
  readonly bounds: LedgerBounds;
}

interface LetterRow {
  readonly kafka_offset: string;
  readonly reason: DeadLetterReason;
  readonly detail: string;
  readonly bare: boolean;
  readonly nameless: boolean;
}

const PUT_ASIDE: readonly DeadLetterReason[] = ['PROCESSING_FAILED', 'KEY_NOT_TENANT', 'PRODUCER_NOT_ALLOWED'];
const BY_BOUND: readonly DeadLetterReason[] = ['COST_TOO_LARGE', 'UNKNOWN_TENANT'];
const NO_LETTERS: RecordedLetters = { putAside: new Map(), bounds: {} };

/** Reads the letters of a batch. Throws POSTGRES_*. */
export async function recordedLetters(pool: pg.Pool, batch: BatchSeal): Promise<RecordedLetters> {
  if (batch.counts.deadLetters === 0) return NO_LETTERS;
  const { topic, partition } = batch.source;
  const rows = await rowsOf<LetterRow>(
    pool,
    `SELECT kafka_offset, reason, detail, headers = '{}' AS bare, tenant_id IS NULL AND trace_id IS NULL AS nameless
     FROM dead_letters WHERE topic = $1 AND partition = $2 AND kafka_offset >= $3 AND kafka_offset < $4
       AND reason = ANY ($5)`,
    [topic, partition, batch.firstOffset, batch.nextOffset, [...PUT_ASIDE, ...BY_BOUND]],
  );
  const putAside = new Map(rows.filter(({ reason }) => PUT_ASIDE.includes(reason)).map(asideOf));
  return { putAside, bounds: boundsOf(rows) };
}

function asideOf(row: LetterRow): [bigint, PutAside] {
  const { reason, detail, bare: withoutHeaders, nameless: withoutNames } = row;
  return [BigInt(row.kafka_offset), { reason, detail, withoutHeaders, withoutNames }];
}

function boundsOf(rows: readonly LetterRow[]): LedgerBounds {
  const tooDear = rows.find(({ reason }) => reason === 'COST_TOO_LARGE');
  const allowed = /at most (\S+)/.exec(tooDear?.detail ?? '')?.[1];
  return {
    costMaxNano: allowed === undefined ? undefined : parseAmount(allowed),
    opensNoAccount: rows.some(({ reason }) => reason === 'UNKNOWN_TENANT'),
  };
}
