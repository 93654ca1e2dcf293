/** Owns: an entry as the proofs read it, without a database between. */
import { canonicalEntry } from '../../src/ledger/canonical-entry.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import type { LeafLine } from '../../src/ledger/postgres/leaf-lines.js';

/** The leaf line of an entry; what a test changes of it makes it that of an edited row with the old hash. */
export function leafLineOf(entry: LedgerEntry): LeafLine {
  const fields = canonicalEntry(entry).split('\t');
  const field = (at: number): string => fields[at] ?? '';
  return {
    ...{ tenantId: field(1), seq: field(2), traceId: field(3), type: field(4), status: field(5), amount: field(6) },
    ...{ balanceBefore: field(7), balanceAfter: field(8), heldBefore: field(9), heldAfter: field(10) },
    ...{ currency: field(11), requests: field(12), countedOn: field(13), detail: entry.detail },
    ...{ occurredOn: entry.occurredAt.slice(0, 10), recordedAt: '', isGenuine: true },
  };
}
