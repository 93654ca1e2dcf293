/**
 * Owns: finding dead letters in PostgreSQL.
 * Invariants: nothing is locked; keyset pages, so that memory is bounded by the page; no value is read but for the one
 * letter whose story is told.
 */
import type pg from 'pg';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { DeadLetterReason, LetterPosition, LetterSummary, StoredLetter } from '../dead-letter.js';
import type {
  DeadLetterReader,
  LetterCount,
  LetterFilter,
  LetterPlace,
  LetterRange,
  LetterStory,
} from '../dead-letter-store.js';
import { selectTraceEntries } from './command-rows.js';
import {
  actionOf,
  type ActionRow,
  conditionsOf,
  LETTER_ORDER,
  letterOf,
  type LetterRow,
  placeCondition,
  placeOf,
  type PlaceRow,
  positionArrays,
  SUMMARY_SELECT,
  summaryOf,
  type SummaryRow,
} from './dead-letter-rows.js';
import { readSnapshot } from './read-snapshot.js';
import { safeInteger } from './rows.js';

/** Reads dead letters through a pool of PostgreSQL connections. */
export class PostgresDeadLetterReader implements DeadLetterReader {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async page(filter: LetterFilter, { after, through, limit }: LetterRange): Promise<LetterSummary[]> {
    const values: unknown[] = [limit];
    const conditions = [
      conditionsOf(filter, values),
      placeCondition('>', after, values),
      placeCondition('<=', through, values),
    ];
    const rows = await this.#rows<SummaryRow>(
      `SELECT ${SUMMARY_SELECT} FROM dead_letters d WHERE ${conditions.join(' AND ')} ORDER BY ${LETTER_ORDER} LIMIT $1`,
      values,
    );
    return rows.map(summaryOf);
  }

  async count(filter: LetterFilter): Promise<LetterCount[]> {
    const values: unknown[] = [];
    const rows = await this.#rows<{ reason: DeadLetterReason; topic: string; letters: string }>(
      `SELECT d.reason, d.topic, count(*) AS letters FROM dead_letters d WHERE ${conditionsOf(filter, values)}
       GROUP BY d.reason, d.topic ORDER BY letters DESC, d.reason, d.topic`,
      values,
    );
    return rows.map(({ reason, topic, letters }) => ({ reason, topic, letters: safeInteger(letters) }));
  }

  async lastPlace(filter: LetterFilter): Promise<LetterPlace | undefined> {
    const values: unknown[] = [];
    const rows = await this.#rows<PlaceRow>(
      `SELECT ${LETTER_ORDER} FROM dead_letters d WHERE ${conditionsOf(filter, values)}
       ORDER BY d.recorded_at DESC, d.topic DESC, d.partition DESC, d.kafka_offset DESC LIMIT 1`,
      values,
    );
    return rows[0] === undefined ? undefined : placeOf(rows[0]);
  }

  async at(positions: readonly LetterPosition[]): Promise<LetterSummary[]> {
    const rows = await this.#rows<SummaryRow>(
      `SELECT ${SUMMARY_SELECT}
       FROM unnest($1::text[], $2::integer[], $3::bigint[]) WITH ORDINALITY AS w(topic, partition, kafka_offset, place)
       JOIN dead_letters d ON d.topic = w.topic COLLATE "C" AND d.partition = w.partition
         AND d.kafka_offset = w.kafka_offset
       ORDER BY w.place`,
      positionArrays(positions),
    );
    return rows.map(summaryOf);
  }

  story(position: LetterPosition): Promise<LetterStory | undefined> {
    return readSnapshot(this.#pool, async (client) => {
      const letter = await selectLetter(client, position);
      if (letter === undefined) return undefined;
      const action = await selectAction(client, position);
      const redriven = action?.action === 'redriven' ? action : undefined;
      const [tenantId, traceId] = [redriven?.tenantId ?? letter.tenantId, redriven?.traceId ?? letter.traceId];
      const isKnown = tenantId !== null && traceId !== null;
      return { letter, action, entries: isKnown ? await selectTraceEntries(client, { tenantId, traceId }) : [] };
    });
  }

  async #rows<R extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<R[]> {
    try {
      return (await this.#pool.query<R>(sql, values)).rows;
    } catch (error) {
      throw translatePostgresError(error);
    }
  }
}

const BY_POSITION = 'topic = $1 AND partition = $2 AND kafka_offset = $3';

async function selectLetter(
  client: pg.ClientBase,
  { topic, partition, kafkaOffset }: LetterPosition,
): Promise<StoredLetter | undefined> {
  const values = [topic, partition, kafkaOffset];
  const { rows } = await client.query<LetterRow>(`SELECT * FROM dead_letters WHERE ${BY_POSITION}`, values);
  return rows[0] === undefined ? undefined : letterOf(rows[0]);
}

async function selectAction(
  client: pg.ClientBase,
  { topic, partition, kafkaOffset }: LetterPosition,
): Promise<LetterStory['action']> {
  const values = [topic, partition, kafkaOffset];
  const { rows } = await client.query<ActionRow>(`SELECT * FROM dead_letter_actions WHERE ${BY_POSITION}`, values);
  return rows[0] === undefined ? undefined : actionOf(rows[0]);
}
