/**
 * Owns: plausible rows of the ledger's tables, for tests of what the database itself enforces.
 * Does not own: how the application writes (src/ledger/postgres).
 */
import type pg from 'pg';
import { isTollbookError } from '../../src/runtime/errors.js';

/** Values of one row by column; what a test cares about, on top of a default row. */
export type RowValues = Readonly<Record<string, unknown>>;

const HASH = Buffer.alloc(32, 1);
const NOON = '2026-03-01T12:00:00.000Z';
const POSITION = { topic: 'usage.completed', partition: 0 };

const DEFAULT_ROWS = {
  ledger_entries: {
    ...{ tenant_id: 'acme', seq: 1, trace_id: 'trace-1', type: 'DEDUCT', status: 'COMMITTED', amount: '1.5' },
    ...{ balance_before: '10', balance_after: '8.5', held_before: '0', held_after: '0', currency: 'USD', requests: 1 },
    ...{ source_topic: POSITION.topic, source_partition: 0, source_offset: 7, occurred_at: NOON, recorded_at: NOON },
    ...{ batch_id: 1, entry_hash: HASH },
  },
  ledger_batches: {
    ...{ ...POSITION, batch_no: 1, batch_id: 1, first_offset: 7, next_offset: 8, charged: 1, openings: 0 },
    ...{ duplicates: 0, superseded: 0, skipped: 0, unpriced: 0, dead_letters: 0 },
    ...{ merkle_root: HASH, aside_root: HASH, prev_hash: HASH, hash: HASH, sealed_at: NOON },
  },
  stream_gaps: { ...POSITION, from_offset: 1, to_offset: 2, actor: 'ops', reason: 'retention' },
  producer_gaps: { instance: 'gateway-1', epoch: 1, from_seq: 2, to_seq: 3, actor: 'ops', reason: 'crashed' },
  dead_letters: {
    ...{ ...POSITION, kafka_offset: 7, message_value: Buffer.from('{'), headers: '{}', reason: 'INVALID_JSON' },
    ...{ detail: 'unexpected end', batch_id: 1, recorded_at: NOON, row_hash: HASH },
  },
  dead_letter_actions: {
    ...{ ...POSITION, kafka_offset: 7, action: 'redriven', actor: 'ops', acted_at: NOON, outcome: 'charged' },
    ...{ tenant_id: 'acme', trace_id: 'trace-1', source_topic: '~redrive', source_partition: 0, source_offset: 0 },
    ...{ batch_id: 2 },
  },
  skipped_events: {
    ...{ ...POSITION, kafka_offset: 7, trace_id: 'trace-1', reason: 'no_pricing_or_internal', event: '{}' },
    ...{ batch_id: 1, recorded_at: NOON, row_hash: HASH },
  },
  unpriced_usage: {
    ...{ ...POSITION, tenant_id: 'acme', trace_id: 'trace-1', kafka_offset: 7, meters: ['input_tokens'], event: '{}' },
    ...{ batch_id: 1, recorded_at: NOON, row_hash: HASH },
  },
  reconciliation_runs: {
    ...{ run_id: 'run-1', kind: 'reconcile', actor: 'ops', started_at: NOON, finished_at: NOON, cluster_id: 'cluster' },
    ...{ ranges: '[]', counts: '{}', findings: '{}', expected_digest: HASH, actual_digest: HASH, report_digest: HASH },
  },
  repaired_messages: {
    ...{ ...POSITION, kafka_offset: 7, run_id: 'run-1', outcome: 'charged', tenant_id: 'acme', trace_id: 'trace-1' },
    ...{ repair_topic: '~repair', repair_partition: 0, repair_offset: 0, batch_id: 1, actor: 'ops', reason: 'lost' },
    ...{ repaired_at: NOON },
  },
  ledger_commands: {
    ...{ tenant_id: 'acme', key: 'key-1', kind: 'credit', content: '{}', seq: 1, actor: 'ops' },
    ...{ batch_id: 1, recorded_at: NOON },
  },
} satisfies Record<string, RowValues>;

/** A table whose rows never change. */
export type AppendOnlyTable = keyof typeof DEFAULT_ROWS;

/** Every table whose rows never change; of dead_letters, all but one column. */
export const APPEND_ONLY_TABLES = Object.keys(DEFAULT_ROWS) as AppendOnlyTable[];

/** Inserts the default row of a table, as far as this version of it has the columns, with some of its values replaced. */
export async function insertRow(pool: pg.Pool, table: AppendOnlyTable, values: RowValues = {}): Promise<void> {
  const row: RowValues = { ...DEFAULT_ROWS[table], ...values };
  const { rows } = await pool.query<{ attname: string }>(
    'SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped',
    [table],
  );
  const known = new Set(rows.map(({ attname }) => attname));
  const columns = Object.keys(row).filter((column) => column in values || known.has(column));
  const places = columns.map((_, index) => `$${index + 1}`);
  await pool.query(
    `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places.join(', ')})`,
    columns.map((column) => row[column]),
  );
}

/** The SQLSTATE with which PostgreSQL refuses a piece of work; `accepted` when it does not. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'accepted';
  } catch (error) {
    if (isTollbookError(error) && typeof error.context['sqlState'] === 'string') return error.context['sqlState'];
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}
