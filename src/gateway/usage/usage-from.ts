/**
 * Owns: the table of readers, by the shape in which a provider reports usage.
 * Does not own: any shape (the files beside this one).
 */
import { aiSdkStream, aiSdkUsage } from './ai-sdk-usage.js';
import { anthropicStream, anthropicUsage } from './anthropic-usage.js';
import { bedrockStream, bedrockUsage } from './bedrock-usage.js';
import { geminiStream, geminiUsage } from './gemini-usage.js';
import { liteLlmStream, liteLlmUsage } from './litellm-usage.js';
import { openAiChatStream, openAiChatUsage, openAiResponsesStream, openAiResponsesUsage } from './openai-usage.js';
import { otelUsage } from './otel-usage.js';

/** Reads a whole response; each takes the response body, or its usage object alone. Never throws. */
export const usageFrom = {
  openAiChat: openAiChatUsage,
  openAiResponses: openAiResponsesUsage,
  /** Azure OpenAI answers chat completions as OpenAI does. */
  azureOpenAi: openAiChatUsage,
  anthropic: anthropicUsage,
  gemini: geminiUsage,
  bedrock: bedrockUsage,
  aiSdk: aiSdkUsage,
  liteLlm: liteLlmUsage,
  otel: otelUsage,
} as const;

/** Follows a stream: each makes a reader that is handed every chunk or event, as the provider's SDK gives it. */
export const usageFromStream = {
  openAiChat: openAiChatStream,
  openAiResponses: openAiResponsesStream,
  azureOpenAi: openAiChatStream,
  anthropic: anthropicStream,
  gemini: geminiStream,
  bedrock: bedrockStream,
  aiSdk: aiSdkStream,
  liteLlm: liteLlmStream,
} as const;
