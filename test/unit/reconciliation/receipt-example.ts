/** Owns: the worked example of docs/receipts.md: the receipt of the charge in docs/hashing.md, which leads to an anchor. */
import { entryHash } from '../../../src/ledger/canonical-entry.js';
import { merklePath } from '../../../src/ledger/merkle-path.js';
import { type Receipt, receiptOf } from '../../../src/reconciliation/receipt.js';
import { sampleAnchor } from '../../support/receipt-samples.js';
import { exampleBatches, exampleEntries } from '../ledger/hashing-example.js';

/** The charge is the second of three entries; its batch is followed by one more, which is anchored. */
export function exampleReceipt(): Receipt {
  const entries = exampleEntries();
  const [batch, link] = exampleBatches();
  return receiptOf({
    issuedAt: '2026-03-16T08:00:00.000Z',
    entry: entries[1],
    path: merklePath(entries.map(entryHash), 1),
    batch,
    links: [link],
    head: { batchNo: link.batchNo, hash: link.hash.toString('hex') },
    anchor: sampleAnchor(link),
  });
}
