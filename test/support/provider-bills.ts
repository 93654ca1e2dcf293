/**
 * Owns: what providers charge for a response, by their own published arithmetic: how many tokens at which price per million.
 * Does not own: how usage is read and priced (src/gateway/usage, src/ledger): this is what it is held against.
 * Invariants: quantities and prices are written by hand as the provider words them: a cached token is charged as cached
 * whether the provider counts it within the input or beside it.
 * Source of the prices: the public model price map, copied for these models into examples/data/provider-prices.json.
 */
import type { UsageReading } from '../../src/gateway/usage/usage-reading.js';
import { usageFrom } from '../../src/gateway/usage/usage-from.js';

/** Some units of a request at one price: in dollars for a million tokens, or for a thousand calls. */
export interface BillLine {
  readonly what: string;
  readonly quantity: number;
  readonly dollars: string;
  readonly per: 1_000 | 1_000_000;
}

/** A response and its bill. */
export interface ProviderBill {
  readonly title: string;
  readonly provider: string;
  readonly model: string;
  readonly read: (body: unknown) => UsageReading;
  readonly body: unknown;
  readonly lines: readonly BillLine[];
}

const tokens = (what: string, quantity: number, dollars: string): BillLine => ({
  ...{ what, quantity, dollars },
  per: 1_000_000,
});

const searches = (quantity: number, dollars: string): BillLine => ({
  ...{ what: 'web searches', quantity, dollars },
  per: 1_000,
});

const APART = { pricedApart: ['reasoning_output_tokens', 'cached_audio_input_tokens'] };

const ANTHROPIC_CACHES = {
  input_tokens: 2048,
  cache_creation_input_tokens: 556,
  cache_read_input_tokens: 1800,
  cache_creation: { ephemeral_5m_input_tokens: 456, ephemeral_1h_input_tokens: 100 },
  output_tokens: 503,
};

export const PROVIDER_BILLS: readonly ProviderBill[] = [
  {
    title: 'OpenAI chat: cached within the prompt, reasoning within the completion',
    provider: 'openai',
    model: 'gpt-4o-2024-08-06',
    read: usageFrom.openAiChat,
    body: {
      service_tier: 'default',
      usage: {
        prompt_tokens: 1000,
        completion_tokens: 100,
        total_tokens: 1100,
        prompt_tokens_details: { cached_tokens: 900, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 80 },
      },
    },
    lines: [tokens('input', 100, '2.50'), tokens('cached input', 900, '1.25'), tokens('output', 100, '10')],
  },
  {
    title: 'OpenAI chat, priority',
    provider: 'openai',
    model: 'gpt-4o-2024-08-06',
    read: usageFrom.openAiChat,
    body: {
      service_tier: 'priority',
      usage: {
        prompt_tokens: 500,
        completion_tokens: 50,
        total_tokens: 550,
        prompt_tokens_details: { cached_tokens: 128 },
      },
    },
    lines: [tokens('input', 372, '4.25'), tokens('cached input', 128, '2.125'), tokens('output', 50, '17')],
  },
  {
    title: 'OpenAI Responses, flex',
    provider: 'openai',
    model: 'gpt-5',
    read: usageFrom.openAiResponses,
    body: {
      object: 'response',
      status: 'completed',
      service_tier: 'flex',
      usage: {
        input_tokens: 2000,
        input_tokens_details: { cached_tokens: 1024 },
        output_tokens: 640,
        output_tokens_details: { reasoning_tokens: 512 },
        total_tokens: 2640,
      },
    },
    lines: [tokens('input', 976, '0.625'), tokens('cached input', 1024, '0.0625'), tokens('output', 640, '5')],
  },
  {
    title: 'OpenAI Responses, an input above 272,000 tokens',
    provider: 'openai',
    model: 'gpt-5.4',
    read: usageFrom.openAiResponses,
    body: {
      object: 'response',
      status: 'completed',
      service_tier: 'default',
      usage: {
        input_tokens: 300_000,
        input_tokens_details: { cached_tokens: 200_000 },
        output_tokens: 2_000,
        total_tokens: 302_000,
      },
    },
    lines: [tokens('input', 100_000, '5'), tokens('cached input', 200_000, '0.50'), tokens('output', 2_000, '22.50')],
  },
  {
    title: 'OpenAI embeddings',
    provider: 'openai',
    model: 'text-embedding-3-small',
    read: usageFrom.openAiChat,
    body: { object: 'list', usage: { prompt_tokens: 42, total_tokens: 42 } },
    lines: [tokens('input', 42, '0.02')],
  },
  {
    title: 'Azure OpenAI chat',
    provider: 'azure',
    model: 'gpt-4o-2024-11-20',
    read: usageFrom.azureOpenAi,
    body: {
      prompt_filter_results: [],
      usage: {
        prompt_tokens: 1566,
        completion_tokens: 1518,
        total_tokens: 3084,
        prompt_tokens_details: { audio_tokens: 0, cached_tokens: 1408 },
        completion_tokens_details: { audio_tokens: 0, reasoning_tokens: 576 },
      },
    },
    lines: [tokens('input', 158, '2.50'), tokens('cached input', 1408, '1.25'), tokens('output', 1518, '10')],
  },
  {
    title: 'Qwen in the shape of OpenAI: reasoning at a price of its own',
    provider: 'dashscope',
    model: 'qwen-plus-2025-04-28',
    read: (body) => usageFrom.openAiChat(body, APART),
    body: {
      usage: {
        prompt_tokens: 10,
        completion_tokens: 100,
        total_tokens: 110,
        completion_tokens_details: { reasoning_tokens: 80 },
      },
    },
    lines: [tokens('input', 10, '0.40'), tokens('output', 20, '1.20'), tokens('reasoning', 80, '4')],
  },
  {
    title: 'Anthropic: caches of five minutes and of an hour beside the input, web searches',
    provider: 'anthropic',
    model: 'claude-sonnet-4-5-20250929',
    read: usageFrom.anthropic,
    body: {
      type: 'message',
      stop_reason: 'end_turn',
      usage: { ...ANTHROPIC_CACHES, server_tool_use: { web_search_requests: 2 }, service_tier: 'standard' },
    },
    lines: [
      tokens('input', 2048, '3'),
      tokens('cache reads', 1800, '0.30'),
      tokens('cache writes, 5 minutes', 456, '3.75'),
      tokens('cache writes, 1 hour', 100, '6'),
      tokens('output', 503, '15'),
      searches(2, '10'),
    ],
  },
  {
    title: 'Anthropic, batch',
    provider: 'anthropic',
    model: 'claude-sonnet-4-5-20250929',
    read: usageFrom.anthropic,
    body: {
      type: 'message',
      stop_reason: 'end_turn',
      usage: {
        input_tokens: 1000,
        cache_creation_input_tokens: 200,
        cache_read_input_tokens: 300,
        cache_creation: { ephemeral_5m_input_tokens: 200, ephemeral_1h_input_tokens: 0 },
        output_tokens: 77,
        service_tier: 'batch',
      },
    },
    lines: [
      tokens('input', 1000, '1.50'),
      tokens('cache reads', 300, '0.15'),
      tokens('cache writes, 5 minutes', 200, '1.875'),
      tokens('output', 77, '7.50'),
    ],
  },
  {
    title: 'Gemini: cached text and audio within the prompt, thoughts beside the answer, tools',
    provider: 'gemini',
    model: 'gemini-2.5-flash',
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
    lines: [
      tokens('text input and tools', 450, '0.30'),
      tokens('audio input', 200, '1'),
      tokens('cached text', 300, '0.03'),
      tokens('cached audio', 100, '0.10'),
      tokens('output', 200, '2.50'),
      tokens('thoughts', 300, '2.50'),
    ],
  },
  {
    title: 'Gemini, a prompt above 200,000 tokens',
    provider: 'gemini',
    model: 'gemini-2.5-pro',
    read: usageFrom.gemini,
    body: {
      candidates: [{ finishReason: 'STOP' }],
      usageMetadata: {
        promptTokenCount: 250_000,
        candidatesTokenCount: 1_000,
        thoughtsTokenCount: 500,
        cachedContentTokenCount: 50_000,
        totalTokenCount: 251_500,
        trafficType: 'ON_DEMAND',
      },
    },
    lines: [
      tokens('input', 200_000, '2.50'),
      tokens('cached input', 50_000, '0.25'),
      tokens('output and thoughts', 1_500, '15'),
    ],
  },
  {
    title: 'Gemini, a prompt above 200,000 tokens with priority',
    provider: 'gemini',
    model: 'gemini-2.5-pro',
    read: usageFrom.gemini,
    body: {
      candidates: [{ finishReason: 'STOP' }],
      usageMetadata: {
        promptTokenCount: 200_001,
        candidatesTokenCount: 10,
        totalTokenCount: 200_011,
        trafficType: 'ON_DEMAND_PRIORITY',
      },
    },
    lines: [tokens('input', 200_001, '4.50'), tokens('output', 10, '27')],
  },
  {
    title: 'Gemini, a picture as output',
    provider: 'gemini',
    model: 'gemini-2.5-flash-image',
    read: usageFrom.gemini,
    body: {
      candidates: [{ finishReason: 'STOP' }],
      usageMetadata: {
        promptTokenCount: 20,
        candidatesTokenCount: 1300,
        candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 1290 }],
        totalTokenCount: 1320,
        trafficType: 'ON_DEMAND',
      },
    },
    lines: [tokens('input', 20, '0.30'), tokens('text output', 10, '2.50'), tokens('image output', 1290, '30')],
  },
  {
    title: 'Bedrock Converse serving Anthropic: caches of both times',
    provider: 'bedrock_converse',
    model: 'us.anthropic.claude-sonnet-4-5-20250929-v1:0',
    read: usageFrom.bedrock,
    body: {
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
    lines: [
      tokens('input', 30, '3.30'),
      tokens('cache reads', 1000, '0.33'),
      tokens('cache writes, 1 hour', 150, '6.60'),
      tokens('cache writes, 5 minutes', 50, '4.125'),
      tokens('output', 40, '16.50'),
    ],
  },
  {
    title: 'Bedrock Converse, an input above 200,000 tokens, written to the cache for an hour',
    provider: 'bedrock_converse',
    model: 'us.anthropic.claude-sonnet-4-5-20250929-v1:0',
    read: usageFrom.bedrock,
    body: {
      stopReason: 'end_turn',
      usage: {
        inputTokens: 1_000,
        outputTokens: 40,
        totalTokens: 211_040,
        cacheReadInputTokens: 10_000,
        cacheWriteInputTokens: 200_000,
        cacheDetails: [{ ttl: '1h', inputTokens: 200_000 }],
      },
    },
    lines: [
      tokens('input', 1_000, '6.60'),
      tokens('cache reads', 10_000, '0.66'),
      tokens('cache writes, 1 hour', 200_000, '13.20'),
      tokens('output', 40, '24.75'),
    ],
  },
  {
    title: 'a model of the AI SDK serving Anthropic',
    provider: 'anthropic',
    model: 'claude-opus-4-6',
    read: usageFrom.aiSdk,
    body: {
      finishReason: 'stop',
      usage: {
        inputTokens: { total: 700, noCache: 100, cacheRead: 500, cacheWrite: 100 },
        outputTokens: { total: 90, text: 60, reasoning: 30 },
        raw: { cache_creation: { ephemeral_1h_input_tokens: 40, ephemeral_5m_input_tokens: 60 } },
      },
    },
    lines: [
      tokens('input', 100, '5'),
      tokens('cache reads', 500, '0.50'),
      tokens('cache writes, 1 hour', 40, '10'),
      tokens('cache writes, 5 minutes', 60, '6.25'),
      tokens('output', 90, '25'),
    ],
  },
  {
    title: 'LiteLLM serving Anthropic',
    provider: 'anthropic',
    model: 'claude-sonnet-4-5-20250929',
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
        },
        cache_creation_input_tokens: 556,
        cache_read_input_tokens: 1800,
        server_tool_use: { web_search_requests: 1 },
      },
    },
    lines: [
      tokens('input', 2048, '3'),
      tokens('cache reads', 1800, '0.30'),
      tokens('cache writes, 5 minutes', 456, '3.75'),
      tokens('cache writes, 1 hour', 100, '6'),
      tokens('output', 503, '15'),
      searches(1, '10'),
    ],
  },
  {
    title: 'OpenTelemetry attributes of OpenAI, flex',
    provider: 'openai',
    model: 'gpt-5.4',
    read: usageFrom.otel,
    body: {
      'gen_ai.provider.name': 'openai',
      'gen_ai.usage.input_tokens': 1000,
      'gen_ai.usage.output_tokens': 100,
      'gen_ai.usage.cache_read.input_tokens': 800,
      'gen_ai.usage.reasoning.output_tokens': 80,
      'openai.response.service_tier': 'flex',
    },
    lines: [tokens('input', 200, '1.25'), tokens('cached input', 800, '0.13'), tokens('output', 100, '7.50')],
  },
];
