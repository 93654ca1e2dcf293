/**
 * Owns: making a reading of both sides of a usage object, each a total with its parts.
 * Does not own: where a provider keeps totals and parts.
 * Invariants: nothing reported on either side gives no usage at all; a side that is missing counts nothing, is named in
 * `problems`, and leaves the reading incomplete.
 */
import { splitTotal, type TokenPart, usageOf } from './token-pools.js';
import {
  type CountReader,
  type DeclaredTotals,
  NOTHING_READ,
  type UsageOptions,
  type UsageReading,
  type Writable,
} from './usage-reading.js';

/** The parts of one reading; totals include their parts. */
export interface ReportedSides {
  readonly input: { readonly total: number | undefined; readonly parts: readonly TokenPart[] };
  readonly output: { readonly total: number | undefined; readonly parts: readonly TokenPart[] };
  /** Counts that are no tokens, such as web searches. */
  readonly others?: readonly (readonly [string, number | undefined])[];
  /** The provider has reported its final count. */
  readonly isFinal: boolean;
  readonly priceClass: string | undefined;
}

/** Makes the reading. */
export function readingOf(sides: ReportedSides, counts: CountReader, options: UsageOptions): UsageReading {
  const { input, output, others, isFinal, priceClass } = sides;
  if (input.total === undefined && output.total === undefined) {
    return { ...NOTHING_READ, priceClass, problems: counts.problems };
  }
  const inputSide = splitTotal(input.total ?? 0, input.parts, options);
  const outputSide = splitTotal(output.total ?? 0, output.parts, options);
  const problems = [...counts.problems, ...inputSide.problems, ...outputSide.problems];
  const declared: Writable<DeclaredTotals> = {};
  if (input.total === undefined) problems.push('the provider reported no input tokens');
  else declared.inputTokens = input.total;
  if (output.total === undefined) problems.push('the provider reported no output tokens');
  else declared.outputTokens = output.total;
  return {
    usage: usageOf(inputSide, outputSide, others),
    declared,
    complete: isFinal && problems.length === 0,
    priceClass,
    problems,
  };
}
