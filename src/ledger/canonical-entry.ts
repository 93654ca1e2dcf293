/**
 * Owns: the canonical form of an entry, and its hash.
 * Does not own: what an entry is (entry.ts), the tree over the hashes (merkle.ts).
 * Invariants: the canonical form is one line of fields in the order below, so that anyone can recompute the hash from the
 * row with any SHA-256; it covers every fact of the entry but `recordedAt` and `batchId`, which the sealed batch covers, so
 * that a replay of the same facts gives the same hashes.
 * The line is also what COPY reads: its bytes are made once, hashed where they lie, and sent. The hash is the entry's RFC 6962
 * leaf, so that the tree need not hash it again.
 */
import { hash } from 'node:crypto';
import { canonicalTexts, canonicalMeters, type LedgerEntry } from './entry.js';
import { FieldWriter } from './field-writer.js';
import { type AmountNano, formatAmount, ZERO } from './money.js';

/** What the canonical form of an entry begins with. */
export const ENTRY_DOMAIN = 'tollbook.entry.v1';
/** The byte before a leaf of a Merkle tree; source: RFC 6962 §2.1. */
const LEAF_PREFIX = '\u0000';
const LEAF_START = LEAF_PREFIX + ENTRY_DOMAIN;
const CANONICAL_AT = LEAF_PREFIX.length;
/** Where the columns of an entry begin in its leaf: behind the domain and a tab. */
export const FIELDS_AT = LEAF_START.length + 1;

/** An entry with its canonical form and its hash, each made once. */
export interface HashedEntry {
  readonly entry: LedgerEntry;
  /**
   * What is hashed: the leaf byte and the canonical form; from FIELDS_AT on the columns of the entry as COPY reads them. A view,
   * valid until the same writer hashes the next entry.
   */
  readonly leaf: Buffer;
  /** The 32 bytes of the hash, a character for each: a Buffer for each of thousands a second costs more than the hash. */
  readonly digest: string;
}

/** Makes canonical forms and hashes, one entry after the other, in a buffer of its own. */
export class EntryHasher {
  readonly #line = new FieldWriter(LEAF_START);
  readonly #balance = new AmountMemory();
  readonly #held = new AmountMemory();

  /** Hashes an entry; the leaf of the one before is lost. */
  hash(entry: LedgerEntry): HashedEntry {
    this.#write(entry);
    const leaf = this.#line.line();
    return { entry, leaf, digest: hash('sha256', leaf, 'binary') };
  }

  /** The canonical form of an entry. */
  canonical(entry: LedgerEntry): string {
    this.#write(entry);
    return this.#line.line().toString('utf8', CANONICAL_AT);
  }

  #write(entry: LedgerEntry): void {
    const line = this.#line;
    line.begin();
    line.text(entry.tenantId);
    line.integer(entry.seq);
    line.text(entry.traceId);
    line.text(entry.type);
    line.text(entry.status);
    this.#writeAmounts(entry);
    line.text(entry.currency);
    line.integer(entry.requests);
    line.text(entry.countedOn);
    this.#writeUsage(entry);
    line.text(entry.description);
    line.text(canonicalTexts(entry.detail));
    line.integer(entry.referenceSeq);
    line.text(entry.actor);
    line.text(entry.commandHash);
    line.text(entry.source.topic);
    line.integer(entry.source.partition);
    line.text(entry.source.kafkaOffset.toString());
    line.text(entry.occurredAt);
  }

  #writeAmounts(entry: LedgerEntry): void {
    const line = this.#line;
    line.text(formatAmount(entry.amountNano));
    line.text(this.#balance.textOf(entry.balanceBeforeNano));
    line.text(this.#balance.textOf(entry.balanceAfterNano));
    line.text(this.#held.textOf(entry.heldBeforeNano));
    line.text(this.#held.textOf(entry.heldAfterNano));
  }

  #writeUsage({ usage }: LedgerEntry): void {
    const line = this.#line;
    line.integer(usage.inputTokens);
    line.integer(usage.outputTokens);
    line.text(usage.inputPrice);
    line.text(usage.outputPrice);
    line.text(canonicalMeters(usage.meters));
    line.text(usage.priceVersion);
    line.text(usage.provider);
    line.text(usage.model);
    line.text(usage.apiKeyId);
    line.text(usage.presetItemId);
    line.flag(usage.stream);
    line.text(usage.outcome);
    line.flag(usage.allowNegative);
    line.text(usage.priceClass);
    line.text(usage.userId);
    line.text(usage.projectId);
    line.text(canonicalTexts(usage.tags));
  }
}

/** The text of the amount that was asked for last: an entry begins with the balance that the one before it left. */
class AmountMemory {
  #amount: AmountNano = ZERO;
  #text = formatAmount(ZERO);

  textOf(amount: AmountNano): string {
    if (amount !== this.#amount) {
      this.#amount = amount;
      this.#text = formatAmount(amount);
    }
    return this.#text;
  }
}

const hasher = new EntryHasher();

/**
 * The canonical form of an entry: its domain and its facts as fields of one line, separated by tabs. Amounts have nine
 * decimals; meters, tags and detail are JSON objects with names in ascending order; an absent value is `\N`; backslash, tab,
 * newline and carriage return in a text are escaped by a backslash.
 */
export function canonicalEntry(entry: LedgerEntry): string {
  return hasher.canonical(entry);
}

/** SHA-256 of a zero byte and the canonical form in UTF-8, as 64 hexadecimal digits: the entry's leaf in the Merkle tree. */
export function entryHash(entry: LedgerEntry): string {
  return Buffer.from(hasher.hash(entry).digest, 'latin1').toString('hex');
}
