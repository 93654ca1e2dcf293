/**
 * Owns: the names of the meters that usage is counted in.
 * Does not own: quantities and prices (pricing.ts), nor how a provider's usage becomes these meters (src/gateway/usage).
 * Invariants: meters are exclusive: each token is in exactly one meter of an event. `input_tokens` and `output_tokens`
 * count what no other meter of that side counts.
 */

/** Every meter that Tollbook's own libraries write; a gateway may send others. Units: tokens, requests or pieces. */
export const METERS = {
  inputTokens: 'input_tokens',
  cachedInputTokens: 'cached_input_tokens',
  /** Written to a cache that is kept for 5 minutes, or for the provider's default time. */
  cacheCreationInputTokens: 'cache_creation_input_tokens',
  /** Written to a cache that is kept for an hour. */
  cacheCreation1hInputTokens: 'cache_creation_1h_input_tokens',
  /** Written to a cache that is kept for 12 hours. */
  cacheCreation12hInputTokens: 'cache_creation_12h_input_tokens',
  audioInputTokens: 'audio_input_tokens',
  cachedAudioInputTokens: 'cached_audio_input_tokens',
  imageInputTokens: 'image_input_tokens',
  videoInputTokens: 'video_input_tokens',
  outputTokens: 'output_tokens',
  reasoningOutputTokens: 'reasoning_output_tokens',
  audioOutputTokens: 'audio_output_tokens',
  imageOutputTokens: 'image_output_tokens',
  videoOutputTokens: 'video_output_tokens',
  requests: 'requests',
  webSearchRequests: 'web_search_requests',
  webFetchRequests: 'web_fetch_requests',
  mapsGroundingRequests: 'maps_grounding_requests',
} as const;

/** The name of one of METERS. */
export type MeterName = (typeof METERS)[keyof typeof METERS];
