/**
 * Owns: how tables look on the terminal: aligned columns, no colours, no lines between rows.
 * Invariants: a cell is one line, whatever it holds: what would break, hide or reorder it is written out.
 */
import Table from 'cli-table3';
import { visibleLine } from '../runtime/printable.js';

/** An empty table with a head; columns are aligned to the left unless told otherwise. */
export function plainTable(head: string[], colAligns: ('left' | 'right')[] = []): Table.Table {
  const table = new Table({
    head,
    colAligns,
    style: { head: [], border: [], compact: true },
  });
  const push = table.push.bind(table);
  table.push = (...rows) => push(...rows.map((row) => (Array.isArray(row) ? row.map(visibleCell) : row)));
  return table;
}

function visibleCell(cell: Table.Cell): Table.Cell {
  return typeof cell === 'string' ? visibleLine(cell) : cell;
}
