/**
 * Owns: reading the canonical form of a batch back: the inverse of `canonicalBatch` (batch.ts).
 * Invariants: pure; `canonicalBatch` of what is read here is the text it was read from, or it was no canonical form.
 */
import { type BatchFacts, canonicalBatch } from './batch.js';

/** The values of the canonical form by the names of their columns, in its order, after the domain: docs/hashing.md. */
export const BATCH_FIELDS = [
  ...['topic', 'partition', 'batch_no', 'batch_id', 'first_offset', 'next_offset', 'charged', 'openings', 'duplicates'],
  ...['superseded', 'skipped', 'unpriced', 'dead_letters', 'merkle_root', 'aside_root', 'prev_hash', 'sealed_at'],
] as const;

/** Reads the canonical form of a batch; undefined when the text is none. */
export function batchOfCanonical(text: string): BatchFacts | undefined {
  const values = textsOf(text);
  if (values?.length !== BATCH_FIELDS.length + 1) return undefined;
  const [, topic = '', partition, batchNo, batchId, firstOffset = '', nextOffset = '', ...more] = values;
  const [charged, openings, duplicates, superseded, skipped, unpriced, deadLetters, ...ends] = more;
  const [merkleRoot = '', asideRoot = '', prevHash = '', sealedAt = ''] = ends;
  if (!/^\d+$/.test(firstOffset) || !/^\d+$/.test(nextOffset)) return undefined;
  const batch: BatchFacts = {
    source: { topic, partition: Number(partition) },
    batchNo: Number(batchNo),
    batchId: Number(batchId),
    firstOffset: BigInt(firstOffset),
    nextOffset: BigInt(nextOffset),
    counts: {
      charged: Number(charged),
      openings: Number(openings),
      duplicates: Number(duplicates),
      superseded: Number(superseded),
      skipped: Number(skipped),
      unpriced: Number(unpriced),
      deadLetters: Number(deadLetters),
    },
    merkleRoot: Buffer.from(merkleRoot, 'hex'),
    asideRoot: Buffer.from(asideRoot, 'hex'),
    prevHash: Buffer.from(prevHash, 'hex'),
    sealedAt,
  };
  return canonicalBatch(batch) === text ? batch : undefined;
}

/** The texts of a JSON array of strings; undefined for anything else. */
export function textsOf(text: string): string[] | undefined {
  try {
    const values: unknown = JSON.parse(text);
    return Array.isArray(values) && values.every((value) => typeof value === 'string') ? values : undefined;
  } catch {
    // Not JSON, so no canonical form.
    return undefined;
  }
}
