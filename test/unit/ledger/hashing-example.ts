/** Owns: the worked example of docs/hashing.md: a batch of three entries, and the batch that follows it in the chain. */
import { emptyAccount } from '../../../src/ledger/account.js';
import { type BatchFacts, CHAIN_GENESIS, seal, type SealedBatch } from '../../../src/ledger/batch.js';
import { bookOpening } from '../../../src/ledger/charge.js';
import { entryHash } from '../../../src/ledger/canonical-entry.js';
import type { LedgerEntry } from '../../../src/ledger/entry.js';
import { merkleRoot } from '../../../src/ledger/merkle.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { account, book, completed, PRICING } from './usage-samples.js';

const SOURCE = { topic: 'usage.completed', partition: 3 };
const NO_COUNTS = { charged: 0, openings: 0, duplicates: 0, superseded: 0, skipped: 0, unpriced: 0, deadLetters: 0 };

/** An opened account, a charge with a further meter, and a charge that failed for want of balance. */
export function exampleEntries(): [opening: LedgerEntry, charge: LedgerEntry, failure: LedgerEntry] {
  const terms = { ...account(), creditLimitNano: parseAmount('0.02'), monthlyQuota: 500 };
  const empty = emptyAccount({ tenantId: 'tenant-1', currency: 'USD', day: '2026-03-15' }, terms);
  const first = { source: { ...SOURCE, kafkaOffset: 41n }, occurredAt: '2026-03-15T10:00:00.000Z' };
  const opening = bookOpening(empty, first);
  const metered = completed({
    usage: { inputTokens: 1000, outputTokens: 500, meters: { requests: 1, cached_input_tokens: 960 } },
    pricing: { ...PRICING, meters: { requests: '5', cached_input_tokens: '0.00030' } },
  });
  const charge = book({ status: 'NONE' }, metered, opening.account);
  const second = completed({ traceId: 'trace-2', occurredAt: '2026-03-15T10:00:00.250Z' });
  const failure = book({ status: 'NONE' }, second, charge.account);
  return [
    opening.entry,
    { ...charge.entry, ...first },
    { ...failure.entry, traceId: 'trace-2', source: { ...SOURCE, kafkaOffset: 43n } },
  ];
}

/** The first batch of a partition, over the entries of the example, and the second one, without entries. */
export function exampleBatches(): [first: SealedBatch, second: SealedBatch] {
  const first = seal({
    source: SOURCE,
    batchNo: 1,
    batchId: 17,
    firstOffset: 41n,
    nextOffset: 44n,
    counts: { ...NO_COUNTS, charged: 2, openings: 1, duplicates: 1 },
    merkleRoot: merkleRoot(exampleEntries().map(entryHash)),
    prevHash: CHAIN_GENESIS,
    sealedAt: '2026-03-15T10:00:01.000Z',
  });
  const second: BatchFacts = {
    ...first,
    batchNo: 2,
    batchId: 20,
    firstOffset: 44n,
    nextOffset: 45n,
    counts: { ...NO_COUNTS, deadLetters: 1 },
    merkleRoot: merkleRoot([]),
    prevHash: first.hash,
    sealedAt: '2026-03-15T10:00:02.000Z',
  };
  return [first, seal(second)];
}
