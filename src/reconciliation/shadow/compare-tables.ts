/**
 * Owns: comparing the tables of a ledger and its shadow that are written batch by batch: digests of key ranges first, row
 * by row only where those differ.
 * Does not own: which tables and columns (compared-tables.ts), the comparison of rows (compare-rows.ts).
 * Invariants: reads only; keyset pages, so that memory is bounded by a page; every row of the span is in exactly one page.
 */
import type pg from 'pg';
import { safeInteger } from '../../ledger/postgres/rows.js';
import { rowsOf } from '../reconcile/ledger-batches.js';
import { compareRows, type TextRow } from './compare-rows.js';
import type { ComparedTable, KeyColumn } from './compared-tables.js';
import type { Differences } from './differences.js';

/** Both sides. */
export interface BothLedgers {
  readonly live: pg.Pool;
  readonly shadow: pg.Pool;
}

/** What of a table is compared. */
export interface TableScope {
  readonly table: ComparedTable;
  /** The columns that both sides have. */
  readonly columns: readonly string[];
  /** Batch ids, both included. */
  readonly first: number;
  readonly through: number;
}

/** How a comparison is watched and stopped. */
export interface CompareControl {
  readonly onRows: (rows: number) => void;
  /** Throws when the comparison has to stop. */
  readonly assertGoing: () => void;
}

const PAGE_ROWS = 5_000;

interface Digest {
  readonly rows: number;
  readonly digest: string | null;
  /** The last key of the page, as text. */
  readonly last: readonly string[] | null;
}

/** Compares one table. Throws POSTGRES_*. */
export async function compareTable(
  { live, shadow }: BothLedgers,
  scope: TableScope,
  { differences, control }: { readonly differences: Differences; readonly control: CompareControl },
): Promise<void> {
  const { table } = scope;
  for (let after: readonly string[] | null = null; ;) {
    control.assertGoing();
    const page: Digest = await digestOf(live, scope, { after, through: null, limit: PAGE_ROWS });
    const isLast = page.rows < PAGE_ROWS;
    const range = { after, through: isLast ? null : page.last };
    const other = await digestOf(shadow, scope, { ...range, limit: null });
    if (page.rows !== other.rows || page.digest !== other.digest) {
      const [ours, theirs] = await Promise.all([textRows(live, scope, range), textRows(shadow, scope, range)]);
      const rule = { table: table.name, key: table.key.map(({ name }) => name), derived: table.derived };
      compareRows({ live: ours, shadow: theirs }, rule, differences);
    }
    differences.compared(table.name, page.rows);
    control.onRows(page.rows);
    if (isLast) return;
    after = page.last;
  }
}

interface KeyRange {
  readonly after: readonly string[] | null;
  readonly through: readonly string[] | null;
}

async function digestOf(
  pool: pg.Pool,
  scope: TableScope,
  { limit, ...range }: KeyRange & { readonly limit: number | null },
): Promise<Digest> {
  const { table, columns } = scope;
  const { where, values } = conditionOf(scope, range);
  const order = orderOf(table.key);
  const key = `ARRAY[${table.key.map(({ name }) => `t.${name}::text`).join(', ')}]`;
  const [row] = await rowsOf<{ rows: string; digest: string | null; last: string[] | null }>(
    pool,
    `SELECT count(*) AS rows, md5(string_agg(p.line, E'\\n' ORDER BY p.place)) AS digest,
       (array_agg(to_json(p.key) ORDER BY p.place DESC))[1] AS last
     FROM (SELECT row_number() OVER (ORDER BY ${order}) AS place, ROW(${comparedColumns(columns)})::text AS line, ${key} AS key
           FROM ${table.name} t WHERE ${where} ORDER BY ${order} ${limit === null ? '' : `LIMIT ${limit}`}) AS p`,
    values,
  );
  return { rows: safeInteger(row?.rows ?? '0'), digest: row?.digest ?? null, last: row?.last ?? null };
}

async function textRows(pool: pg.Pool, scope: TableScope, range: KeyRange): Promise<TextRow[]> {
  const { table, columns } = scope;
  const { where, values } = conditionOf(scope, range);
  const selected = columns.map((column) => `t.${column}::text AS ${column}`).join(', ');
  return rowsOf<Record<string, string | null>>(
    pool,
    `SELECT ${selected} FROM ${table.name} t WHERE ${where} ORDER BY ${orderOf(table.key)}`,
    values,
  );
}

function conditionOf(
  { table, first, through }: TableScope,
  range: KeyRange,
): { readonly where: string; readonly values: unknown[] } {
  const bounds = [
    { operator: '>', key: range.after },
    { operator: '<=', key: range.through },
  ].flatMap(({ operator, key }) => (key === null ? [] : [{ operator, key }]));
  const names = table.key.map(({ name }) => `t.${name}`).join(', ');
  const conditions = bounds.map(({ operator }, bound) => {
    const places = table.key.map((column, index) => placeOf(column, 3 + bound * table.key.length + index));
    return `(${names}) ${operator} (${places.join(', ')})`;
  });
  return {
    where: ['t.batch_id BETWEEN $1 AND $2', ...conditions].join(' AND '),
    values: [first, through, ...bounds.flatMap(({ key }) => key)],
  };
}

function placeOf({ type }: KeyColumn, number: number): string {
  return type === 'text' ? `$${number}::text COLLATE "C"` : `$${number}::${type}`;
}

function orderOf(key: readonly KeyColumn[]): string {
  return key.map(({ name }) => `t.${name}`).join(', ');
}

function comparedColumns(columns: readonly string[]): string {
  return columns.map((column) => `t.${column}`).join(', ');
}
