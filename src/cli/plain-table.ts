/** Owns: how tables look on the terminal: aligned columns, no colours, no lines between rows. */
import Table from 'cli-table3';

/** An empty table with a head; columns are aligned to the left unless told otherwise. */
export function plainTable(head: string[], colAligns: ('left' | 'right')[] = []): Table.Table {
  return new Table({
    head,
    colAligns,
    style: { head: [], border: [], compact: true },
  });
}
