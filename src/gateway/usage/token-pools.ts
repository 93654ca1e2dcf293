/**
 * Owns: splitting one side of a provider's usage (its input, or its output) into exclusive meters.
 * Does not own: which parts a provider reports (the provider files).
 * Invariants: the meters of a side add up to its total exactly, whatever the parts say: no token is counted twice and none
 * is dropped. Parts that exceed their total are cut at it, in their order, and named as a problem.
 */
import { nameMap, type NameMap, ownValue } from '../../runtime/name-map.js';
import { type ExclusiveUsage, isApart, type UsageOptions, type Writable } from './usage-reading.js';

/** A part of a total, and the meter that counts it. */
export interface TokenPart {
  readonly meter: string;
  readonly tokens: number | undefined;
  /** Part of the total only where it is priced apart (default: always). */
  readonly unlessFolded?: boolean;
}

/** One side of the usage: what no meter counts, and the meters. */
export interface TokenSide {
  readonly rest: number;
  readonly meters: readonly (readonly [string, number])[];
  readonly problems: readonly string[];
}

/** Splits a total that includes its parts; what is left over is `rest`. */
export function splitTotal(total: number, parts: readonly TokenPart[], options: UsageOptions): TokenSide {
  let rest = total;
  const meters: [string, number][] = [];
  const problems: string[] = [];
  for (const { meter, tokens = 0, unlessFolded = false } of parts) {
    if (tokens === 0 || (unlessFolded && !isApart(meter, options))) continue;
    const counted = Math.min(tokens, rest);
    if (counted < tokens)
      problems.push(`${meter}: ${tokens} of ${total} tokens exceed what is left of the total (${rest})`);
    if (counted > 0) meters.push([meter, counted]);
    rest -= counted;
  }
  return { rest, meters, problems };
}

/** Puts both sides and the counts that are no tokens together. Built field by field: most requests have no meter at all. */
export function usageOf(
  input: TokenSide,
  output: TokenSide,
  others: readonly (readonly [string, number | undefined])[] = [],
): ExclusiveUsage {
  const usage: Writable<ExclusiveUsage> = { inputTokens: input.rest, outputTokens: output.rest };
  let meters: NameMap<number> | undefined;
  for (const counts of [input.meters, output.meters, others]) {
    for (const [meter, quantity = 0] of counts) {
      if (quantity === 0) continue;
      meters ??= nameMap();
      meters[meter] = (ownValue(meters, meter) ?? 0) + quantity;
    }
  }
  if (meters !== undefined) usage.meters = meters;
  return usage;
}

/** Adds counts; undefined when none of them is known. */
export function sumOf(counts: readonly (number | undefined)[]): number | undefined {
  const known = counts.filter((count) => count !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, count) => sum + count, 0);
}
