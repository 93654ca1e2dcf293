/**
 * Owns: what the ledger must make of each request, and for how much: the simulator's own reading of the rules.
 * Does not own: sums (expectation.ts).
 * Invariants: costs come from the request's own exclusive counts, never from what a gateway read (gateway-reading.ts);
 * depends on the request and on whether its tenant has credit, never on the order in which messages arrive:
 * funded tenants have credit for everything, unfunded ones for nothing and they never stream.
 */
import { type AmountNano, ZERO } from '../ledger/money.js';
import { exactCost } from './exact-cost.js';
import { hasCompleted, hasPending, type SimulatedRequest } from './simulated-request.js';

/** How a request stands when everything has arrived: `open` is a hold that nothing settles, `failed` was not collected. */
export type Standing = 'committed' | 'failed' | 'voided' | 'open' | 'skipped' | 'unpriced';

/** What one request must come to. */
export interface Settlement {
  readonly standing: Standing;
  /** What the tenant pays. */
  readonly charged: AmountNano;
  /** What the tenant owes and cannot pay. */
  readonly uncollected: AmountNano;
  /** What stays reserved until the hold expires. */
  readonly held: AmountNano;
  /** The largest amount this request may take from what is available at any moment, in any order of arrival. */
  readonly needed: AmountNano;
}

/** The output a pending event reserves for when it names no bound: the contract's default. */
export const OUTPUT_TOKENS_MAX_DEFAULT = 4096;

/** Says what a request must come to; `funded` tells whether its tenant has credit. */
export function settlementOf(request: SimulatedRequest, funded: boolean): Settlement {
  const { kind } = request.fate;
  if (kind === 'skipped' || kind === 'unpriced') return settlement(kind, ZERO);
  const held = hasPending(request) ? estimateOf(request) : ZERO;
  if (!hasCompleted(request)) return settlement('open', held);
  if (isWithoutUsage(request)) return settlement('voided', held);
  return settlement(funded ? 'committed' : 'failed', held, costOf(request));
}

function settlement(standing: Standing, hold: AmountNano, cost: AmountNano = ZERO): Settlement {
  return {
    standing,
    charged: standing === 'committed' ? cost : ZERO,
    uncollected: standing === 'failed' ? cost : ZERO,
    held: standing === 'open' ? hold : ZERO,
    needed: hold > cost ? hold : cost,
  };
}

function estimateOf({ model, promptTokens, outputTokensMax }: SimulatedRequest): AmountNano {
  return exactCost([
    { quantity: promptTokens, per1k: model.inputPer1k },
    { quantity: outputTokensMax ?? OUTPUT_TOKENS_MAX_DEFAULT, per1k: model.outputPer1k },
  ]);
}

function costOf({ model, usage }: SimulatedRequest): AmountNano {
  const charges = [
    { quantity: usage.inputTokens, per1k: model.inputPer1k },
    { quantity: usage.outputTokens, per1k: model.outputPer1k },
  ];
  const add = (quantity: number | undefined, per1k: string | undefined): void => {
    if (quantity !== undefined && per1k !== undefined) charges.push({ quantity, per1k });
  };
  add(usage.cachedInputTokens, model.cachedInputPer1k);
  add(usage.cacheCreationInputTokens, model.cacheCreationPer1k);
  add(usage.reasoningOutputTokens, model.reasoningPer1k);
  return exactCost(charges);
}

function isWithoutUsage({ usage }: SimulatedRequest): boolean {
  return usage.inputTokens === 0 && usage.outputTokens === 0;
}
