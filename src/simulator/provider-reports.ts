/**
 * Owns: what a simulated provider answers about the usage of a request: a response, or the chunks of a stream, in the
 * provider's own shape.
 * Does not own: which shape that is (provider-shapes.ts), nor how a gateway reads it (gateway-reading.ts).
 * Source: the SDK types named in src/gateway/usage; written here apart from those readers, as providers are.
 * Invariants: counts follow the provider: OpenAI, Gemini and LiteLLM count cached tokens within the prompt, Anthropic beside
 * it; Gemini counts thoughts beside the answer, the others within it. Counts of a stream are cumulative.
 */
import { type CountReach, countReachOf, usageShapeOf, type UsageShape } from './provider-shapes.js';
import type { SimulatedRequest, SimulatedUsage } from './simulated-request.js';

/** What the gateway receives: one body, or chunks one after the other. */
export type ProviderReport =
  { readonly kind: 'whole'; readonly body: unknown } | { readonly kind: 'stream'; readonly chunks: readonly unknown[] };

/** What a provider has counted; each token is in exactly one of these. */
interface ProviderCounts {
  readonly fresh: number;
  readonly cached: number;
  readonly written: number;
  readonly answer: number;
  readonly thoughts: number;
}

interface ShapeWriter {
  readonly whole: (counts: ProviderCounts) => unknown;
  readonly chunks: (counts: ProviderCounts, isCut: boolean) => readonly unknown[];
  /** What a stream brings before its first count. */
  readonly uncounted: readonly unknown[];
}

/** A provider that fails before it has counted anything answers with an error and no usage. */
const REFUSED = { error: { type: 'overloaded_error', message: 'Overloaded' } };

/** Makes the answer of a request's provider. */
export function providerReport(request: SimulatedRequest): ProviderReport {
  const writer = WRITERS[usageShapeOf(request)];
  const reach = countReachOf(request);
  if (request.stream) return { kind: 'stream', chunks: chunksOf(writer, request.usage, reach) };
  return { kind: 'whole', body: reach === 'nothing' ? REFUSED : writer.whole(countsOf(request.usage)) };
}

function chunksOf(writer: ShapeWriter, usage: SimulatedUsage, reach: CountReach): readonly unknown[] {
  return reach === 'nothing' ? writer.uncounted : writer.chunks(countsOf(usage), reach === 'cut');
}

function countsOf(usage: SimulatedUsage): ProviderCounts {
  return {
    fresh: usage.inputTokens,
    cached: usage.cachedInputTokens ?? 0,
    written: usage.cacheCreationInputTokens ?? 0,
    answer: usage.outputTokens - usage.thoughtTokens,
    thoughts: usage.thoughtTokens + (usage.reasoningOutputTokens ?? 0),
  };
}

function inputOf({ fresh, cached, written }: ProviderCounts): number {
  return fresh + cached + written;
}

function outputOf({ answer, thoughts }: ProviderCounts): number {
  return answer + thoughts;
}

const CHAT_TEXT = { object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: '…' } }], usage: null };
const CHAT_END = {
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
  usage: null,
};

function chatUsage(counts: ProviderCounts): object {
  return {
    prompt_tokens: inputOf(counts),
    completion_tokens: outputOf(counts),
    total_tokens: inputOf(counts) + outputOf(counts),
    prompt_tokens_details: { cached_tokens: counts.cached, cache_write_tokens: counts.written, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: counts.thoughts, audio_tokens: 0 },
  };
}

/** The final count comes in a chunk of its own, without a choice. */
const openAiChat: ShapeWriter = {
  whole: (counts) => ({ object: 'chat.completion', usage: chatUsage(counts) }),
  chunks: (counts) => [CHAT_TEXT, CHAT_END, { object: 'chat.completion.chunk', choices: [], usage: chatUsage(counts) }],
  uncounted: [CHAT_TEXT],
};

const RESPONSE_CREATED = { type: 'response.created', response: { object: 'response', usage: null } };

function openAiResponse(counts: ProviderCounts): object {
  return {
    object: 'response',
    service_tier: 'default',
    output: [{ type: 'message' }],
    usage: {
      input_tokens: inputOf(counts),
      input_tokens_details: { cached_tokens: counts.cached, cache_write_tokens: counts.written },
      output_tokens: outputOf(counts),
      output_tokens_details: { reasoning_tokens: counts.thoughts },
      total_tokens: inputOf(counts) + outputOf(counts),
    },
  };
}

const openAiResponses: ShapeWriter = {
  whole: openAiResponse,
  chunks: (counts) => [RESPONSE_CREATED, { type: 'response.completed', response: openAiResponse(counts) }],
  uncounted: [RESPONSE_CREATED],
};

function messageUsage(counts: ProviderCounts, outputTokens: number): object {
  return {
    input_tokens: counts.fresh,
    cache_creation_input_tokens: counts.written,
    cache_read_input_tokens: counts.cached,
    cache_creation: { ephemeral_5m_input_tokens: counts.written, ephemeral_1h_input_tokens: 0 },
    output_tokens: outputTokens,
    service_tier: 'standard',
  };
}

function messageDelta(stopReason: string | null, outputTokens: number, thoughts: number): object {
  const usage = { output_tokens: outputTokens, output_tokens_details: { thinking_tokens: thoughts } };
  return { type: 'message_delta', delta: { stop_reason: stopReason }, usage };
}

/** The input is counted when a message starts; deltas count all of the output so far, and the last one says why it ended. */
const anthropic: ShapeWriter = {
  whole: (counts) => ({
    type: 'message',
    usage: {
      ...messageUsage(counts, outputOf(counts)),
      output_tokens_details: { thinking_tokens: counts.thoughts },
    },
  }),
  chunks: (counts, isCut) => {
    const output = outputOf(counts);
    return [
      { type: 'message_start', message: { type: 'message', usage: messageUsage(counts, Math.min(1, output)) } },
      messageDelta(null, Math.ceil(output / 2), 0),
      messageDelta(isCut ? null : 'end_turn', output, counts.thoughts),
    ];
  },
  uncounted: [{ type: 'ping' }],
};

/** Counts of zero are left out, as Gemini does. */
function usageMetadata(counts: ProviderCounts): Record<string, number> {
  const { cached, answer, thoughts } = counts;
  const usage: Record<string, number> = { promptTokenCount: inputOf(counts) };
  if (cached > 0) usage['cachedContentTokenCount'] = cached;
  if (answer > 0) usage['candidatesTokenCount'] = answer;
  if (thoughts > 0) usage['thoughtsTokenCount'] = thoughts;
  usage['totalTokenCount'] = inputOf(counts) + outputOf(counts);
  return usage;
}

/** A prompt that was blocked has no candidate. */
function geminiEnd(counts: ProviderCounts): object {
  const end =
    outputOf(counts) === 0
      ? { promptFeedback: { blockReason: 'OTHER' } }
      : { candidates: [{ index: 0, finishReason: 'STOP' }] };
  return { ...end, usageMetadata: usageMetadata(counts) };
}

const gemini: ShapeWriter = {
  whole: geminiEnd,
  chunks: (counts, isCut) => {
    const half = { ...counts, answer: Math.ceil(counts.answer / 2) };
    const text = (counted: ProviderCounts): object => ({
      candidates: [{ index: 0, content: { parts: [{ text: '…' }] } }],
      usageMetadata: usageMetadata(counted),
    });
    return [text(half), isCut ? text(counts) : geminiEnd(counts)];
  },
  uncounted: [],
};

/** LiteLLM counts as OpenAI does, and repeats the cached tokens beside the details under Anthropic's names. */
function liteLlmUsage(counts: ProviderCounts): object {
  return {
    prompt_tokens: inputOf(counts),
    completion_tokens: outputOf(counts),
    total_tokens: inputOf(counts) + outputOf(counts),
    prompt_tokens_details: { cached_tokens: counts.cached, cache_creation_tokens: counts.written },
    completion_tokens_details: { reasoning_tokens: counts.thoughts },
    cache_read_input_tokens: counts.cached,
    cache_creation_input_tokens: counts.written,
  };
}

const liteLlm: ShapeWriter = {
  whole: (counts) => ({ object: 'chat.completion', usage: liteLlmUsage(counts) }),
  chunks: (counts) => [CHAT_TEXT, CHAT_END, { object: 'chat.completion.chunk', usage: liteLlmUsage(counts) }],
  uncounted: [CHAT_TEXT],
};

const WRITERS: Readonly<Record<UsageShape, ShapeWriter>> = { openAiChat, openAiResponses, anthropic, gemini, liteLlm };
