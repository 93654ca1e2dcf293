/** Owns: random ledger entries and batches: every field at its limits, free texts with whatever a database can hold. */
import fc from 'fast-check';
import type { BatchFacts } from '../../src/ledger/batch.js';
import type { EntryStatus, EntryType, LedgerEntry } from '../../src/ledger/entry.js';
import { AMOUNT_LIMIT_NANO, amountNano } from '../../src/ledger/money.js';
import { PROTOTYPE_NAMES } from './wire-events.js';

const identifiers = fc.stringMatching(/^[A-Za-z0-9._:@/|=+%#!$&*-][A-Za-z0-9._:@/|=+~%#!$&*-]{0,40}$/);
const counts = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const prices = fc.stringMatching(/^(0|[1-9]\d{0,5})(\.\d{1,15})?$/);
const amounts = fc
  .oneof(fc.bigInt(1n - AMOUNT_LIMIT_NANO, AMOUNT_LIMIT_NANO - 1n), fc.constantFrom(0n, 1n, -1n, 10n ** 9n))
  .map(amountNano);
const times = fc
  .date({ min: new Date('2000-01-01T00:00:00.000Z'), max: new Date('2099-12-31T23:59:59.999Z'), noInvalidDate: true })
  .map((date) => date.toISOString());

/** Texts that a text column can hold: anything but NUL and lone surrogates; often what COPY escapes. */
const texts = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll('\0', '')),
  fc.string({
    unit: fc.constantFrom('\\', '\t', '\n', '\r', '\b', '\f', '\v', 'N', 'n', '"', 'é', '💶', ' '),
    maxLength: 8,
  }),
);
/** jsonb knows no NUL either. */
const names = fc.oneof(fc.stringMatching(/^[a-z_]{1,12}$/), texts, fc.constantFrom(...PROTOTYPE_NAMES));
const optional = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(values, { nil: null, freq: 2 });
const types: readonly EntryType[] = ['DEDUCT', 'CREDIT', 'REFUND', 'ADJUSTMENT', 'LIMITS'];
const statuses: readonly EntryStatus[] = ['PENDING', 'REFUSED', 'COMMITTED', 'FAILED', 'VOIDED', 'EXPIRED'];

/** Any entry that the ledger's table can hold, whether the ledger would write it or not. */
export const anyEntry: fc.Arbitrary<LedgerEntry> = fc.record({
  tenantId: identifiers,
  seq: counts,
  traceId: identifiers,
  type: fc.constantFrom(...types),
  status: fc.constantFrom(...statuses),
  amountNano: amounts,
  balanceBeforeNano: amounts,
  balanceAfterNano: amounts,
  heldBeforeNano: amounts,
  heldAfterNano: amounts,
  currency: fc.constantFrom('USD', 'EUR'),
  usage: fc.record({
    inputTokens: optional(counts),
    outputTokens: optional(counts),
    inputPrice: optional(prices),
    outputPrice: optional(prices),
    meters: optional(fc.dictionary(names, fc.record({ quantity: counts, price: texts }), { minKeys: 1, maxKeys: 4 })),
    priceVersion: optional(texts),
    provider: optional(texts),
    model: optional(texts),
    apiKeyId: optional(texts),
    presetItemId: optional(texts),
    stream: optional(fc.boolean()),
    outcome: optional(fc.constantFrom('succeeded' as const, 'failed' as const, 'cancelled' as const)),
    allowNegative: optional(fc.boolean()),
    priceClass: optional(texts),
    userId: optional(texts),
    projectId: optional(texts),
    tags: optional(fc.dictionary(names, texts, { minKeys: 1, maxKeys: 4 })),
  }),
  requests: fc.constantFrom(-1 as const, 0 as const, 1 as const),
  countedOn: optional(times.map((time) => time.slice(0, 10))),
  description: optional(texts),
  detail: optional(fc.dictionary(names, texts, { minKeys: 1, maxKeys: 4 })),
  referenceSeq: optional(counts),
  actor: optional(texts),
  commandHash: optional(fc.stringMatching(/^[0-9a-f]{64}$/)),
  source: fc.record({
    topic: fc.constantFrom('usage.completed', '~commands'),
    partition: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    kafkaOffset: fc.bigInt(0n, 2n ** 62n),
  }),
  occurredAt: times,
});

const hashes = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const messages = fc.integer({ min: 0, max: 2 ** 31 - 1 });

/** Any batch that the ledger's table can hold. */
export const anyBatch: fc.Arbitrary<BatchFacts> = fc.record({
  source: fc.record({ topic: fc.oneof(fc.constant('usage.completed'), texts), partition: messages }),
  batchNo: counts,
  batchId: counts,
  firstOffset: fc.bigInt(0n, 2n ** 62n),
  nextOffset: fc.bigInt(0n, 2n ** 62n),
  counts: fc.record({
    ...{ charged: messages, openings: messages, duplicates: messages, superseded: messages },
    ...{ skipped: messages, unpriced: messages, deadLetters: messages },
  }),
  merkleRoot: hashes,
  asideRoot: hashes,
  prevHash: hashes,
  sealedAt: times,
});
