/**
 * Owns: the ledger entry, its canonical form and its hash.
 * Does not own: which entries are written (trace.ts), the tree over their hashes (merkle.ts).
 * Invariants: the canonical form is a JSON array of strings and nulls in the order below, so that anyone can recompute
 * the hash from the row with any SHA-256; it covers every fact of the entry but `recordedAt` and `batchId`, which the
 * sealed batch covers, so that a replay of the same facts gives the same hashes.
 */
import { hash } from 'node:crypto';
import type { UsageOutcome } from './events.js';
import { type AmountNano, formatAmount } from './money.js';

/** What an entry does: charge usage, or one of the money commands. */
export type EntryType = 'DEDUCT' | 'CREDIT' | 'REFUND' | 'ADJUSTMENT' | 'LIMITS';

/** How far the thing it records has come. */
export type EntryStatus = 'PENDING' | 'REFUSED' | 'COMMITTED' | 'FAILED' | 'VOIDED' | 'EXPIRED';

/** A further meter of an entry: quantity and price per 1,000, by meter name. */
export type EntryMeters = Readonly<Record<string, { readonly quantity: number; readonly price: string }>>;

/** The stream position an entry came from; for a command, the command stream and its number. */
export interface EntrySource {
  readonly topic: string;
  readonly partition: number;
  readonly kafkaOffset: bigint;
}

/** The facts about a request that usage entries carry; all null for commands. */
export interface EntryUsage {
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
  /** Price per 1,000 input tokens, every digit as it came. */
  readonly inputPrice: string | null;
  readonly outputPrice: string | null;
  readonly meters: EntryMeters | null;
  readonly priceVersion: string | null;
  readonly provider: string | null;
  readonly model: string | null;
  readonly apiKeyId: string | null;
  readonly presetItemId: string | null;
  readonly stream: boolean | null;
  readonly outcome: UsageOutcome | null;
  readonly allowNegative: boolean | null;
}

/** One immutable row of the ledger. Amounts are nano-units of `currency`; times are ISO 8601 UTC with milliseconds. */
export interface LedgerEntry {
  readonly tenantId: string;
  /** Gapless per tenant, from 1. */
  readonly seq: number;
  readonly traceId: string;
  readonly type: EntryType;
  readonly status: EntryStatus;
  /** Charged, held, refused or uncollected amount by status; positive, but for adjustments. */
  readonly amountNano: AmountNano;
  readonly balanceBeforeNano: AmountNano;
  readonly balanceAfterNano: AmountNano;
  readonly heldBeforeNano: AmountNano;
  readonly heldAfterNano: AmountNano;
  readonly currency: string;
  /** The request it is about; NO_USAGE for commands. */
  readonly usage: EntryUsage;
  /** Change of the request count in the windows of `countedOn` (YYYY-MM-DD); null when nothing is counted. */
  readonly requests: -1 | 0 | 1;
  readonly countedOn: string | null;
  /** Why: a refusal code, `late`, or the reason an actor gave. */
  readonly description: string | null;
  /** Figures that belong to the description: refusal figures, or the terms of a LIMITS entry. */
  readonly detail: Readonly<Record<string, string>> | null;
  /** The seq of the entry this one refers to. */
  readonly referenceSeq: number | null;
  /** Who gave the command; null for usage. */
  readonly actor: string | null;
  readonly source: EntrySource;
  readonly occurredAt: string;
}

/** The usage facts of an entry that has none. */
export const NO_USAGE: EntryUsage = {
  inputTokens: null,
  outputTokens: null,
  inputPrice: null,
  outputPrice: null,
  meters: null,
  priceVersion: null,
  provider: null,
  model: null,
  apiKeyId: null,
  presetItemId: null,
  stream: null,
  outcome: null,
  allowNegative: null,
};

const ENTRY_DOMAIN = 'tollbook.entry.v1';

/**
 * The facts of an entry as text, in canonical order: what its hash covers, and what the store writes. Amounts have nine
 * decimals; meters and detail are those of `canonicalMeters` and `canonicalDetail`.
 */
export function entryTexts(entry: LedgerEntry): (string | null)[] {
  const { usage, source } = entry;
  return [
    entry.tenantId,
    String(entry.seq),
    entry.traceId,
    entry.type,
    entry.status,
    formatAmount(entry.amountNano),
    formatAmount(entry.balanceBeforeNano),
    formatAmount(entry.balanceAfterNano),
    formatAmount(entry.heldBeforeNano),
    formatAmount(entry.heldAfterNano),
    entry.currency,
    String(entry.requests),
    entry.countedOn,
    textOrNull(usage.inputTokens),
    textOrNull(usage.outputTokens),
    usage.inputPrice,
    usage.outputPrice,
    canonicalMeters(usage.meters),
    usage.priceVersion,
    usage.provider,
    usage.model,
    usage.apiKeyId,
    usage.presetItemId,
    textOrNull(usage.stream),
    usage.outcome,
    textOrNull(usage.allowNegative),
    entry.description,
    canonicalDetail(entry.detail),
    textOrNull(entry.referenceSeq),
    entry.actor,
    source.topic,
    String(source.partition),
    source.kafkaOffset.toString(),
    entry.occurredAt,
  ];
}

/** The canonical form of an entry: what its hash covers, as the text of a JSON array of strings and nulls. */
export function canonicalEntry(entry: LedgerEntry): string {
  return canonicalText(entryTexts(entry));
}

/** An entry with its texts and its hash, each made once. */
export interface HashedEntry {
  readonly entry: LedgerEntry;
  readonly texts: readonly (string | null)[];
  /** True when no text holds a quote, a backslash or a control character: its JSON needs no escape. */
  readonly isPlain: boolean;
  /** As 64 hexadecimal digits: a Buffer for each of thousands a second costs more than the hash. */
  readonly hashHex: string;
}

/** Makes the texts and the hash of an entry. */
export function hashed(entry: LedgerEntry): HashedEntry {
  const texts = entryTexts(entry);
  const text = canonicalText(texts);
  return { entry, texts, isPlain: !text.includes('\\'), hashHex: hash('sha256', text, 'hex') };
}

function canonicalText(texts: readonly (string | null)[]): string {
  return `["${ENTRY_DOMAIN}",${JSON.stringify(texts).slice(1)}`;
}

/** SHA-256 of the canonical form in UTF-8, as 64 hexadecimal digits. */
export function entryHash(entry: LedgerEntry): string {
  return hashed(entry).hashHex;
}

/** Meters as text with names in ascending code-unit order: `[["name","quantity","price"],…]`; null when there are none. */
export function canonicalMeters(meters: EntryMeters | null): string | null {
  if (meters === null) return null;
  const names = Object.keys(meters).sort();
  return JSON.stringify(names.map((name) => [name, String(meters[name]?.quantity), meters[name]?.price]));
}

function canonicalDetail(detail: Readonly<Record<string, string>> | null): string | null {
  if (detail === null) return null;
  const names = Object.keys(detail).sort();
  return JSON.stringify(names.map((name) => [name, detail[name]]));
}

function textOrNull(value: number | boolean | null): string | null {
  return value === null ? null : String(value);
}

/** The signed change of the balance that an entry of this kind and amount makes, in nano-units. */
export function balanceEffect(entry: Pick<LedgerEntry, 'type' | 'status' | 'amountNano'>): bigint {
  if (entry.status !== 'COMMITTED' || entry.type === 'LIMITS') return 0n;
  return entry.type === 'DEDUCT' ? -entry.amountNano : entry.amountNano;
}
