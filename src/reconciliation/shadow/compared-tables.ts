/**
 * Owns: which tables of a ledger and its shadow are compared row by row, by which key, and which of their columns.
 * Invariants: every column that both have is compared but for those named here; a column that only one side has is told:
 * an upgrade may well add one.
 */
import type pg from 'pg';
import { rowsOf } from '../reconcile/ledger-batches.js';

/** A column of a key, and its type in PostgreSQL. */
export interface KeyColumn {
  readonly name: string;
  readonly type: 'text' | 'integer' | 'bigint';
}

/** A table whose rows belong to batches. */
export interface ComparedTable {
  readonly name: string;
  readonly key: readonly KeyColumn[];
  /** Changed later, or no part of what was charged. */
  readonly ignored: readonly string[];
  /** Columns that say nothing of their own: they differ whenever any other does, or whenever an earlier batch does. */
  readonly derived: readonly string[];
}

const TENANT: KeyColumn = { name: 'tenant_id', type: 'text' };
const PARTITION: readonly KeyColumn[] = [
  { name: 'topic', type: 'text' },
  { name: 'partition', type: 'integer' },
];
const POSITION: readonly KeyColumn[] = [...PARTITION, { name: 'kafka_offset', type: 'bigint' }];

/** The tables that are compared by batch, what matters most first. */
export const COMPARED_TABLES: readonly ComparedTable[] = [
  {
    name: 'ledger_entries',
    key: [TENANT, { name: 'seq', type: 'bigint' }],
    ignored: [],
    derived: ['command_hash', 'entry_hash'],
  },
  {
    name: 'ledger_batches',
    key: [...PARTITION, { name: 'batch_no', type: 'bigint' }],
    ignored: [],
    derived: ['aside_root', 'prev_hash', 'hash'],
  },
  { name: 'ledger_commands', key: [TENANT, { name: 'key', type: 'text' }], ignored: [], derived: [] },
  // The event id is read from the bytes that are compared; letters of earlier versions have none.
  { name: 'dead_letters', key: POSITION, ignored: ['redrive_state', 'event_id'], derived: ['row_hash'] },
  { name: 'dead_letter_actions', key: POSITION, ignored: [], derived: [] },
  { name: 'skipped_events', key: POSITION, ignored: [], derived: ['row_hash'] },
  { name: 'unpriced_usage', key: [TENANT, { name: 'trace_id', type: 'text' }], ignored: [], derived: ['row_hash'] },
  { name: 'repaired_messages', key: POSITION, ignored: [], derived: [] },
];

/** The tables that have no batch: what the entries come to. */
export const ACCOUNTS = 'accounts';
/** See ACCOUNTS. */
export const OPEN_HOLDS = 'open_holds';

/** The columns of a table on both sides, and those that only one side has. */
export interface SharedColumns {
  readonly both: readonly string[];
  readonly onlyLive: readonly string[];
  readonly onlyShadow: readonly string[];
}

/** The columns of every compared table, by table. Throws POSTGRES_*. */
export async function sharedColumns(live: pg.Pool, shadow: pg.Pool): Promise<ReadonlyMap<string, SharedColumns>> {
  const [ofLive, ofShadow] = await Promise.all([columnsOf(live), columnsOf(shadow)]);
  const names = [...COMPARED_TABLES.map(({ name }) => name), ACCOUNTS, OPEN_HOLDS];
  return new Map(
    names.map((name) => {
      const [left, right] = [ofLive.get(name) ?? [], ofShadow.get(name) ?? []];
      return [
        name,
        {
          both: left.filter((column) => right.includes(column)),
          onlyLive: left.filter((column) => !right.includes(column)),
          onlyShadow: right.filter((column) => !left.includes(column)),
        },
      ];
    }),
  );
}

async function columnsOf(pool: pg.Pool): Promise<Map<string, string[]>> {
  const rows = await rowsOf<{ table_name: string; columns: string[] }>(
    pool,
    `SELECT c.relname AS table_name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' GROUP BY c.relname`,
  );
  return new Map(rows.map(({ table_name: name, columns }) => [name, columns]));
}
