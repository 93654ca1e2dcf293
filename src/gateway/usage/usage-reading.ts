/**
 * Owns: what a provider's usage becomes: exclusive meters, the provider's own totals, the price class, and whether the
 * count is whole.
 * Does not own: the shapes of the providers (one file for each), nor what usage costs (src/ledger/pricing.ts).
 * Invariants: a count that the provider did not report is absent, never zero; nothing here throws for what a provider
 * sent: a count that is none is named in `problems`, and the reading is then not complete.
 */
import { describeFound, isWireObject, type WireObject } from '../../contract/found-value.js';
import { METERS } from '../../ledger/meters.js';
import { ownValue } from '../../runtime/name-map.js';

/** Usage in exclusive meters: each token is in exactly one of them. */
export interface ExclusiveUsage {
  /** Input tokens that no meter counts. */
  readonly inputTokens: number;
  /** Output tokens that no meter counts. */
  readonly outputTokens: number;
  /** Quantity of each further meter, by meter name; only those above zero. */
  readonly meters?: Readonly<Record<string, number>>;
}

/** The totals that the provider itself reported; each is the sum of the meters of its side. */
export interface DeclaredTotals {
  readonly inputTokens?: number;
  readonly outputTokens?: number;
}

/** The same fields while they are filled in. */
export type Writable<T> = { -readonly [field in keyof T]: T[field] };

/** Price classes that have a name of their own with every provider; a provider may report others. */
export const PRICE_CLASSES = ['standard', 'priority', 'flex', 'batch'] as const;

/** What was read of a response, or of a stream so far. */
export interface UsageReading {
  /** Undefined while the provider has reported nothing: it is not known, and not zero. */
  readonly usage: ExclusiveUsage | undefined;
  readonly declared: DeclaredTotals;
  /** True once the provider has reported its final count, and every number of it could be read. */
  readonly complete: boolean;
  /** The class the request was served in, such as `priority`; undefined when the provider does not say. */
  readonly priceClass: string | undefined;
  /** What could not be read, or contradicts itself, one sentence each. */
  readonly problems: readonly string[];
}

/** How usage is read. */
export interface UsageOptions {
  /**
   * Meters that the prices in use price apart, such as `reasoning_output_tokens`. Only needed for reasoning, and for images
   * and video of the input: without a price of their own they are charged as ordinary tokens of their side.
   */
  readonly pricedApart?: readonly string[];
}

/** Follows a stream: hand it every chunk, then ask for the reading. */
export interface UsageReader {
  read(chunk: unknown): void;
  /** The reading so far; `complete` is false when the stream was cut before the final count. */
  reading(): UsageReading;
}

/** What is read when a provider has reported nothing. */
export const NOTHING_READ: UsageReading = {
  usage: undefined,
  declared: {},
  complete: false,
  priceClass: undefined,
  problems: [],
};

/** Modalities that providers always price apart. Folding them into text would charge them too low. */
const ALWAYS_APART: readonly string[] = [
  METERS.audioInputTokens,
  METERS.audioOutputTokens,
  METERS.imageOutputTokens,
  METERS.videoOutputTokens,
];

/** Tells whether a meter stands apart from the ordinary tokens of its side. */
export function isApart(meter: string, { pricedApart = [] }: UsageOptions): boolean {
  return ALWAYS_APART.includes(meter) || pricedApart.includes(meter);
}

/** A section of a provider's object; undefined where it is absent or null. */
export function sectionOf(parent: WireObject | undefined, name: string): WireObject | undefined {
  const value = parent === undefined ? undefined : ownValue(parent, name);
  return isWireObject(value) ? value : undefined;
}

/** A text of a provider's object; undefined where it is absent or no text. */
export function textOf(parent: WireObject | undefined, name: string): string | undefined {
  const value = parent === undefined ? undefined : ownValue(parent, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Reads counts of a provider's object and remembers what was no count. */
export class CountReader {
  readonly problems: string[] = [];

  /** A non-negative whole number; undefined where it is absent, null, or no count. */
  read(parent: WireObject | undefined, name: string): number | undefined {
    const value = parent === undefined ? undefined : ownValue(parent, name);
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    this.problems.push(`${name} is ${describeFound(value)}; allowed: a whole number from 0`);
    return undefined;
  }
}
