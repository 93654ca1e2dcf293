/**
 * Owns: what was set aside of one trace instead of being charged: parked, skipped, and dead letters.
 * Invariants: every look-up is one of (tenant, trace) in an index.
 */
import type pg from 'pg';
import type { EntrySource } from '../entry.js';
import type { ParkedUsage, SkippedUsage, TraceDeadLetter, TraceLife } from '../ledger-queries.js';
import type { TraceKey } from '../ledger-store.js';

/** Reads what was set aside of a trace. */
export async function readSetAside(
  client: pg.ClientBase,
  trace: TraceKey,
): Promise<Pick<TraceLife, 'parked' | 'skipped' | 'deadLetters'>> {
  return {
    parked: await selectParked(client, trace),
    skipped: await selectSkipped(client, trace),
    deadLetters: await selectDeadLetters(client, trace),
  };
}

interface PositionRow {
  readonly topic: string;
  readonly partition: number;
  readonly kafka_offset: string;
  readonly recorded_at: Date;
}

function sourceOf({ topic, partition, kafka_offset: kafkaOffset }: PositionRow): EntrySource {
  return { topic, partition, kafkaOffset: BigInt(kafkaOffset) };
}

async function selectParked(client: pg.ClientBase, trace: TraceKey): Promise<ParkedUsage | undefined> {
  const { rows } = await client.query<PositionRow & { meters: string[] }>(
    `SELECT topic, partition, kafka_offset, recorded_at, meters FROM unpriced_usage WHERE tenant_id = $1 AND trace_id = $2`,
    [trace.tenantId, trace.traceId],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return { source: sourceOf(row), meters: row.meters, recordedAt: row.recorded_at.toISOString() };
}

async function selectSkipped(client: pg.ClientBase, trace: TraceKey): Promise<SkippedUsage[]> {
  const { rows } = await client.query<PositionRow & { reason: string }>(
    `SELECT topic, partition, kafka_offset, recorded_at, reason FROM skipped_events
     WHERE tenant_id = $1 AND trace_id = $2 ORDER BY recorded_at, topic, partition, kafka_offset`,
    [trace.tenantId, trace.traceId],
  );
  return rows.map((row) => ({ source: sourceOf(row), reason: row.reason, recordedAt: row.recorded_at.toISOString() }));
}

async function selectDeadLetters(client: pg.ClientBase, trace: TraceKey): Promise<TraceDeadLetter[]> {
  const { rows } = await client.query<
    PositionRow & Pick<TraceDeadLetter, 'reason' | 'detail'> & { redrive_state: string }
  >(
    `SELECT topic, partition, kafka_offset, recorded_at, reason, detail, redrive_state FROM dead_letters
     WHERE tenant_id = $1 AND trace_id = $2 ORDER BY recorded_at, topic, partition, kafka_offset`,
    [trace.tenantId, trace.traceId],
  );
  return rows.map((row) => ({
    source: sourceOf(row),
    reason: row.reason,
    detail: row.detail,
    redriveState: row.redrive_state,
    recordedAt: row.recorded_at.toISOString(),
  }));
}
