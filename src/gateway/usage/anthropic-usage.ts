/**
 * Owns: reading the usage of Anthropic's messages, whole or streamed.
 * Source: the types Usage and MessageDeltaUsage of the npm package `@anthropic-ai/sdk` 1.14.
 * Invariants: cached and written tokens stand beside `input_tokens`, not within it. Only `message_start` splits written
 * tokens by the time they are kept; the counts of `message_delta` are cumulative and replace those before them.
 */
import { isWireObject, type WireObject } from '../../contract/found-value.js';
import { METERS } from '../../ledger/meters.js';
import { readingOf } from './side-reading.js';
import { sumOf } from './token-pools.js';
import {
  CountReader,
  NOTHING_READ,
  sectionOf,
  textOf,
  type UsageOptions,
  type UsageReader,
  type UsageReading,
} from './usage-reading.js';

/** Values of `inference_geo` at which the ordinary price holds. */
const ORDINARY_PLACES = ['global', 'not_available'];

/** Reads a message, or its `usage` alone. */
export function anthropicUsage(body: unknown, options: UsageOptions = {}): UsageReading {
  if (!isWireObject(body)) return NOTHING_READ;
  return messageReading(sectionOf(body, 'usage') ?? body, { isFinal: true, options });
}

/** Reads the events of a streamed message; a stream cut before `message_delta` has counted the input alone. */
export function anthropicStream(options: UsageOptions = {}): UsageReader {
  let usage: WireObject | undefined;
  let isFinal = false;
  return {
    read: (event) => {
      if (!isWireObject(event)) return;
      if (event['type'] === 'message_start') usage = sectionOf(sectionOf(event, 'message'), 'usage');
      if (event['type'] !== 'message_delta') return;
      usage = { ...usage, ...reported(sectionOf(event, 'usage')) };
      isFinal = typeof sectionOf(event, 'delta')?.['stop_reason'] === 'string';
    },
    reading: () => (usage === undefined ? NOTHING_READ : messageReading(usage, { isFinal, options })),
  };
}

/** Fields that are null were not reported: those before them stand. */
function reported(usage: WireObject = {}): WireObject {
  return Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null && value !== undefined));
}

function messageReading(
  usage: WireObject,
  { isFinal, options }: { readonly isFinal: boolean; readonly options: UsageOptions },
): UsageReading {
  const counts = new CountReader();
  const split = sectionOf(usage, 'cache_creation');
  const hour = counts.read(split, 'ephemeral_1h_input_tokens');
  const written =
    counts.read(usage, 'cache_creation_input_tokens') ?? sumOf([hour, counts.read(split, 'ephemeral_5m_input_tokens')]);
  const cached = counts.read(usage, 'cache_read_input_tokens');
  const fresh = counts.read(usage, 'input_tokens');
  const tools = sectionOf(usage, 'server_tool_use');
  const sides = {
    input: {
      total: fresh === undefined ? undefined : sumOf([fresh, cached, written]),
      parts: [
        { meter: METERS.cachedInputTokens, tokens: cached },
        { meter: METERS.cacheCreation1hInputTokens, tokens: Math.min(hour ?? 0, written ?? 0) },
        { meter: METERS.cacheCreationInputTokens, tokens: Math.max(0, (written ?? 0) - (hour ?? 0)) },
      ],
    },
    output: {
      total: counts.read(usage, 'output_tokens'),
      parts: [
        {
          meter: METERS.reasoningOutputTokens,
          tokens: counts.read(sectionOf(usage, 'output_tokens_details'), 'thinking_tokens'),
          unlessFolded: true,
        },
      ],
    },
    others: [
      [METERS.webSearchRequests, counts.read(tools, 'web_search_requests')],
      [METERS.webFetchRequests, counts.read(tools, 'web_fetch_requests')],
    ] as const,
    isFinal,
    priceClass: priceClassOf(usage),
  };
  return readingOf(sides, counts, options);
}

/** Tier, speed and place each change the price: those that are not the ordinary ones, joined by `+`. */
function priceClassOf(usage: WireObject): string | undefined {
  const tier = textOf(usage, 'service_tier');
  const speed = textOf(usage, 'speed');
  const place = textOf(usage, 'inference_geo');
  if (tier === undefined && speed === undefined && place === undefined) return undefined;
  const words = [
    ...(tier === undefined || tier === 'standard' ? [] : [tier]),
    ...(speed === undefined || speed === 'standard' ? [] : [speed]),
    ...(place === undefined || ORDINARY_PLACES.includes(place) ? [] : [place]),
  ];
  return words.length === 0 ? 'standard' : words.join('+');
}
