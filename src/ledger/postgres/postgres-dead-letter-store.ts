/**
 * Owns: the database transaction in which dead letters leave the open state.
 * Does not own: what they come to; the schema, which refuses a second change (migrations/).
 * Invariants: letters are locked in ascending order of their positions, after the cursor and before any account, so that
 * redrives and discards wait for each other and never in a circle; the record is written before the state it allows.
 */
import type pg from 'pg';
import type { LetterAction, LetterPosition, LetterState, StoredLetter } from '../dead-letter.js';
import { letterName } from '../dead-letter.js';
import type { DeadLetterStore, DeadLetterTransaction } from '../dead-letter-store.js';
import { arrayLiteral } from './array-literal.js';
import { inLedgerTransaction } from './database-transaction.js';
import {
  LETTER_ORDER,
  letterOf,
  type LetterRow,
  placeOf,
  type PlaceRow,
  positionArrays,
  type SummaryRow,
} from './dead-letter-rows.js';
import { PostgresLedgerTransaction } from './postgres-ledger-store.js';

/** Dead letters on a pool of PostgreSQL connections. */
export class PostgresDeadLetterStore implements DeadLetterStore {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** {@inheritDoc DeadLetterStore.transact} */
  transact<T>(work: (transaction: DeadLetterTransaction) => Promise<T>, keeps?: (result: T) => boolean): Promise<T> {
    return inLedgerTransaction(this.#pool, (client) => work(transactionOn(client, this.#pool)), keeps);
  }
}

function transactionOn(client: pg.PoolClient, pool: pg.Pool): DeadLetterTransaction {
  return {
    ledger: new PostgresLedgerTransaction(client, pool),
    lockLetters: async (positions): Promise<StoredLetter[]> => {
      const { rows } = await client.query<LetterRow>(lockStatement('d.*'), positionArrays(positions));
      return rows.map(letterOf);
    },
    lockStates: async (positions): Promise<Map<string, LetterState>> => {
      const { rows } = await client.query<PlaceRow & Pick<SummaryRow, 'redrive_state'>>(
        lockStatement(`${LETTER_ORDER}, d.redrive_state`),
        positionArrays(positions),
      );
      return new Map(rows.map((row) => [letterName(placeOf(row)), row.redrive_state]));
    },
    record: (actions) => record(client, actions),
  };
}

function lockStatement(columns: string): string {
  return `SELECT ${columns} FROM dead_letters d
    WHERE (d.topic, d.partition, d.kafka_offset) IN
      (SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[]))
    ORDER BY d.topic, d.partition, d.kafka_offset FOR UPDATE OF d`;
}

async function record(client: pg.ClientBase, actions: readonly LetterAction[]): Promise<void> {
  await insertActions(client, actions);
  for (const state of ['redriven', 'discarded'] as const) {
    await changeState(
      client,
      actions.filter(({ action }) => action === state),
      state,
    );
  }
}

async function insertActions(client: pg.ClientBase, actions: readonly LetterAction[]): Promise<void> {
  const redriven = actions.map((action) => (action.action === 'redriven' ? action : undefined));
  await client.query(
    `INSERT INTO dead_letter_actions (topic, partition, kafka_offset, action, actor, reason, acted_at, outcome,
       tenant_id, trace_id, source_topic, source_partition, source_offset, batch_id, amended_value)
     SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::text[], $6::text[],
       $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::text[], $12::integer[], $13::bigint[], $14::bigint[],
       $15::bytea[])`,
    [
      ...positionArrays(actions),
      arrayLiteral(actions.map(({ action }) => action)),
      arrayLiteral(actions.map(({ actor }) => actor)),
      arrayLiteral(actions.map(({ reason }) => reason)),
      arrayLiteral(actions.map(({ actedAt }) => actedAt)),
      arrayLiteral(redriven.map((action) => action?.outcome ?? null)),
      arrayLiteral(redriven.map((action) => action?.tenantId ?? null)),
      arrayLiteral(redriven.map((action) => action?.traceId ?? null)),
      arrayLiteral(redriven.map((action) => action?.source.topic ?? null)),
      arrayLiteral(redriven.map((action) => action?.source.partition ?? null)),
      arrayLiteral(redriven.map((action) => action?.source.kafkaOffset.toString() ?? null)),
      arrayLiteral(redriven.map((action) => action?.batchId ?? null)),
      redriven.map((action) => action?.amendedValue ?? null),
    ],
  );
}

async function changeState(
  client: pg.ClientBase,
  positions: readonly LetterPosition[],
  state: LetterState,
): Promise<void> {
  if (positions.length === 0) return;
  await client.query(
    `UPDATE dead_letters d SET redrive_state = $4
     FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS w(topic, partition, kafka_offset)
     WHERE d.topic = w.topic COLLATE "C" AND d.partition = w.partition AND d.kafka_offset = w.kafka_offset`,
    [...positionArrays(positions), state],
  );
}
