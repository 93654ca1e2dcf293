/**
 * Owns: in which provider's shape each simulated request reports its usage, and how far that count reaches the gateway.
 * Does not own: the objects themselves (provider-reports.ts), nor how a gateway reads them (gateway-reading.ts).
 * Invariants: pure functions of the request, so that an expectation can count shapes without reading any usage.
 */
import type { PricedModel } from './price-map.js';
import type { SimulatedRequest } from './simulated-request.js';

/** The shapes in which simulated providers report usage, each with the name a reader knows it by. */
export const USAGE_SHAPES = {
  openAiChat: 'OpenAI chat',
  openAiResponses: 'OpenAI Responses',
  anthropic: 'Anthropic',
  gemini: 'Gemini',
  liteLlm: 'LiteLLM',
} as const;

/** One name of USAGE_SHAPES; `usageFrom` has a reader of each. */
export type UsageShape = keyof typeof USAGE_SHAPES;

/** How far a provider's count reaches the gateway: to its end, until a stream was cut, or not at all. */
export type CountReach = 'final' | 'cut' | 'nothing';

/** Providers with a shape of their own, and those that speak OpenAI's. The others are reached through LiteLLM. */
const SHAPE_OF_PROVIDER: ReadonlyMap<string, UsageShape> = new Map([
  ['openai', 'openAiChat'],
  ['mistral', 'openAiChat'],
  ['xai', 'openAiChat'],
  ['deepseek', 'openAiChat'],
  ['groq', 'openAiChat'],
  ['anthropic', 'anthropic'],
  ['gemini', 'gemini'],
]);

/** Shapes whose streams count along the way; the others count once, at the end. */
const COUNTS_ALONG: ReadonlySet<UsageShape> = new Set<UsageShape>(['anthropic', 'gemini']);

/** Names the shape of a request: that of its provider; every second request to OpenAI uses the Responses API. */
export function usageShapeOf({ model, number }: Pick<SimulatedRequest, 'model' | 'number'>): UsageShape {
  if (model.provider === 'openai' && number % 2 === 1) return 'openAiResponses';
  return SHAPE_OF_PROVIDER.get(model.provider) ?? 'liteLlm';
}

/** Tells whether a provider reports what it wrote to its cache: Gemini bills its cache apart from requests. */
export function reportsCacheWrites({ provider }: PricedModel): boolean {
  return SHAPE_OF_PROVIDER.get(provider) !== 'gemini';
}

/**
 * Tells whether reasoning is simulated: xAI counts it beside the output, although it speaks OpenAI's shape otherwise, and no
 * reader of that shape could know.
 */
export function reportsReasoning({ provider }: PricedModel): boolean {
  return provider !== 'xai';
}

/**
 * Says how far the count of a request reaches its gateway. Where a provider counts only at the end, a gateway whose client
 * has left reads the stream to its end, or it would never know what the request used.
 */
export function countReachOf(request: SimulatedRequest): CountReach {
  const { fate, stream } = request;
  if (fate.kind !== 'cancelled' && fate.kind !== 'failed') return 'final';
  if (fate.used === 'none') return 'nothing';
  return stream && COUNTS_ALONG.has(usageShapeOf(request)) ? 'cut' : 'final';
}
