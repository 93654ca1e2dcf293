/**
 * Owns: whether the meters of a completion add up to no more than the totals that the provider itself reported: the guard
 * against senders whose `input_tokens` still include the cached ones, or whose `output_tokens` include the reasoning.
 * Does not own: the shape of the fields (usage-completed-dto.ts). A JSON Schema cannot say this rule, so the gate asks it.
 * Invariants: a meter is of the side whose name it ends with; fewer tokens than declared are allowed, since a gateway need
 * not meter what it does not charge.
 */

/** A side of the usage, as its total is named. */
export type TokenSide = 'input_tokens' | 'output_tokens';

/** The usage of a completion as far as the rule reads it. */
export interface DeclaredUsage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly meters?: Readonly<Record<string, number>> | undefined;
  readonly declared?: { readonly input_tokens?: number; readonly output_tokens?: number } | undefined;
}

const SIDES: readonly TokenSide[] = ['input_tokens', 'output_tokens'];

/** The tokens of a side, in every meter of it. */
export function tokensOf(side: TokenSide, tokens: number, meters: Readonly<Record<string, number>> = {}): number {
  let sum = tokens;
  for (const [meter, quantity] of Object.entries(meters)) if (meter.endsWith(side)) sum += quantity;
  return sum;
}

/** Says which side counts tokens twice and how to mend it; undefined when none does, or nothing is declared. */
export function declaredProblem({ usage }: { readonly usage: DeclaredUsage }): string | undefined {
  const { declared, meters } = usage;
  if (declared === undefined) return undefined;
  const side = SIDES.find((each) => tokensOf(each, usage[each], meters) > (declared[each] ?? Infinity));
  if (side === undefined) return undefined;
  const found = tokensOf(side, usage[side], meters);
  return (
    `usage: its ${side} meters add up to ${found}, and usage.declared.${side} is ${declared[side]}: ` +
    `send in usage.${side} only the tokens that no other meter counts`
  );
}
