/**
 * Owns: the mapping between rows of `dead_letters` and `dead_letter_actions` and the types of the ledger, and the
 * conditions of a filter.
 * Invariants: a filter's order is that of its indexes: (recorded_at, topic, partition, kafka_offset).
 */
import type {
  DeadLetterReason,
  LetterAction,
  LetterPosition,
  LetterState,
  LetterSummary,
  RedriveOutcome,
  StoredLetter,
} from '../dead-letter.js';
import { letterName } from '../dead-letter.js';
import type { LetterFilter, LetterPlace } from '../dead-letter-store.js';
import { invariant } from '../../runtime/errors.js';
import { arrayLiteral } from './array-literal.js';
import { safeInteger } from './rows.js';

/** The columns that order dead letters: oldest first, then by position. */
export const LETTER_ORDER = 'd.recorded_at, d.topic, d.partition, d.kafka_offset';

/** A row with the columns of LETTER_ORDER. */
export interface PlaceRow {
  readonly topic: string;
  readonly partition: number;
  readonly kafka_offset: string;
  readonly recorded_at: Date;
}

/** A row of `dead_letters` without its bytes, selected with SUMMARY_SELECT. */
export interface SummaryRow extends PlaceRow {
  readonly reason: DeadLetterReason;
  readonly detail: string;
  readonly tenant_id: string | null;
  readonly trace_id: string | null;
  readonly event_id: string | null;
  readonly redrive_state: LetterState;
  readonly value_bytes: number;
}

/** The select list that makes a SummaryRow of `dead_letters d`; the length of a value is known without reading it. */
export const SUMMARY_SELECT =
  'd.topic, d.partition, d.kafka_offset, d.reason, d.detail, d.tenant_id, d.trace_id, d.event_id, d.redrive_state, ' +
  'd.recorded_at, coalesce(octet_length(d.message_value), 0) AS value_bytes';

/** Reads a dead letter without its bytes from its row. */
export function summaryOf(row: SummaryRow): LetterSummary {
  return {
    ...placeOf(row),
    reason: row.reason,
    detail: row.detail,
    tenantId: row.tenant_id,
    traceId: row.trace_id,
    eventId: row.event_id,
    state: row.redrive_state,
    valueBytes: row.value_bytes,
  };
}

/** Reads the place of a dead letter from the columns of LETTER_ORDER. */
export function placeOf(row: PlaceRow): LetterPlace {
  const { topic, partition } = row;
  return { topic, partition, kafkaOffset: BigInt(row.kafka_offset), recordedAt: row.recorded_at.toISOString() };
}

/** A whole row of `dead_letters`. */
export interface LetterRow extends PlaceRow {
  readonly message_key: Buffer | null;
  readonly message_value: Buffer | null;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly reason: DeadLetterReason;
  readonly detail: string;
  readonly tenant_id: string | null;
  readonly trace_id: string | null;
  readonly event_id: string | null;
  readonly batch_id: string;
  readonly redrive_state: LetterState;
}

/** Reads a dead letter from its row. */
export function letterOf(row: LetterRow): StoredLetter {
  return {
    ...placeOf(row),
    key: row.message_key,
    value: row.message_value,
    headers: row.headers,
    reason: row.reason,
    detail: row.detail,
    tenantId: row.tenant_id,
    traceId: row.trace_id,
    eventId: row.event_id,
    state: row.redrive_state,
    batchId: safeInteger(row.batch_id),
  };
}

/** A row of `dead_letter_actions`. */
export interface ActionRow {
  readonly topic: string;
  readonly partition: number;
  readonly kafka_offset: string;
  readonly action: LetterAction['action'];
  readonly actor: string;
  readonly reason: string | null;
  readonly acted_at: Date;
  readonly outcome: RedriveOutcome | null;
  readonly tenant_id: string | null;
  readonly trace_id: string | null;
  readonly source_topic: string | null;
  readonly source_partition: number | null;
  readonly source_offset: string | null;
  readonly batch_id: string | null;
  readonly amended_value: Buffer | null;
}

/** Reads the record of what became of a dead letter from its row. */
export function actionOf(row: ActionRow): LetterAction {
  const { topic, partition, actor, reason } = row;
  const shared = {
    topic,
    partition,
    kafkaOffset: BigInt(row.kafka_offset),
    actor,
    actedAt: row.acted_at.toISOString(),
  };
  if (row.action === 'discarded') return { ...shared, action: 'discarded', reason: reason ?? '' };
  const { outcome, trace_id: traceId, source_topic, source_partition, source_offset, batch_id } = row;
  invariant(
    outcome !== null && traceId !== null && source_topic !== null && source_partition !== null,
    'a redriven letter is recorded with what it came to',
    { position: letterName(shared) },
  );
  return {
    ...shared,
    action: 'redriven',
    reason,
    outcome,
    tenantId: row.tenant_id,
    traceId,
    source: { topic: source_topic, partition: source_partition, kafkaOffset: BigInt(source_offset ?? '0') },
    batchId: safeInteger(batch_id ?? '0'),
    amendedValue: row.amended_value,
  };
}

/** Positions as three arrays, for `unnest`. */
export function positionArrays(positions: readonly LetterPosition[]): string[] {
  return [
    arrayLiteral(positions.map(({ topic }) => topic)),
    arrayLiteral(positions.map(({ partition }) => partition)),
    arrayLiteral(positions.map(({ kafkaOffset }) => kafkaOffset.toString())),
  ];
}

/** The conditions of a filter on `dead_letters d`, numbered after the values already there, which they are added to. */
export function conditionsOf(filter: LetterFilter, values: unknown[]): string {
  const { state, reason, topic, tenantId, traceId, eventId, since, until } = filter;
  const conditions: [string, string | undefined][] = [
    ['d.reason =', reason],
    ['d.topic =', topic],
    ['d.tenant_id =', tenantId],
    ['d.trace_id =', traceId],
    ['d.event_id =', eventId],
    ['d.recorded_at >=', since],
    ['d.recorded_at <', until],
  ];
  // Written out, not passed as a value: only then can the plan use the index of what is open.
  const texts = state === 'all' ? ['true'] : [`d.redrive_state = '${state}'`];
  for (const [condition, value] of conditions) {
    if (value !== undefined) texts.push(`${condition} $${values.push(value)}`);
  }
  return texts.join(' AND ');
}

/** A condition on the place of `dead_letters d`, numbered after the values already there. */
export function placeCondition(operator: '>' | '<=', place: LetterPlace | undefined, values: unknown[]): string {
  if (place === undefined) return 'true';
  const { recordedAt, topic, partition, kafkaOffset } = place;
  const numbers = [recordedAt, topic, partition, kafkaOffset].map((value) => `$${values.push(value)}`);
  return `(${LETTER_ORDER}) ${operator} (${numbers.join(', ')})`;
}
