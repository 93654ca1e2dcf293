/**
 * Owns: comparing what the entries come to, accounts and open holds, on both sides.
 * Invariants: reads only; pages by tenant. A tenant whose ledger has moved on since the span was frozen, because traffic
 * runs, is left out and counted: its entries up to then are compared all the same, and they tell its balance.
 */
import type pg from 'pg';
import { rowsOf } from '../reconcile/ledger-batches.js';
import { compareRows, type TextRow } from './compare-rows.js';
import { ACCOUNTS, OPEN_HOLDS, type SharedColumns } from './compared-tables.js';
import type { BothLedgers, CompareControl } from './compare-tables.js';
import type { Differences } from './differences.js';

/** What is compared, and who hears of it. */
export interface CompareAccountsOptions {
  readonly columns: ReadonlyMap<string, SharedColumns>;
  readonly differences: Differences;
  readonly control: CompareControl;
}

const PAGE_TENANTS = 1_000;

/** Compares accounts and open holds; returns how many tenants had moved on. Throws POSTGRES_*. */
export async function compareAccounts(
  { live, shadow }: BothLedgers,
  { columns, differences, control }: CompareAccountsOptions,
): Promise<number> {
  let movedOn = 0;
  for (let after = ''; ;) {
    control.assertGoing();
    const page = await accountsAfter(shadow, columns, after);
    const last = page[page.length - 1]?.['tenant_id'];
    if (last === undefined || last === null) return movedOn;
    const all = await accountsBetween(live, columns, { after, through: last });
    const shadowSeqs = new Map(page.map((row) => [row['tenant_id'], Number(row['seq'])]));
    const ours = all.filter((row) => !isBeyond(row, shadowSeqs.get(row['tenant_id'] ?? '')));
    const moved = new Set(all.filter((row) => !ours.includes(row)).map((row) => row['tenant_id']));
    movedOn += moved.size;
    const theirs = page.filter((row) => !moved.has(row['tenant_id'] ?? ''));
    compareRows({ live: ours, shadow: theirs }, { table: ACCOUNTS, key: ['tenant_id'], derived: [] }, differences);
    differences.compared(ACCOUNTS, ours.length);
    await compareHolds({ live, shadow }, { columns, differences, control }, tenantsOf(theirs));
    after = last;
  }
}

/** Whether an account has entries that the shadow's has not: later ones, or ones that are missing and told as such. */
function isBeyond(row: TextRow, shadowSeq: number | undefined): boolean {
  return shadowSeq === undefined || Number(row['seq']) > shadowSeq;
}

async function compareHolds(
  { live, shadow }: BothLedgers,
  { columns, differences }: CompareAccountsOptions,
  tenants: readonly string[],
): Promise<void> {
  const [ours, theirs] = await Promise.all([holdsOf(live, columns, tenants), holdsOf(shadow, columns, tenants)]);
  const rule = { table: OPEN_HOLDS, key: ['tenant_id', 'trace_id'], derived: [] };
  compareRows({ live: ours, shadow: theirs }, rule, differences);
  differences.compared(OPEN_HOLDS, ours.length);
}

function tenantsOf(rows: readonly TextRow[]): string[] {
  return rows.flatMap((row) => row['tenant_id'] ?? []);
}

type Columns = ReadonlyMap<string, SharedColumns>;

function selectOf(columns: Columns, table: string): string {
  return (columns.get(table)?.both ?? []).map((column) => `t.${column}::text AS ${column}`).join(', ');
}

function accountsAfter(pool: pg.Pool, columns: Columns, after: string): Promise<TextRow[]> {
  return rowsOf<Record<string, string | null>>(
    pool,
    `SELECT ${selectOf(columns, ACCOUNTS)} FROM accounts t WHERE t.tenant_id > $1 COLLATE "C"
     ORDER BY t.tenant_id LIMIT ${PAGE_TENANTS}`,
    [after],
  );
}

function accountsBetween(
  pool: pg.Pool,
  columns: Columns,
  { after, through }: { readonly after: string; readonly through: string },
): Promise<TextRow[]> {
  return rowsOf<Record<string, string | null>>(
    pool,
    `SELECT ${selectOf(columns, ACCOUNTS)} FROM accounts t
     WHERE t.tenant_id > $1 COLLATE "C" AND t.tenant_id <= $2 COLLATE "C" ORDER BY t.tenant_id`,
    [after, through],
  );
}

function holdsOf(pool: pg.Pool, columns: Columns, tenants: readonly string[]): Promise<TextRow[]> {
  return rowsOf<Record<string, string | null>>(
    pool,
    `SELECT ${selectOf(columns, OPEN_HOLDS)} FROM open_holds t WHERE t.tenant_id = ANY($1) ORDER BY t.tenant_id, t.trace_id`,
    [tenants],
  );
}
