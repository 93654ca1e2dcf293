/**
 * Owns: usage as the providers really report it, one response of each shape, with what it must be read as.
 * Source: the shapes of the SDKs' types named in src/gateway/usage; the numbers are chosen so that a token counted twice,
 * or dropped, changes a sum.
 */
import type { ExclusiveUsage, UsageReading } from '../../src/gateway/usage/usage-reading.js';
import { usageFrom } from '../../src/gateway/usage/usage-from.js';

/** One response and its reading. */
export interface ProviderCase {
  readonly title: string;
  readonly read: (body: unknown) => UsageReading;
  readonly body: unknown;
  readonly usage: ExclusiveUsage;
  readonly priceClass: string | undefined;
}

const APART = { pricedApart: ['reasoning_output_tokens', 'cached_audio_input_tokens'] };

export const PROVIDER_CASES: readonly ProviderCase[] = [
  {
    title: 'OpenAI chat, cached and reasoning tokens',
    read: usageFrom.openAiChat,
    body: {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      model: 'gpt-4o-2024-08-06',
      service_tier: 'default',
      usage: {
        prompt_tokens: 1000,
        completion_tokens: 100,
        total_tokens: 1100,
        prompt_tokens_details: { cached_tokens: 900, audio_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 80,
          audio_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
    },
    usage: { inputTokens: 100, outputTokens: 100, meters: { cached_input_tokens: 900 } },
    priceClass: 'standard',
  },
  {
    title: 'OpenAI chat, audio both ways, priority',
    read: usageFrom.openAiChat,
    body: {
      service_tier: 'priority',
      usage: {
        prompt_tokens: 500,
        completion_tokens: 300,
        total_tokens: 800,
        prompt_tokens_details: { cached_tokens: 128, cache_write_tokens: 64, audio_tokens: 200 },
        completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 250 },
      },
    },
    usage: {
      inputTokens: 108,
      outputTokens: 50,
      meters: {
        cached_input_tokens: 128,
        cache_creation_input_tokens: 64,
        audio_input_tokens: 200,
        audio_output_tokens: 250,
      },
    },
    priceClass: 'priority',
  },
  {
    title: 'OpenAI chat, reasoning priced apart',
    read: (body) => usageFrom.openAiChat(body, APART),
    body: {
      usage: {
        prompt_tokens: 10,
        completion_tokens: 100,
        total_tokens: 110,
        completion_tokens_details: { reasoning_tokens: 80 },
      },
    },
    usage: { inputTokens: 10, outputTokens: 20, meters: { reasoning_output_tokens: 80 } },
    priceClass: undefined,
  },
  {
    title: 'OpenAI embeddings, which have no output',
    read: usageFrom.openAiChat,
    body: { object: 'list', usage: { prompt_tokens: 42, total_tokens: 42 } },
    usage: { inputTokens: 42, outputTokens: 0 },
    priceClass: undefined,
  },
  {
    title: 'OpenAI Responses with web searches, flex',
    read: usageFrom.openAiResponses,
    body: {
      object: 'response',
      status: 'completed',
      service_tier: 'flex',
      output: [{ type: 'web_search_call', id: 'ws_1', status: 'completed' }, { type: 'message' }],
      usage: {
        input_tokens: 2000,
        input_tokens_details: { cached_tokens: 1024, cache_write_tokens: 100 },
        output_tokens: 640,
        output_tokens_details: { reasoning_tokens: 512 },
        total_tokens: 2640,
      },
    },
    usage: {
      inputTokens: 876,
      outputTokens: 640,
      meters: { cached_input_tokens: 1024, cache_creation_input_tokens: 100, web_search_requests: 1 },
    },
    priceClass: 'flex',
  },
  {
    title: 'Azure OpenAI chat',
    read: usageFrom.azureOpenAi,
    body: {
      model: 'gpt-4o-2024-11-20',
      prompt_filter_results: [],
      usage: {
        prompt_tokens: 1566,
        completion_tokens: 1518,
        total_tokens: 3084,
        prompt_tokens_details: { audio_tokens: 0, cached_tokens: 1408 },
        completion_tokens_details: { audio_tokens: 0, reasoning_tokens: 576 },
      },
    },
    usage: { inputTokens: 158, outputTokens: 1518, meters: { cached_input_tokens: 1408 } },
    priceClass: undefined,
  },
  {
    title: 'Anthropic, caches of both times, web search',
    read: usageFrom.anthropic,
    body: {
      type: 'message',
      role: 'assistant',
      stop_reason: 'end_turn',
      usage: {
        input_tokens: 2048,
        cache_creation_input_tokens: 556,
        cache_read_input_tokens: 1800,
        cache_creation: { ephemeral_5m_input_tokens: 456, ephemeral_1h_input_tokens: 100 },
        output_tokens: 503,
        output_tokens_details: { thinking_tokens: 300 },
        server_tool_use: { web_search_requests: 2, web_fetch_requests: 0 },
        service_tier: 'standard',
        speed: 'standard',
        inference_geo: 'global',
      },
    },
    usage: {
      inputTokens: 2048,
      outputTokens: 503,
      meters: {
        cached_input_tokens: 1800,
        cache_creation_1h_input_tokens: 100,
        cache_creation_input_tokens: 456,
        web_search_requests: 2,
      },
    },
    priceClass: 'standard',
  },
  {
    title: 'Anthropic, fast and in one country',
    read: usageFrom.anthropic,
    body: {
      usage: {
        input_tokens: 5,
        output_tokens: 7,
        cache_creation_input_tokens: null,
        cache_read_input_tokens: null,
        cache_creation: null,
        service_tier: 'standard',
        speed: 'fast',
        inference_geo: 'us',
      },
    },
    usage: { inputTokens: 5, outputTokens: 7 },
    priceClass: 'fast+us',
  },
  {
    title: 'Gemini, thoughts, tools, cached audio',
    read: (body) => usageFrom.gemini(body, APART),
    body: {
      candidates: [{ finishReason: 'STOP' }],
      usageMetadata: {
        promptTokenCount: 1000,
        candidatesTokenCount: 200,
        thoughtsTokenCount: 300,
        toolUsePromptTokenCount: 50,
        cachedContentTokenCount: 400,
        totalTokenCount: 1550,
        promptTokensDetails: [
          { modality: 'TEXT', tokenCount: 700 },
          { modality: 'AUDIO', tokenCount: 300 },
        ],
        cacheTokensDetails: [
          { modality: 'TEXT', tokenCount: 300 },
          { modality: 'AUDIO', tokenCount: 100 },
        ],
        trafficType: 'ON_DEMAND',
      },
    },
    usage: {
      inputTokens: 450,
      outputTokens: 200,
      meters: {
        cached_audio_input_tokens: 100,
        cached_input_tokens: 300,
        audio_input_tokens: 200,
        reasoning_output_tokens: 300,
      },
    },
    priceClass: 'standard',
  },
  {
    title: 'Gemini, an image as output, priority',
    read: usageFrom.gemini,
    body: {
      usageMetadata: {
        promptTokenCount: 20,
        candidatesTokenCount: 1300,
        candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 1290 }],
        totalTokenCount: 1320,
        trafficType: 'ON_DEMAND_PRIORITY',
      },
    },
    usage: { inputTokens: 20, outputTokens: 10, meters: { image_output_tokens: 1290 } },
    priceClass: 'priority',
  },
  {
    title: 'Bedrock Converse with cache details',
    read: usageFrom.bedrock,
    body: {
      output: {},
      stopReason: 'end_turn',
      usage: {
        inputTokens: 30,
        outputTokens: 40,
        totalTokens: 1270,
        cacheReadInputTokens: 1000,
        cacheWriteInputTokens: 200,
        cacheDetails: [
          { ttl: '1h', inputTokens: 150 },
          { ttl: '5m', inputTokens: 50 },
        ],
      },
      serviceTier: { type: 'default' },
    },
    usage: {
      inputTokens: 30,
      outputTokens: 40,
      meters: { cached_input_tokens: 1000, cache_creation_1h_input_tokens: 150, cache_creation_input_tokens: 50 },
    },
    priceClass: 'standard',
  },
  {
    title: 'a model of the AI SDK',
    read: usageFrom.aiSdk,
    body: {
      usage: {
        inputTokens: { total: 700, noCache: 100, cacheRead: 500, cacheWrite: 100 },
        outputTokens: { total: 90, text: 60, reasoning: 30 },
        raw: { cache_creation: { ephemeral_1h_input_tokens: 40, ephemeral_5m_input_tokens: 60 } },
      },
    },
    usage: {
      inputTokens: 100,
      outputTokens: 90,
      meters: { cached_input_tokens: 500, cache_creation_1h_input_tokens: 40, cache_creation_input_tokens: 60 },
    },
    priceClass: undefined,
  },
  {
    title: 'generateText of the AI SDK',
    read: usageFrom.aiSdk,
    body: {
      usage: {
        inputTokens: 700,
        inputTokenDetails: { noCacheTokens: 200, cacheReadTokens: 500, cacheWriteTokens: undefined },
        outputTokens: 90,
        outputTokenDetails: { textTokens: 90, reasoningTokens: undefined },
        totalTokens: 790,
      },
    },
    usage: { inputTokens: 200, outputTokens: 90, meters: { cached_input_tokens: 500 } },
    priceClass: undefined,
  },
  {
    title: 'LiteLLM serving Anthropic',
    read: usageFrom.liteLlm,
    body: {
      usage: {
        prompt_tokens: 4404,
        completion_tokens: 503,
        total_tokens: 4907,
        prompt_tokens_details: {
          cached_tokens: 1800,
          cache_write_tokens: 556,
          cache_creation_token_details: { ephemeral_5m_input_tokens: 456, ephemeral_1h_input_tokens: 100 },
          audio_tokens: null,
        },
        completion_tokens_details: null,
        cache_creation_input_tokens: 556,
        cache_read_input_tokens: 1800,
        server_tool_use: { web_search_requests: 1 },
      },
    },
    usage: {
      inputTokens: 2048,
      outputTokens: 503,
      meters: {
        cached_input_tokens: 1800,
        cache_creation_1h_input_tokens: 100,
        cache_creation_input_tokens: 456,
        web_search_requests: 1,
      },
    },
    priceClass: undefined,
  },
  {
    title: 'OpenTelemetry attributes',
    read: (attributes) => usageFrom.otel(attributes, APART),
    body: {
      'gen_ai.provider.name': 'openai',
      'gen_ai.usage.input_tokens': 1000,
      'gen_ai.usage.output_tokens': 100,
      'gen_ai.usage.cache_read.input_tokens': 800,
      'gen_ai.usage.cache_creation.input_tokens': 50,
      'gen_ai.usage.reasoning.output_tokens': 80,
      'openai.response.service_tier': 'flex',
    },
    usage: {
      inputTokens: 150,
      outputTokens: 20,
      meters: { cached_input_tokens: 800, cache_creation_input_tokens: 50, reasoning_output_tokens: 80 },
    },
    priceClass: 'flex',
  },
];
