/** Owns: entries as the rows that COPY reads, in one text. */
import type { BatchStamp } from '../../src/ledger/batch.js';
import { EntryHasher } from '../../src/ledger/canonical-entry.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import { rowPieces } from '../../src/ledger/postgres/entry-rows.js';

/** Writes entries as rows, each ended by a newline. */
export function rowsText(entries: readonly LedgerEntry[], stamp: BatchStamp): string {
  const hasher = new EntryHasher();
  const hashed = function* (): Generator<ReturnType<EntryHasher['hash']>> {
    for (const entry of entries) yield hasher.hash(entry);
  };
  return Buffer.concat([...rowPieces([{ stamp, entries: hashed() }])]).toString('utf8');
}
