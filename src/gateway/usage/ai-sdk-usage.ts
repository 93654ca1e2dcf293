/**
 * Owns: reading the usage of the AI SDK: of a model (LanguageModelV3Usage) and of `generateText` and `streamText`
 * (LanguageModelUsage of version 6).
 * Source: the npm packages `@ai-sdk/provider` 3.0 and `ai` 6.0.
 * Invariants: totals include their parts. The usage of version 5 is refused: whether its input included cached tokens
 * depended on the provider, so it cannot be split.
 */
import { isWireObject, type WireObject } from '../../contract/found-value.js';
import { METERS } from '../../ledger/meters.js';
import { readingOf } from './side-reading.js';
import { sumOf } from './token-pools.js';
import {
  CountReader,
  NOTHING_READ,
  sectionOf,
  type UsageOptions,
  type UsageReader,
  type UsageReading,
} from './usage-reading.js';

const VERSION_5 =
  'usage of AI SDK 5 does not say whether cached tokens are within its input; read the provider’s own usage instead';

/** Reads a result, a `finish` part, or their `usage` alone. */
export function aiSdkUsage(result: unknown, options: UsageOptions = {}): UsageReading {
  if (!isWireObject(result)) return NOTHING_READ;
  return sdkReading(sectionOf(result, 'totalUsage') ?? sectionOf(result, 'usage') ?? result, options);
}

/** Reads the parts of a stream; the count comes with the part `finish`. */
export function aiSdkStream(options: UsageOptions = {}): UsageReader {
  let finish: WireObject | undefined;
  return {
    read: (part) => {
      if (isWireObject(part) && part['type'] === 'finish') finish = part;
    },
    reading: () => (finish === undefined ? NOTHING_READ : aiSdkUsage(finish, options)),
  };
}

function sdkReading(usage: WireObject, options: UsageOptions): UsageReading {
  const ofModel = sectionOf(usage, 'inputTokens');
  const details = ofModel ?? sectionOf(usage, 'inputTokenDetails');
  if (details === undefined) return { ...NOTHING_READ, problems: [VERSION_5] };
  const output = ofModel === undefined ? sectionOf(usage, 'outputTokenDetails') : sectionOf(usage, 'outputTokens');
  const counts = new CountReader();
  const [cachedName, writtenName, freshName, reasoningName] =
    ofModel === undefined
      ? ['cacheReadTokens', 'cacheWriteTokens', 'noCacheTokens', 'reasoningTokens']
      : ['cacheRead', 'cacheWrite', 'noCache', 'reasoning'];
  const cached = counts.read(details, cachedName);
  const written = counts.read(details, writtenName);
  const total = ofModel === undefined ? counts.read(usage, 'inputTokens') : counts.read(ofModel, 'total');
  const hour = Math.min(hourTokens(counts, usage), written ?? 0);
  const sides = {
    input: {
      total: total ?? sumOf([counts.read(details, freshName), cached, written]),
      parts: [
        { meter: METERS.cachedInputTokens, tokens: cached },
        { meter: METERS.cacheCreation1hInputTokens, tokens: hour },
        { meter: METERS.cacheCreationInputTokens, tokens: (written ?? 0) - hour },
      ],
    },
    output: {
      total: ofModel === undefined ? counts.read(usage, 'outputTokens') : counts.read(output, 'total'),
      parts: [{ meter: METERS.reasoningOutputTokens, tokens: counts.read(output, reasoningName), unlessFolded: true }],
    },
    isFinal: true,
    priceClass: undefined,
  };
  return readingOf(sides, counts, options);
}

/** The SDK does not split written tokens; Anthropic's own usage, which it hands on, does. */
function hourTokens(counts: CountReader, usage: WireObject): number {
  return counts.read(sectionOf(sectionOf(usage, 'raw'), 'cache_creation'), 'ephemeral_1h_input_tokens') ?? 0;
}
