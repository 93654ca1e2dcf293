/**
 * Owns: checking a receipt with nothing but the receipt: every hash in it is computed anew, and the first thing that does
 * not fit is named.
 * Does not own: its shape (receipt-shape.ts), how it was made.
 * Invariants: pure; needs no ledger, no Kafka and no settings; a receipt in which any single field was changed is not
 * valid.
 */
import { isDeepStrictEqual } from 'node:util';
import { batchOfCanonical } from '../ledger/batch-fields.js';
import { type BatchFacts, batchHash } from '../ledger/batch.js';
import { entryHash } from '../ledger/canonical-entry.js';
import type { LedgerEntry } from '../ledger/entry.js';
import { entryOfCanonical } from '../ledger/entry-fields.js';
import { rootOfPath } from '../ledger/merkle-path.js';
import { ownValue } from '../runtime/name-map.js';
import { type Anchor, anchorText, readAnchor } from './anchor.js';
import { batchFields, documentHash, entryFields, type Receipt } from './receipt.js';
import { readReceipt } from './receipt-shape.js';
import { sourceName } from './verify-chain.js';

/** What a check came to: what the receipt proves, or the first thing in it that does not fit. */
export type ReceiptVerdict =
  | ({ readonly kind: 'valid'; readonly receipt: Receipt } & ProvenReceipt)
  | { readonly kind: 'invalid'; readonly where: string; readonly why: string };

/** What a valid receipt proves. */
export interface ProvenReceipt {
  readonly entry: LedgerEntry;
  readonly batch: BatchFacts;
  /** The last batch that the links lead to: the batch itself without any. */
  readonly tip: BatchFacts;
  readonly anchor: Anchor | undefined;
}

type Misfit = Extract<ReceiptVerdict, { kind: 'invalid' }>;

/** Checks the text of a receipt. */
export function checkReceipt(document: string): ReceiptVerdict {
  const read = readReceipt(document);
  if (read.kind === 'misshapen') return misfit(read.where, read.why);
  const { receipt } = read;
  const entry = entryOfCanonical(receipt.entry.canonical);
  if (entry === undefined) return misfit('entry.canonical', 'is not the canonical form of an entry');
  const batch = batchOfCanonical(receipt.batch.canonical);
  if (batch === undefined) return misfit('batch.canonical', 'is not the canonical form of a batch');
  const chain = followLinks(receipt, batch);
  if ('kind' in chain) return chain;
  const anchor = readAnchorOf(receipt);
  if (anchor !== undefined && 'kind' in anchor) return anchor;
  const proven = { entry, batch, tip: chain.tip, anchor };
  return (
    checkEntry(receipt, proven) ??
    checkBatch(receipt, proven) ??
    checkInclusion(receipt, proven) ??
    checkHead(receipt, proven) ??
    checkAnchor(receipt, proven) ??
    checkDocument(receipt) ?? { kind: 'valid', receipt, ...proven }
  );
}

function misfit(where: string, why: string): Misfit {
  return { kind: 'invalid', where, why };
}

function checkEntry({ entry: found }: Receipt, { entry, batch }: ProvenReceipt): Misfit | undefined {
  if (entryHash(entry) !== found.hash) return misfit('entry.hash', 'is not the hash of the canonical form');
  if (!isDeepStrictEqual(entryFields(found.canonical), { ...found.fields })) {
    return misfit(
      'entry.fields',
      `do not say what the canonical form says: ${differing(entryFields(found.canonical), found.fields)}`,
    );
  }
  const { topic, partition, kafkaOffset } = entry.source;
  const isOfBatch = topic === batch.source.topic && partition === batch.source.partition;
  if (isOfBatch && kafkaOffset >= batch.firstOffset && kafkaOffset < batch.nextOffset) return undefined;
  return misfit(
    'entry.canonical',
    `comes from ${topic}/${partition} at ${kafkaOffset}, which the batch does not cover`,
  );
}

function checkBatch({ batch: found }: Receipt, { batch }: ProvenReceipt): Misfit | undefined {
  if (batchHash(batch).toString('hex') !== found.hash) {
    return misfit('batch.hash', 'is not the hash of the canonical form');
  }
  if (isDeepStrictEqual(batchFields(found.canonical), { ...found.fields })) return undefined;
  return misfit(
    'batch.fields',
    `do not say what the canonical form says: ${differing(batchFields(found.canonical), found.fields)}`,
  );
}

function differing(expected: Receipt['entry']['fields'], found: Receipt['entry']['fields']): string {
  const names = new Set([...Object.keys(expected), ...Object.keys(found)]);
  return [...names].filter((name) => ownValue(expected, name) !== ownValue(found, name)).join(', ');
}

function checkInclusion({ inclusion, entry }: Receipt, { batch }: ProvenReceipt): Misfit | undefined {
  const { leaf_index: leafIndex, tree_size: treeSize, path } = inclusion;
  const sealed = batch.counts.charged + batch.counts.openings;
  if (treeSize !== sealed) {
    return misfit('inclusion.tree_size', `is ${treeSize}, the batch sealed ${sealed} entries`);
  }
  if (leafIndex >= treeSize) return misfit('inclusion.leaf_index', `is ${leafIndex}, of ${treeSize} leaves`);
  const root = rootOfPath(entry.hash, { leafIndex, treeSize, path });
  if (root === undefined) return misfit('inclusion.path', `is not that of leaf ${leafIndex} of ${treeSize}`);
  if (root === batch.merkleRoot.toString('hex')) return undefined;
  return misfit('inclusion.path', `leads to ${root}, the Merkle root of the batch is another`);
}

/** The last batch that the links lead to, each the follower of the one before. */
function followLinks({ chain }: Receipt, batch: BatchFacts): { readonly tip: BatchFacts } | Misfit {
  let tip = batch;
  for (const [index, text] of chain.links.entries()) {
    const where = `chain.links.${index}`;
    const link = batchOfCanonical(text);
    if (link === undefined) return misfit(where, 'is not the canonical form of a batch');
    const follows = sourceName(link.source) === sourceName(tip.source) && link.batchNo === tip.batchNo + 1;
    if (!follows) return misfit(where, `is not the batch after ${sourceName(tip.source)}#${tip.batchNo}`);
    if (!link.prevHash.equals(batchHash(tip))) return misfit(where, 'does not name the hash of the batch before it');
    tip = link;
  }
  return { tip };
}

function checkHead({ chain, anchor }: Receipt, { tip }: ProvenReceipt): Misfit | undefined {
  const { head, reaches } = chain;
  if (head.batch_no < tip.batchNo) return misfit('chain.head.batch_no', `is before the last link, #${tip.batchNo}`);
  if (head.batch_no === tip.batchNo && head.hash !== batchHash(tip).toString('hex')) {
    return misfit('chain.head.hash', 'is not that of the batch that it names');
  }
  const expected = anchor !== null ? 'anchor' : head.batch_no === tip.batchNo ? 'head' : 'batch';
  if (reaches !== expected) return misfit('chain.reaches', `is ${reaches}, the links lead to: ${expected}`);
  if (reaches !== 'batch' || chain.links.length === 0) return undefined;
  return misfit('chain.links', 'lead neither to an anchor nor to the head');
}

function readAnchorOf({ anchor }: Receipt): Anchor | Misfit | undefined {
  if (anchor === null) return undefined;
  const found = readAnchor(JSON.stringify(anchor), 'anchor');
  if (found.kind === 'malformed') return misfit('anchor', found.why);
  if (isDeepStrictEqual(JSON.parse(anchorText(found.anchor)), anchor)) return found.anchor;
  return misfit('anchor', 'has fields that no anchor has');
}

function checkAnchor(_receipt: Receipt, { anchor, tip }: ProvenReceipt): Misfit | undefined {
  if (anchor === undefined) return undefined;
  const [anchored, reached] = [
    `${sourceName(anchor.source)}#${anchor.batchNo}`,
    `${sourceName(tip.source)}#${tip.batchNo}`,
  ];
  if (anchored !== reached) return misfit('anchor', `is of batch ${anchored}, the links lead to ${reached}`);
  if (anchor.hash !== batchHash(tip).toString('hex')) {
    return misfit('anchor.hash', 'is not that of the batch that the links lead to');
  }
  if (anchor.nextOffset !== tip.nextOffset)
    return misfit('anchor.next_offset', `is not that of the batch, ${tip.nextOffset}`);
  if (anchor.sealedAt !== tip.sealedAt) return misfit('anchor.sealed_at', `is not that of the batch, ${tip.sealedAt}`);
  return undefined;
}

function checkDocument(receipt: Receipt): Misfit | undefined {
  if (documentHash(receipt) === receipt.document_hash) return undefined;
  return misfit('document_hash', 'is not the hash of the document: a field that nothing else fixes was changed');
}
