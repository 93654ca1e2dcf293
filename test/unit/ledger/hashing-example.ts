/**
 * Owns: the worked example of docs/hashing.md: a batch of three entries, the batch that follows it in the chain with what it sets
 * aside, and the record of a command.
 */
import { emptyAccount } from '../../../src/ledger/account.js';
import { type BatchFacts, CHAIN_GENESIS, seal, type SealedBatch } from '../../../src/ledger/batch.js';
import { bookOpening } from '../../../src/ledger/charge.js';
import { entryHash } from '../../../src/ledger/canonical-entry.js';
import type { LedgerEntry } from '../../../src/ledger/entry.js';
import type { CommandRecord } from '../../../src/ledger/commands/command-content.js';
import type { DeadLetter } from '../../../src/ledger/dead-letter.js';
import { merkleRoot } from '../../../src/ledger/merkle.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { type AsideFacts, asideHash, asideRoot, letterFacts, parkedFacts } from '../../../src/ledger/set-aside.js';
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

/** What the second batch sets aside: a message that is no JSON, and a completion without a price for its output. */
export function exampleAside(): [letter: AsideFacts, parked: AsideFacts] {
  const letter: DeadLetter = {
    kafkaOffset: 44n,
    key: Buffer.from('tenant-1'),
    value: Buffer.from('{"schema_version": 1,'),
    headers: { 'content-type': ['YXBwbGljYXRpb24vanNvbg=='] },
    reason: 'INVALID_JSON',
    detail: 'the value is no JSON',
    tenantId: null,
    traceId: null,
    eventId: null,
  };
  const event = completed({ traceId: 'trace-3', pricing: { currency: 'USD', inputPer1k: '0.003' } });
  const parked = { kafkaOffset: 45n, tenantId: 'tenant-1', event, meters: ['output_tokens'] };
  return [letterFacts(SOURCE, letter), parkedFacts(SOURCE, parked)];
}

/** The record of a credit. */
export function exampleCommand(): CommandRecord {
  const content = { amount: '25.000000000', currency: 'USD', reason: 'invoice 7' };
  return { tenantId: 'tenant-1', key: 'invoice-7', kind: 'credit', actor: 'ops@example.com', content, seq: 4 };
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
    asideRoot: asideRoot([]),
    prevHash: CHAIN_GENESIS,
    sealedAt: '2026-03-15T10:00:01.000Z',
  });
  const second: BatchFacts = {
    ...first,
    batchNo: 2,
    batchId: 20,
    firstOffset: 44n,
    nextOffset: 46n,
    counts: { ...NO_COUNTS, deadLetters: 1, unpriced: 1 },
    merkleRoot: merkleRoot([]),
    asideRoot: asideRoot(exampleAside().map(asideHash)),
    prevHash: first.hash,
    sealedAt: '2026-03-15T10:00:02.000Z',
  };
  return [first, seal(second)];
}
