/**
 * Owns: reading the usage that LiteLLM hands to callbacks and clients, whichever provider served.
 * Source: the class Usage of the Python package `litellm` 1.110 (litellm/types/utils.py).
 * Invariants: LiteLLM counts as OpenAI does: cached and written tokens are within `prompt_tokens`, also for Anthropic.
 * The fields of Anthropic's names beside it repeat those counts and are only read where the details lack them.
 */
import { isWireObject, type WireObject } from '../../contract/found-value.js';
import { METERS } from '../../ledger/meters.js';
import { inputParts, outputParts, priceClassOfTier } from './openai-usage.js';
import { readingOf } from './side-reading.js';
import type { TokenPart } from './token-pools.js';
import {
  CountReader,
  NOTHING_READ,
  sectionOf,
  textOf,
  type UsageOptions,
  type UsageReader,
  type UsageReading,
} from './usage-reading.js';

/** Reads a response, or its `usage` alone. */
export function liteLlmUsage(body: unknown, options: UsageOptions = {}): UsageReading {
  if (!isWireObject(body)) return NOTHING_READ;
  return usageReading(sectionOf(body, 'usage') ?? body, textOf(body, 'service_tier'), { isFinal: true, options });
}

/** Reads the chunks of a stream; the final count comes with the last one. */
export function liteLlmStream(options: UsageOptions = {}): UsageReader {
  let usage: WireObject | undefined;
  let tier: string | undefined;
  return {
    read: (chunk) => {
      if (!isWireObject(chunk)) return;
      tier = textOf(chunk, 'service_tier') ?? tier;
      usage = sectionOf(chunk, 'usage') ?? usage;
    },
    reading: () => (usage === undefined ? NOTHING_READ : usageReading(usage, tier, { isFinal: true, options })),
  };
}

function usageReading(
  usage: WireObject,
  tier: string | undefined,
  { isFinal, options }: { readonly isFinal: boolean; readonly options: UsageOptions },
): UsageReading {
  const counts = new CountReader();
  const details = sectionOf(usage, 'prompt_tokens_details');
  const tools = sectionOf(usage, 'server_tool_use');
  const sides = {
    input: { total: counts.read(usage, 'prompt_tokens'), parts: partsOf(counts, usage, details) },
    output: {
      total: counts.read(usage, 'completion_tokens'),
      parts: outputParts(counts, sectionOf(usage, 'completion_tokens_details')),
    },
    others: [
      [
        METERS.webSearchRequests,
        counts.read(tools, 'web_search_requests') ?? counts.read(details, 'web_search_requests'),
      ],
      [METERS.mapsGroundingRequests, counts.read(details, 'google_maps_grounding_requests')],
    ] as const,
    isFinal,
    priceClass: priceClassOfTier(tier ?? textOf(usage, 'service_tier')),
  };
  return readingOf(sides, counts, options);
}

function partsOf(counts: CountReader, usage: WireObject, details: WireObject | undefined): TokenPart[] {
  const cached = counts.read(details, 'cached_tokens') ?? counts.read(usage, 'cache_read_input_tokens');
  const written =
    counts.read(details, 'cache_write_tokens') ??
    counts.read(details, 'cache_creation_tokens') ??
    counts.read(usage, 'cache_creation_input_tokens') ??
    0;
  const byTime = sectionOf(details, 'cache_creation_token_details');
  const halfDay = Math.min(counts.read(byTime, 'ephemeral_12h_input_tokens') ?? 0, written);
  const hour = Math.min(counts.read(byTime, 'ephemeral_1h_input_tokens') ?? 0, written - halfDay);
  const own: TokenPart[] = [
    { meter: METERS.cachedInputTokens, tokens: cached },
    { meter: METERS.cacheCreation12hInputTokens, tokens: halfDay },
    { meter: METERS.cacheCreation1hInputTokens, tokens: hour },
    { meter: METERS.cacheCreationInputTokens, tokens: written - hour - halfDay },
  ];
  const cacheMeters: readonly string[] = own.map(({ meter }) => meter);
  return [...own, ...inputParts(counts, details).filter(({ meter }) => !cacheMeters.includes(meter))];
}
