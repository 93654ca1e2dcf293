/**
 * Owns: reading what the ledger recorded of messages that did not become an entry at their own position: dead letters,
 * skipped events and repairs by position; traces, accounts and parked completions by name.
 * Invariants: reads only; every statement goes by a key; of a dead letter's bytes only their SHA-256 is read.
 */
import type pg from 'pg';
import type { DeadLetterReason, LetterState, RedriveOutcome } from '../../ledger/dead-letter.js';
import type { UsageCompleted } from '../../ledger/events.js';
import { type TraceKey, traceKey } from '../../ledger/ledger-store.js';
import { arrayLiteral } from '../../ledger/postgres/array-literal.js';
import { ENTRY_SELECT, type EntryRow, storedEntryOf, type StoredEntry } from '../../ledger/postgres/proof-rows.js';
import { safeInteger } from '../../ledger/postgres/rows.js';
import type { StreamSource } from '../../ledger/batch.js';
import { sourceName } from './frozen-ranges.js';
import { rowsOf } from './ledger-batches.js';

/** Offsets of one source: from, up to, not including, to. */
export interface SourceRange {
  readonly source: StreamSource;
  readonly from: bigint;
  readonly to: bigint;
}

/** One string for a position. */
export function positionName(source: StreamSource, kafkaOffset: bigint | string): string {
  return `${sourceName(source)}/${kafkaOffset}`;
}

/** A dead letter as recorded, without its bytes. */
export interface RecordedLetter {
  readonly reason: DeadLetterReason;
  readonly detail: string;
  readonly state: LetterState;
  /** As 64 hexadecimal digits; null without a value. */
  readonly valueDigest: string | null;
  readonly keyDigest: string | null;
}

/** A skipped event as recorded. */
export interface RecordedSkip {
  readonly reason: string;
  readonly tenantId: string | null;
  readonly traceId: string;
}

/** The redrive of a dead letter. */
export interface RedrivenLetter extends RecordedRepair {
  /** The corrected copy that was charged; null: the message itself was. */
  readonly amendedValue: Buffer | null;
}

/** A message that a repair charged, or a redrive of its dead letter, and where in that stream. */
export interface RecordedRepair {
  readonly outcome: RedriveOutcome | 'deadLetter';
  readonly repairedAs: { readonly source: StreamSource; readonly kafkaOffset: bigint };
  readonly batchId: number;
}

interface PositionRow {
  readonly topic: string;
  readonly partition: number;
  readonly kafka_offset: string;
}

function rangeArrays(ranges: readonly SourceRange[]): string[] {
  return [
    arrayLiteral(ranges.map(({ source }) => source.topic)),
    arrayLiteral(ranges.map(({ source }) => source.partition)),
    arrayLiteral(ranges.map(({ from }) => from.toString())),
    arrayLiteral(ranges.map(({ to }) => to.toString())),
  ];
}

/** Joins a table `t` with the ranges of `rangeArrays`. */
function inRanges(table: string): string {
  return `FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) AS w(topic, partition, low, high)
    JOIN ${table} t ON t.topic = w.topic COLLATE "C" AND t.partition = w.partition
      AND t.kafka_offset >= w.low AND t.kafka_offset < w.high`;
}

/** The dead letters in some ranges, by `positionName`. Throws POSTGRES_*. */
export async function readLetters(pool: pg.Pool, ranges: readonly SourceRange[]): Promise<Map<string, RecordedLetter>> {
  const rows = await rowsOf<
    PositionRow & {
      reason: DeadLetterReason;
      detail: string;
      redrive_state: LetterState;
      value_digest: string | null;
      key_digest: string | null;
    }
  >(
    pool,
    `SELECT t.topic, t.partition, t.kafka_offset, t.reason, t.detail, t.redrive_state,
       encode(sha256(t.message_value), 'hex') AS value_digest, encode(sha256(t.message_key), 'hex') AS key_digest
     ${inRanges('dead_letters')}`,
    rangeArrays(ranges),
  );
  return new Map(
    rows.map((row) => [
      positionName(row, row.kafka_offset),
      {
        ...{ reason: row.reason, detail: row.detail, state: row.redrive_state },
        ...{ valueDigest: row.value_digest, keyDigest: row.key_digest },
      },
    ]),
  );
}

/** The skipped events in some ranges, by `positionName`. Throws POSTGRES_*. */
export async function readSkips(pool: pg.Pool, ranges: readonly SourceRange[]): Promise<Map<string, RecordedSkip>> {
  const rows = await rowsOf<PositionRow & { reason: string; tenant_id: string | null; trace_id: string }>(
    pool,
    `SELECT t.topic, t.partition, t.kafka_offset, t.reason, t.tenant_id, t.trace_id ${inRanges('skipped_events')}`,
    rangeArrays(ranges),
  );
  return new Map(
    rows.map((row) => [
      positionName(row, row.kafka_offset),
      { reason: row.reason, tenantId: row.tenant_id, traceId: row.trace_id },
    ]),
  );
}

/** The messages in some ranges that were repaired, by `positionName`. Throws POSTGRES_*. */
export function readRepairs(pool: pg.Pool, ranges: readonly SourceRange[]): Promise<Map<string, RecordedRepair>> {
  return readMoved(pool, ranges, { table: 'repaired_messages', place: 'repair', where: 'true' });
}

/** The dead letters in some ranges that were redriven, by `positionName`. Throws POSTGRES_*. */
export async function readRedrives(
  pool: pg.Pool,
  ranges: readonly SourceRange[],
): Promise<Map<string, RedrivenLetter>> {
  const moved = await readMoved(pool, ranges, {
    ...{ table: 'dead_letter_actions', place: 'source', where: "t.action = 'redriven'" },
  });
  if (moved.size === 0) return new Map();
  const rows = await rowsOf<PositionRow & { amended_value: Buffer }>(
    pool,
    `SELECT t.topic, t.partition, t.kafka_offset, t.amended_value ${inRanges('dead_letter_actions')}
     WHERE t.amended_value IS NOT NULL`,
    rangeArrays(ranges),
  );
  const amended = new Map(rows.map((row) => [positionName(row, row.kafka_offset), row.amended_value]));
  return new Map([...moved].map(([name, each]) => [name, { ...each, amendedValue: amended.get(name) ?? null }]));
}

/** Messages that were charged elsewhere: `place` begins the names of the columns that say where. */
async function readMoved(
  pool: pg.Pool,
  ranges: readonly SourceRange[],
  { table, place, where }: { readonly table: string; readonly place: string; readonly where: string },
): Promise<Map<string, RecordedRepair>> {
  const rows = await rowsOf<
    PositionRow & {
      outcome: RecordedRepair['outcome'];
      to_topic: string;
      to_partition: number;
      to_offset: string;
      batch_id: string;
    }
  >(
    pool,
    `SELECT t.topic, t.partition, t.kafka_offset, t.outcome, t.batch_id, t.${place}_topic AS to_topic,
       t.${place}_partition AS to_partition, t.${place}_offset AS to_offset ${inRanges(table)} WHERE ${where}`,
    rangeArrays(ranges),
  );
  return new Map(
    rows.map((row) => {
      const source = { topic: row.to_topic, partition: row.to_partition };
      const repairedAs = { source, kafkaOffset: BigInt(row.to_offset) };
      return [
        positionName(row, row.kafka_offset),
        { outcome: row.outcome, repairedAs, batchId: safeInteger(row.batch_id) },
      ];
    }),
  );
}

/** Every entry of some traces, by `traceKey`, in the order of their seq. Throws POSTGRES_*. */
export async function readTraceEntries(
  pool: pg.Pool,
  traces: readonly TraceKey[],
): Promise<Map<string, StoredEntry[]>> {
  const found = new Map<string, StoredEntry[]>();
  if (traces.length === 0) return found;
  const rows = await rowsOf<EntryRow>(
    pool,
    `SELECT ${ENTRY_SELECT} FROM unnest($1::text[], $2::text[]) AS wanted(tenant_id, trace_id)
     JOIN ledger_entries e ON e.tenant_id = wanted.tenant_id COLLATE "C" AND e.trace_id = wanted.trace_id COLLATE "C"`,
    [arrayLiteral(traces.map((trace) => trace.tenantId)), arrayLiteral(traces.map((trace) => trace.traceId))],
  );
  for (const stored of rows.map(storedEntryOf)) {
    const key = traceKey(stored.entry);
    const known = found.get(key);
    if (known === undefined) found.set(key, [stored]);
    else known.push(stored);
  }
  for (const entries of found.values()) entries.sort((one, other) => one.entry.seq - other.entry.seq);
  return found;
}

/** An account as far as it decides whether a message can be charged. */
export interface AccountFacts {
  readonly currency: string;
  /** The batch that opened it; null when its first entry is missing. */
  readonly openedByBatch: number | null;
}

/** The accounts of some tenants; unknown ones are absent. Throws POSTGRES_*. */
export async function readAccountFacts(
  pool: pg.Pool,
  tenantIds: readonly string[],
): Promise<Map<string, AccountFacts>> {
  if (tenantIds.length === 0) return new Map();
  const rows = await rowsOf<{ tenant_id: string; currency: string; batch_id: string | null }>(
    pool,
    `SELECT a.tenant_id, a.currency,
       (SELECT e.batch_id FROM ledger_entries e WHERE e.tenant_id = a.tenant_id AND e.seq = 1) AS batch_id
     FROM accounts a WHERE a.tenant_id = ANY($1)`,
    [arrayLiteral(tenantIds)],
  );
  return new Map(
    rows.map((row) => [
      row.tenant_id,
      { currency: row.currency, openedByBatch: row.batch_id === null ? null : safeInteger(row.batch_id) },
    ]),
  );
}

/** A parked completion as recorded. */
export interface RecordedPark {
  readonly source: StreamSource;
  readonly kafkaOffset: bigint;
  readonly batchId: number;
  readonly meters: readonly string[];
  readonly event: UsageCompleted;
}

/** The parked completions of some traces, by `traceKey`. Throws POSTGRES_*. */
export async function readParks(pool: pg.Pool, traces: readonly TraceKey[]): Promise<Map<string, RecordedPark>> {
  if (traces.length === 0) return new Map();
  const rows = await rowsOf<
    PositionRow & { tenant_id: string; trace_id: string; batch_id: string; meters: string[]; event: UsageCompleted }
  >(
    pool,
    `SELECT u.tenant_id, u.trace_id, u.topic, u.partition, u.kafka_offset, u.batch_id, u.meters, u.event
     FROM unnest($1::text[], $2::text[]) AS wanted(tenant_id, trace_id)
     JOIN unpriced_usage u ON u.tenant_id = wanted.tenant_id COLLATE "C" AND u.trace_id = wanted.trace_id COLLATE "C"`,
    [arrayLiteral(traces.map((trace) => trace.tenantId)), arrayLiteral(traces.map((trace) => trace.traceId))],
  );
  return new Map(
    rows.map((row) => [
      traceKey({ tenantId: row.tenant_id, traceId: row.trace_id }),
      {
        source: { topic: row.topic, partition: row.partition },
        kafkaOffset: BigInt(row.kafka_offset),
        batchId: safeInteger(row.batch_id),
        meters: row.meters,
        event: row.event,
      },
    ]),
  );
}
