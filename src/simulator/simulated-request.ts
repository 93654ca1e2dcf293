/**
 * Owns: what each simulated request is: its tenant, key, model, tokens, whether it streams, and how it ends.
 * Does not own: its wire form (wire-event.ts), what it must cost (settlement.ts), when it arrives (arrival-order.ts).
 * Invariants: a request is a pure function of the options, the inputs and its number, so that a plan of a million requests
 * keeps none of them; a tenant without credit never streams; every charge that is not void costs at least one nano-unit.
 */
import type { PriceMap, PricedModel } from './price-map.js';
import { reportsCacheWrites, reportsReasoning } from './provider-shapes.js';
import type { RandomSource, SeededRandom } from './seeded-random.js';
import type { SimulationOptions } from './simulation-options.js';
import type { TenantPopulation } from './tenant-population.js';
import type { Timeline } from './timeline.js';

/** Why the ledger must skip a request. */
export type SkipForm = 'internal' | 'noPricing' | 'noTenant';

/** What is wrong with the prices of an unpriced request. */
export type UnpricedForm = 'inputMissing' | 'outputMissing' | 'meterMissing';

/** How a request ends; `abandoned` never completes, because its gateway died. */
export type Fate =
  | { readonly kind: 'succeeded' | 'abandoned' }
  | { readonly kind: 'cancelled' | 'failed'; readonly used: 'some' | 'none' }
  | { readonly kind: 'skipped'; readonly form: SkipForm }
  | { readonly kind: 'unpriced'; readonly form: UnpricedForm };

/** One simulated request; times are in milliseconds since the start of the simulation. */
export interface SimulatedRequest {
  readonly number: number;
  readonly fate: Fate;
  /** Position in the population. */
  readonly tenant: number;
  /** Which of the tenant's keys, from 0. */
  readonly apiKey: number;
  readonly model: PricedModel;
  readonly stream: boolean;
  /** The length of the prompt: what a pending event estimates as input. */
  readonly promptTokens: number;
  /** The bound on the output that the client asked for; undefined leaves it to the contract's default. */
  readonly outputTokensMax: number | undefined;
  /** What the completed event reports. */
  readonly usage: SimulatedUsage;
  /** Whether a streaming completion says `allow_negative: true` rather than leaving it to the default. */
  readonly saysAllowNegative: boolean;
  readonly startMs: number;
  readonly endMs: number;
}

/** The quantities of a completed request; each token is in one of them, but for `thoughtTokens`. Absent meters are undefined. */
export interface SimulatedUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Input tokens read from the provider's cache. */
  readonly cachedInputTokens: number | undefined;
  /** Input tokens written to the provider's cache. */
  readonly cacheCreationInputTokens: number | undefined;
  /** Output tokens spent on reasoning, where the model has a price for them. */
  readonly reasoningOutputTokens: number | undefined;
  /** Of `outputTokens`, those spent on reasoning that costs what other output costs: providers report them all the same. */
  readonly thoughtTokens: number;
}

/** What requests are made of. */
export interface RequestSources {
  readonly options: SimulationOptions;
  readonly prices: PriceMap;
  readonly population: TenantPopulation;
  readonly timeline: Timeline;
  readonly random: RandomSource;
}

const KEYS_PER_TENANT = 3;
const OUTPUT_BOUNDS: readonly [undefined, ...(number | undefined)[]] = [undefined, 256, 1024, 8192];
const SKIP_FORMS: readonly [SkipForm, ...SkipForm[]] = ['internal', 'noPricing', 'noTenant'];
const UNPRICED_FORMS: readonly [UnpricedForm, ...UnpricedForm[]] = ['inputMissing', 'outputMissing', 'meterMissing'];
/** Nothing but input and output, and none of those. */
export const NO_USAGE: SimulatedUsage = {
  inputTokens: 0,
  outputTokens: 0,
  cachedInputTokens: undefined,
  cacheCreationInputTokens: undefined,
  reasoningOutputTokens: undefined,
  thoughtTokens: 0,
};

/** Makes the request of a number, from 0. */
export function requestOf(number: number, sources: RequestSources): SimulatedRequest {
  const { options, prices, population, timeline } = sources;
  const random = sources.random('request', number);
  const tenant = population.pick(random.fraction());
  const funded = population.funded[tenant] === true;
  const fate = drawFate(random, options, funded);
  const streams = random.fraction() < options.streamShare;
  const row = timeline.rowOf(number);
  const model = random.pick(prices.models);
  const promptTokens = Math.max(1, row.contextTokens);
  const generatedTokens = Math.max(1, row.generatedTokens);
  const { meteredShare } = options;
  return {
    number,
    fate,
    tenant,
    apiKey: random.below(KEYS_PER_TENANT),
    model,
    stream: fate.kind === 'abandoned' || (streams && mayStream(fate, funded)),
    promptTokens,
    outputTokensMax: random.pick(OUTPUT_BOUNDS),
    saysAllowNegative: random.fraction() < 0.5,
    usage: drawUsage(random, { promptTokens, generatedTokens, fate, model, meteredShare }),
    startMs: timeline.startOf(number),
    endMs: timeline.endOf(number),
  };
}

/** Tells whether a request announces itself with a pending event. */
export function hasPending(request: SimulatedRequest): boolean {
  return request.stream;
}

/** Tells whether a request reports its end with a completed event. */
export function hasCompleted(request: SimulatedRequest): boolean {
  return request.fate.kind !== 'abandoned';
}

/** Tells whether usage is counted in any other meter than input and output. */
export function hasFurtherMeter({
  cachedInputTokens,
  cacheCreationInputTokens,
  reasoningOutputTokens,
}: SimulatedUsage): boolean {
  return (cachedInputTokens ?? cacheCreationInputTokens ?? reasoningOutputTokens) !== undefined;
}

/** One draw decides, so that the shares are those of all requests; an unfunded tenant's gateways never die mid-stream. */
function drawFate(random: SeededRandom, options: SimulationOptions, funded: boolean): Fate {
  let left = random.fraction();
  const form = random.uint32();
  const isWithin = (share: number): boolean => (left -= share) < 0;
  if (isWithin(options.skippedShare)) return { kind: 'skipped', form: at(SKIP_FORMS, form) };
  if (isWithin(options.unpricedShare)) return { kind: 'unpriced', form: at(UNPRICED_FORMS, form) };
  if (isWithin(options.cancelledShare)) return { kind: 'cancelled', used: form % 2 === 0 ? 'some' : 'none' };
  if (isWithin(options.failedShare)) return { kind: 'failed', used: form % 2 === 0 ? 'some' : 'none' };
  if (isWithin(options.abandonedShare) && funded) return { kind: 'abandoned' };
  return { kind: 'succeeded' };
}

/** An unpriced or internal request has no hold that its completion could settle, and so announces nothing. */
function mayStream(fate: Fate, funded: boolean): boolean {
  if (fate.kind === 'skipped') return fate.form !== 'internal';
  return funded && fate.kind !== 'unpriced';
}

interface UsageDraw {
  readonly promptTokens: number;
  readonly generatedTokens: number;
  readonly fate: Fate;
  readonly model: PricedModel;
  readonly meteredShare: number;
}

function drawUsage(random: SeededRandom, draw: UsageDraw): SimulatedUsage {
  const { promptTokens, generatedTokens, fate, model, meteredShare } = draw;
  const part = random.fraction();
  const metered = random.fraction() < meteredShare && model.cachedInputPer1k !== undefined;
  const writtenPart = random.fraction();
  const thinks = random.fraction() < meteredShare && reportsReasoning(model);
  const thoughtPart = random.fraction();
  if ((fate.kind === 'cancelled' || fate.kind === 'failed') && fate.used === 'none') return NO_USAGE;
  const unpriced = fate.kind === 'unpriced';
  const withCache = unpriced ? fate.form === 'meterMissing' : metered;
  const cached = withCache ? Math.floor(promptTokens * part) : 0;
  const mayWrite = withCache && !unpriced && model.cacheCreationPer1k !== undefined && reportsCacheWrites(model);
  const written = mayWrite ? Math.floor((promptTokens - cached) * writtenPart) : 0;
  const outputTokens = outputTokensOf(fate, generatedTokens, part);
  const thoughts = thinks && !unpriced ? Math.floor(outputTokens * thoughtPart) : 0;
  const reasoning = model.reasoningPer1k === undefined ? 0 : thoughts;
  return {
    inputTokens: promptTokens - cached - written,
    outputTokens: outputTokens - reasoning,
    cachedInputTokens: withCache ? Math.max(1, cached) : undefined,
    cacheCreationInputTokens: aboveZero(written),
    reasoningOutputTokens: aboveZero(reasoning),
    thoughtTokens: thoughts - reasoning,
  };
}

/** A meter that counts nothing is left out. */
function aboveZero(tokens: number): number | undefined {
  return tokens > 0 ? tokens : undefined;
}

/** A failed request produced nothing, a cancelled one a part. */
function outputTokensOf(fate: Fate, generatedTokens: number, part: number): number {
  if (fate.kind === 'failed') return 0;
  return fate.kind === 'cancelled' ? Math.floor(generatedTokens * part) : generatedTokens;
}

function at<T>(list: readonly [T, ...T[]], number: number): T {
  return list[number % list.length] ?? list[0];
}
