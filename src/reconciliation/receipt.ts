/**
 * Owns: the receipt: a document that proves, to whoever has nothing else, that an entry is in the ledger; its fields, and
 * how it is made of the facts.
 * Does not own: checking one (receipt-check.ts), reading the facts (receipt-facts.ts). Format: docs/receipts.md.
 * Invariants: pure; everything in it follows from the ledger and the anchors, but for `issued_at`.
 */
import { hash } from 'node:crypto';
import { BATCH_FIELDS, textsOf } from '../ledger/batch-fields.js';
import { canonicalJson } from '../ledger/canonical-json.js';
import { type BatchFacts, batchHash, canonicalBatch } from '../ledger/batch.js';
import { canonicalEntry, entryHash } from '../ledger/canonical-entry.js';
import type { LedgerEntry } from '../ledger/entry.js';
import { unescapedField } from '../ledger/entry-fields.js';
import type { MerklePath } from '../ledger/merkle-path.js';
import { ENTRY_COLUMNS } from '../ledger/postgres/rows.js';
import { type Anchor, anchorText } from './anchor.js';

/** What `format` says. */
export const RECEIPT_FORMAT = 'tollbook.receipt.v1';

/** How far a receipt reaches: to an anchor, to the head of the chain as it was, or no further than the batch itself. */
export type ReceiptReach = 'anchor' | 'head' | 'batch';

/** A value in canonical form, with its hash and its fields as people read them. */
export interface SealedText {
  readonly canonical: string;
  readonly hash: string;
  /** By column name; every value is a text, or null. */
  readonly fields: Readonly<Record<string, string | null>>;
}

/** A receipt, as it stands in its JSON document. */
export interface Receipt {
  readonly format: typeof RECEIPT_FORMAT;
  readonly issued_at: string;
  readonly entry: SealedText;
  readonly inclusion: { readonly leaf_index: number; readonly tree_size: number; readonly path: readonly string[] };
  readonly batch: SealedText;
  readonly chain: {
    readonly reaches: ReceiptReach;
    /** The canonical forms of the batches after that of the entry, up to what it reaches. */
    readonly links: readonly string[];
    /** The head of the chain when the receipt was issued. */
    readonly head: { readonly batch_no: number; readonly hash: string };
  };
  /** The anchor that the links lead to, as it was published. */
  readonly anchor: unknown;
  readonly document_hash: string;
}

/** What a receipt is made of. */
export interface ReceiptFacts {
  readonly issuedAt: string;
  readonly entry: LedgerEntry;
  readonly path: MerklePath;
  readonly batch: BatchFacts;
  readonly links: readonly BatchFacts[];
  readonly head: { readonly batchNo: number; readonly hash: string };
  readonly anchor: Anchor | undefined;
}

/** Makes a receipt. */
export function receiptOf(facts: ReceiptFacts): Receipt {
  const { issuedAt, entry, path, batch, links, head, anchor } = facts;
  const receipt = {
    format: RECEIPT_FORMAT,
    issued_at: issuedAt,
    entry: sealedEntry(entry),
    inclusion: { leaf_index: path.leafIndex, tree_size: path.treeSize, path: path.path },
    batch: sealedBatch(batch),
    chain: {
      reaches: reachOf(facts),
      links: links.map(canonicalBatch),
      head: { batch_no: head.batchNo, hash: head.hash },
    },
    anchor: anchor === undefined ? null : (JSON.parse(anchorText(anchor)) as unknown),
  } as const;
  return { ...receipt, document_hash: documentHash(receipt) };
}

function reachOf({ anchor, batch, links, head }: ReceiptFacts): ReceiptReach {
  if (anchor !== undefined) return 'anchor';
  return (links[links.length - 1] ?? batch).batchNo === head.batchNo ? 'head' : 'batch';
}

function sealedEntry(entry: LedgerEntry): SealedText {
  const canonical = canonicalEntry(entry);
  return { canonical, hash: entryHash(entry), fields: entryFields(canonical) };
}

function sealedBatch(batch: BatchFacts): SealedText {
  const canonical = canonicalBatch(batch);
  return { canonical, hash: batchHash(batch).toString('hex'), fields: batchFields(canonical) };
}

/** The fields of the canonical form of an entry by column. */
export function entryFields(canonical: string): Record<string, string | null> {
  const [, ...fields] = canonical.split('\t');
  return Object.fromEntries(fields.map((field, at) => [ENTRY_COLUMNS[at] ?? String(at), unescapedField(field)]));
}

/** The values of the canonical form of a batch by column. */
export function batchFields(canonical: string): Record<string, string | null> {
  const [, ...values] = textsOf(canonical) ?? [];
  return Object.fromEntries(values.map((value, at) => [BATCH_FIELDS[at] ?? String(at), value]));
}

/** SHA-256 of a document without its own hash, as JSON without blanks and with names in ascending order. */
export function documentHash(document: object): string {
  const { document_hash: _hash, ...rest } = document as { document_hash?: unknown };
  return hash('sha256', canonicalJson(rest), 'hex');
}
