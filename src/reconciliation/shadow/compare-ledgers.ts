/**
 * Owns: the comparison of a ledger with its shadow, table after table.
 * Does not own: how a table is compared (compare-tables.ts, compare-accounts.ts).
 */
import { COMPARED_TABLES, sharedColumns } from './compared-tables.js';
import { compareAccounts } from './compare-accounts.js';
import { type BothLedgers, type CompareControl, compareTable } from './compare-tables.js';
import { Differences } from './differences.js';

/** Columns that only one side has, as TABLE.COLUMN: an upgrade has added or removed them. */
export interface UncomparedColumns {
  readonly onlyLive: readonly string[];
  readonly onlyShadow: readonly string[];
}

/** What a comparison found. */
export interface ComparisonResult {
  readonly differences: Differences;
  readonly uncompared: UncomparedColumns;
  /** Tenants with later entries, whose account and holds were therefore not compared. */
  readonly movedOn: number;
}

/** What is compared: batch ids, both included, and how many differences are kept. */
export interface ComparisonScope {
  readonly first: number;
  readonly through: number;
  readonly keptMax: number;
}

/** Compares both sides. Throws POSTGRES_*, and what `control` throws. */
export async function compareLedgers(
  ledgers: BothLedgers,
  { first, through, keptMax }: ComparisonScope,
  control: CompareControl,
): Promise<ComparisonResult> {
  const columns = await sharedColumns(ledgers.live, ledgers.shadow);
  const differences = new Differences(keptMax);
  for (const table of COMPARED_TABLES) {
    const both = (columns.get(table.name)?.both ?? []).filter((column) => !table.ignored.includes(column));
    await compareTable(ledgers, { table, columns: both, first, through }, { differences, control });
  }
  const movedOn = await compareAccounts(ledgers, { columns, differences, control });
  const named = (side: 'onlyLive' | 'onlyShadow'): string[] =>
    [...columns].flatMap(([table, shared]) => shared[side].map((column) => `${table}.${column}`));
  return { differences, movedOn, uncompared: { onlyLive: named('onlyLive'), onlyShadow: named('onlyShadow') } };
}
