/**
 * Owns: comparing two sets of rows of one table, field by field.
 * Invariants: pure; values are compared as PostgreSQL writes them.
 */
import { ownValue } from '../../runtime/name-map.js';
import type { Differences, FieldDifference, RowDifference } from './differences.js';

/** A row as text: its key, and its columns by name. */
export type TextRow = Readonly<Record<string, string | null>>;

/** What rows are compared by. */
export interface RowRule {
  readonly table: string;
  readonly key: readonly string[];
  readonly derived: readonly string[];
}

/** Adds what differs between the rows of the ledger and those of the shadow. */
export function compareRows(
  { live, shadow }: { readonly live: readonly TextRow[]; readonly shadow: readonly TextRow[] },
  rule: RowRule,
  differences: Differences,
): void {
  const others = new Map(shadow.map((row) => [nameOf(row, rule), row]));
  for (const row of live) {
    const name = nameOf(row, rule);
    const other = others.get(name);
    others.delete(name);
    if (other === undefined) differences.add(differenceOf(row, rule, { kind: 'onlyInLedger', fields: [] }));
    else comparePair(row, other, { rule, differences });
  }
  for (const row of others.values()) differences.add(differenceOf(row, rule, { kind: 'onlyInShadow', fields: [] }));
}

function comparePair(
  live: TextRow,
  shadow: TextRow,
  { rule, differences }: { readonly rule: RowRule; readonly differences: Differences },
): void {
  const fields = Object.keys(live)
    .filter((field) => ownValue(live, field) !== ownValue(shadow, field))
    .map((field): FieldDifference => ({
      field,
      live: ownValue(live, field) ?? null,
      shadow: ownValue(shadow, field) ?? null,
    }));
  if (fields.length === 0) return;
  const own = fields.filter(({ field }) => !rule.derived.includes(field));
  // A chain breaks once and differs ever after; the entries that broke it are differences of their own.
  if (own.length === 0 && rule.derived.includes('prev_hash')) return differences.follows(rule.table);
  differences.add(differenceOf(live, rule, { kind: 'different', fields: own.length === 0 ? fields : own }));
}

function differenceOf(
  row: TextRow,
  { table, key }: RowRule,
  what: Pick<RowDifference, 'kind' | 'fields'>,
): RowDifference {
  const batchId = row['batch_id'] ?? null;
  return {
    table,
    key: Object.fromEntries(key.map((column) => [column, ownValue(row, column) ?? ''])),
    batchId: batchId === null ? null : Number(batchId),
    ...what,
  };
}

function nameOf(row: TextRow, { key }: RowRule): string {
  return JSON.stringify(key.map((column) => ownValue(row, column)));
}
