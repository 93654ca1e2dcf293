/**
 * Owns: reading the usage of OpenAI's chat completions, embeddings and Responses API, and of whoever speaks them, such as
 * Azure OpenAI.
 * Source: the types CompletionUsage and ResponseUsage of the npm package `openai` 6.49.
 * Invariants: `prompt_tokens` includes cached, written and audio tokens, `completion_tokens` includes reasoning and audio:
 * they are taken out here, so that each token is counted once.
 */
import { isWireObject, type WireObject } from '../../contract/found-value.js';
import { METERS } from '../../ledger/meters.js';
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

/** Words of `service_tier` that have another name here; `auto` is a wish of the request and says nothing. */
const TIERS: ReadonlyMap<string, string | undefined> = new Map([
  ['default', 'standard'],
  ['auto', undefined],
]);

/** The price class that a `service_tier` names. */
export function priceClassOfTier(tier: string | undefined): string | undefined {
  return tier !== undefined && TIERS.has(tier) ? TIERS.get(tier) : tier;
}

/** Reads a chat completion, an embedding response, or their `usage` alone. */
export function openAiChatUsage(body: unknown, options: UsageOptions = {}): UsageReading {
  if (!isWireObject(body)) return NOTHING_READ;
  return chatReading(sectionOf(body, 'usage') ?? body, textOf(body, 'service_tier'), { isFinal: true, options });
}

/** Reads the chunks of a streamed chat completion; the final count comes only with `stream_options.include_usage`. */
export function openAiChatStream(options: UsageOptions = {}): UsageReader {
  let usage: WireObject | undefined;
  let tier: string | undefined;
  let hasFinished = false;
  return {
    read: (chunk) => {
      if (!isWireObject(chunk)) return;
      tier = textOf(chunk, 'service_tier') ?? tier;
      hasFinished ||= isFinished(chunk);
      usage = sectionOf(chunk, 'usage') ?? usage;
    },
    reading: () =>
      usage === undefined
        ? { ...NOTHING_READ, priceClass: priceClassOfTier(tier) }
        : chatReading(usage, tier, { isFinal: hasFinished, options }),
  };
}

/** The last chunk of a choice names why it ended; the chunk of the final count has no choice at all. */
function isFinished(chunk: WireObject): boolean {
  const { choices } = chunk;
  if (!Array.isArray(choices)) return false;
  if (choices.length === 0) return sectionOf(chunk, 'usage') !== undefined;
  return choices.some((choice) => isWireObject(choice) && typeof choice['finish_reason'] === 'string');
}

interface ReadingHow {
  readonly isFinal: boolean;
  readonly options: UsageOptions;
}

function chatReading(usage: WireObject, tier: string | undefined, { isFinal, options }: ReadingHow): UsageReading {
  const counts = new CountReader();
  const inputTotal = counts.read(usage, 'prompt_tokens');
  const sides = {
    input: { total: inputTotal, parts: inputParts(counts, sectionOf(usage, 'prompt_tokens_details')) },
    output: {
      total: counts.read(usage, 'completion_tokens') ?? withoutOutput(inputTotal, counts.read(usage, 'total_tokens')),
      parts: outputParts(counts, sectionOf(usage, 'completion_tokens_details')),
    },
    isFinal,
    priceClass: priceClassOfTier(tier),
  };
  return readingOf(sides, counts, options);
}

/** Embeddings have no output: their total says so. */
function withoutOutput(input: number | undefined, total: number | undefined): number | undefined {
  return input !== undefined && input === total ? 0 : undefined;
}

/** The parts that OpenAI counts within the input. */
export function inputParts(counts: CountReader, details: WireObject | undefined): TokenPart[] {
  return [
    { meter: METERS.cachedInputTokens, tokens: counts.read(details, 'cached_tokens') },
    { meter: METERS.cacheCreationInputTokens, tokens: counts.read(details, 'cache_write_tokens') },
    { meter: METERS.audioInputTokens, tokens: counts.read(details, 'audio_tokens') },
    { meter: METERS.imageInputTokens, tokens: counts.read(details, 'image_tokens'), unlessFolded: true },
    { meter: METERS.videoInputTokens, tokens: counts.read(details, 'video_tokens'), unlessFolded: true },
  ];
}

/** The parts that OpenAI counts within the output. */
export function outputParts(counts: CountReader, details: WireObject | undefined): TokenPart[] {
  return [
    { meter: METERS.reasoningOutputTokens, tokens: counts.read(details, 'reasoning_tokens'), unlessFolded: true },
    { meter: METERS.audioOutputTokens, tokens: counts.read(details, 'audio_tokens') },
    { meter: METERS.imageOutputTokens, tokens: counts.read(details, 'image_tokens') },
    { meter: METERS.videoOutputTokens, tokens: counts.read(details, 'video_tokens') },
  ];
}

/** Reads a response of the Responses or Images API, or its `usage` alone. */
export function openAiResponsesUsage(body: unknown, options: UsageOptions = {}): UsageReading {
  if (!isWireObject(body)) return NOTHING_READ;
  return responsesReading(body, options);
}

/** Reads the events of a streamed response; the count comes with `response.completed`, `.incomplete` or `.failed`. */
export function openAiResponsesStream(options: UsageOptions = {}): UsageReader {
  let last: WireObject | undefined;
  return {
    read: (event) => {
      const response = isWireObject(event) ? sectionOf(event, 'response') : undefined;
      if (sectionOf(response, 'usage') !== undefined) last = response;
    },
    reading: () => (last === undefined ? NOTHING_READ : responsesReading(last, options)),
  };
}

function responsesReading(response: WireObject, options: UsageOptions): UsageReading {
  const counts = new CountReader();
  const usage = sectionOf(response, 'usage') ?? response;
  const sides = {
    input: {
      total: counts.read(usage, 'input_tokens'),
      parts: inputParts(counts, sectionOf(usage, 'input_tokens_details')),
    },
    output: {
      total: counts.read(usage, 'output_tokens'),
      parts: outputParts(counts, sectionOf(usage, 'output_tokens_details')),
    },
    others: [[METERS.webSearchRequests, webSearches(response)]] as const,
    isFinal: true,
    priceClass: priceClassOfTier(textOf(response, 'service_tier')),
  };
  return readingOf(sides, counts, options);
}

function webSearches({ output }: WireObject): number {
  if (!Array.isArray(output)) return 0;
  return output.filter((item) => isWireObject(item) && item['type'] === 'web_search_call').length;
}
