/**
 * Owns: the rows of entries as COPY reads them, in pieces fit for the socket.
 * Does not own: the fields of an entry (canonical-entry.ts), the columns' names (rows.ts: ENTRY_COLUMNS, in the order written here).
 */
import type { BatchStamp } from '../batch.js';
import { FIELDS_AT, type HashedEntry } from '../canonical-entry.js';
import type { StampedEntries } from '../ledger-store.js';

/** Bytes of rows that are sent at once: enough to be worth a system call, few enough to keep the server at work. */
const PIECE_BYTES = 64 * 1024;
const DIGEST_BYTES = 32;
const NEWLINE = 0x0a;

/** Two hexadecimal digits for each value of a byte. */
const HEX_DIGITS = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''));

/** Writes the entries of batches as rows, those at the front while the others are still being made. */
export function* rowPieces(batches: readonly StampedEntries[]): Generator<Buffer, void> {
  let rows = Buffer.allocUnsafe(PIECE_BYTES);
  let end = 0;
  for (const { stamp, entries } of batches) {
    const sealed = sealedFields(stamp);
    for (const entry of entries) {
      const length = rowLength(entry, sealed);
      if (end + length > rows.length) {
        if (end > 0) yield rows.subarray(0, end);
        rows = Buffer.allocUnsafe(Math.max(PIECE_BYTES, length));
        end = 0;
      }
      end = putRow(rows, end, { entry, sealed });
    }
  }
  if (end > 0) yield rows.subarray(0, end);
}

/** What all entries of a batch share: recorded_at, batch_id, and how the hash begins. */
function sealedFields({ sealedAt, batchId }: BatchStamp): Buffer {
  return Buffer.from(`\t${sealedAt}\t${batchId}\t\\\\x`);
}

function rowLength({ leaf }: HashedEntry, sealed: Buffer): number {
  return leaf.length - FIELDS_AT + sealed.length + 2 * DIGEST_BYTES + 1;
}

/** Puts a row; returns where it ends. */
function putRow(rows: Buffer, start: number, row: { readonly entry: HashedEntry; readonly sealed: Buffer }): number {
  const { leaf, digest } = row.entry;
  let at = start + leaf.copy(rows, start, FIELDS_AT);
  at += row.sealed.copy(rows, at);
  for (let index = 0; index < DIGEST_BYTES; index += 1) {
    const byte = digest.charCodeAt(index);
    rows[at] = HEX_DIGITS[2 * byte] ?? 0;
    rows[at + 1] = HEX_DIGITS[2 * byte + 1] ?? 0;
    at += 2;
  }
  rows[at] = NEWLINE;
  return at + 1;
}
