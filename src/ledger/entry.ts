/**
 * Owns: the ledger entry: what it says, and the JSON forms of the parts of it that are objects.
 * Does not own: which entries are written (trace.ts), its canonical form and its hash (canonical-entry.ts).
 */
import { ownValue } from '../runtime/name-map.js';
import type { UsageOutcome } from './events.js';
import type { AmountNano } from './money.js';

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
  /** The class that the request was served in, as its event says; null: it says none, which is the standard one. */
  readonly priceClass: string | null;
  /** Whose usage it was, besides the tenant's. */
  readonly userId: string | null;
  readonly projectId: string | null;
  readonly tags: Readonly<Record<string, string>> | null;
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
  /** Figures: of a refusal, of the quota that a charge exceeds, or the terms of a LIMITS entry. */
  readonly detail: Readonly<Record<string, string>> | null;
  /** The seq of the entry this one refers to. */
  readonly referenceSeq: number | null;
  /** Who gave the command; null for usage. */
  readonly actor: string | null;
  /** Hash of the command's record (commands/command-hash.ts), 64 hexadecimal digits; null for usage. */
  readonly commandHash: string | null;
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
  priceClass: null,
  userId: null,
  projectId: null,
  tags: null,
};

/** Meters as a JSON object, names in ascending code-unit order: `{"name":{"quantity":1,"price":"5"},…}`; null without any. */
export function canonicalMeters(meters: EntryMeters | null): string | null {
  if (meters === null) return null;
  const parts = ascendingNames(meters).map((name) => {
    const meter = ownValue(meters, name);
    return `${JSON.stringify(name)}:{"quantity":${String(meter?.quantity)},"price":${JSON.stringify(meter?.price)}}`;
  });
  return `{${parts.join(',')}}`;
}

/** A detail, or tags, as a JSON object, names in ascending code-unit order: `{"name":"value",…}`; null without any. */
export function canonicalTexts(texts: Readonly<Record<string, string>> | null): string | null {
  if (texts === null) return null;
  const parts = ascendingNames(texts).map((name) => `${JSON.stringify(name)}:${JSON.stringify(ownValue(texts, name))}`);
  return `{${parts.join(',')}}`;
}

function ascendingNames(record: object): string[] {
  const names = Object.keys(record);
  return names.every((name, index) => index === 0 || (names[index - 1] ?? '') < name) ? names : names.sort();
}

/** The signed change of the balance that an entry of this kind and amount makes, in nano-units. */
export function balanceEffect(entry: Pick<LedgerEntry, 'type' | 'status' | 'amountNano'>): bigint {
  if (entry.status !== 'COMMITTED' || entry.type === 'LIMITS') return 0n;
  return entry.type === 'DEDUCT' ? -entry.amountNano : entry.amountNano;
}
