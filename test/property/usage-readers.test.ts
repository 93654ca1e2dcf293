/**
 * Owns: that every reader of provider usage keeps each token exactly once: the meters of a side add up to the total that
 * the provider reported for it, whatever was cached, written, spoken or thought, and whatever is priced apart.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { METERS } from '../../src/ledger/meters.js';
import { usageFrom } from '../../src/gateway/usage/usage-from.js';
import type { UsageReading } from '../../src/gateway/usage/usage-reading.js';
import { propertySeed } from '../model/property-seed.js';

const counts = fc.nat({ max: 1_000_000 });
const parts = fc.tuple(counts, counts, counts, counts, counts, counts);
const apart = fc.subarray(Object.values(METERS)).map((pricedApart) => ({ pricedApart }));
/** Meters that count no tokens. */
const PIECES: readonly string[] = [
  METERS.requests,
  METERS.webSearchRequests,
  METERS.webFetchRequests,
  METERS.mapsGroundingRequests,
];

function sidesOf({ usage }: UsageReading): { input: number; output: number } {
  let { inputTokens: input, outputTokens: output } = usage ?? { inputTokens: -1, outputTokens: -1 };
  for (const [meter, quantity] of Object.entries(usage?.meters ?? {})) {
    if (PIECES.includes(meter)) continue;
    if (meter.includes('output')) output += quantity;
    else input += quantity;
  }
  return { input, output };
}

type Options = { readonly pricedApart: readonly string[] };
type Six = readonly [number, number, number, number, number, number];

/** A response that holds the six parts, and the totals that its provider would report for it. */
type Shape = (six: Six, options: Options) => { reading: UsageReading; input: number; output: number };

const SHAPES: Readonly<Record<string, Shape>> = {
  openAiChat: ([rest, cached, written, audio, text, thought], options) => {
    const usage = {
      prompt_tokens: rest + cached + written + audio,
      completion_tokens: text + thought,
      prompt_tokens_details: { cached_tokens: cached, cache_write_tokens: written, audio_tokens: audio },
      completion_tokens_details: { reasoning_tokens: thought },
    };
    const reading = usageFrom.openAiChat({ usage }, options);
    return { reading, input: usage.prompt_tokens, output: usage.completion_tokens };
  },
  openAiResponses: ([rest, cached, written, , text, thought], options) => {
    const usage = {
      input_tokens: rest + cached + written,
      output_tokens: text + thought,
      input_tokens_details: { cached_tokens: cached, cache_write_tokens: written },
      output_tokens_details: { reasoning_tokens: thought },
    };
    const reading = usageFrom.openAiResponses({ usage }, options);
    return { reading, input: usage.input_tokens, output: usage.output_tokens };
  },
  anthropic: ([rest, cached, short, hour, text, thought], options) => {
    const usage = {
      input_tokens: rest,
      cache_read_input_tokens: cached,
      cache_creation_input_tokens: short + hour,
      cache_creation: { ephemeral_5m_input_tokens: short, ephemeral_1h_input_tokens: hour },
      output_tokens: text + thought,
      output_tokens_details: { thinking_tokens: thought },
    };
    const reading = usageFrom.anthropic({ usage }, options);
    return { reading, input: rest + cached + short + hour, output: text + thought };
  },
  gemini: ([rest, cachedText, cachedAudio, audio, text, thought], options) => {
    const usageMetadata = {
      promptTokenCount: rest + cachedText + cachedAudio + audio,
      cachedContentTokenCount: cachedText + cachedAudio,
      promptTokensDetails: [{ modality: 'AUDIO', tokenCount: cachedAudio + audio }],
      cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: cachedAudio }],
      candidatesTokenCount: text,
      thoughtsTokenCount: thought,
      toolUsePromptTokenCount: rest,
    };
    const reading = usageFrom.gemini({ usageMetadata }, options);
    return { reading, input: usageMetadata.promptTokenCount + rest, output: text + thought };
  },
  bedrock: ([rest, cached, short, hour, text], options) => {
    const usage = {
      inputTokens: rest,
      outputTokens: text,
      cacheReadInputTokens: cached,
      cacheWriteInputTokens: short + hour,
      cacheDetails: [{ ttl: '1h', inputTokens: hour }],
    };
    return { reading: usageFrom.bedrock({ usage }, options), input: rest + cached + short + hour, output: text };
  },
  aiSdk: ([rest, cached, written, , text, thought], options) => {
    const usage = {
      inputTokens: { total: rest + cached + written, noCache: rest, cacheRead: cached, cacheWrite: written },
      outputTokens: { total: text + thought, text, reasoning: thought },
    };
    return { reading: usageFrom.aiSdk({ usage }, options), input: rest + cached + written, output: text + thought };
  },
  liteLlm: ([rest, cached, short, hour, text, thought], options) => {
    const usage = {
      prompt_tokens: rest + cached + short + hour,
      completion_tokens: text + thought,
      cache_read_input_tokens: cached,
      cache_creation_input_tokens: short + hour,
      prompt_tokens_details: {
        cached_tokens: cached,
        cache_write_tokens: short + hour,
        cache_creation_token_details: { ephemeral_5m_input_tokens: short, ephemeral_1h_input_tokens: hour },
      },
      completion_tokens_details: { reasoning_tokens: thought },
    };
    const reading = usageFrom.liteLlm({ usage }, options);
    return { reading, input: usage.prompt_tokens, output: usage.completion_tokens };
  },
  otel: ([rest, cached, written, , text, thought], options) => {
    const attributes = {
      'gen_ai.usage.input_tokens': rest + cached + written,
      'gen_ai.usage.cache_read.input_tokens': cached,
      'gen_ai.usage.cache_write.input_tokens': written,
      'gen_ai.usage.output_tokens': text + thought,
      'gen_ai.usage.reasoning.output_tokens': thought,
    };
    const reading = usageFrom.otel(attributes, options);
    return { reading, input: rest + cached + written, output: text + thought };
  },
};

/** Values that providers, proxies and bugs put in place of a count. */
const anyCounts = fc.oneof(counts, fc.constantFrom(null, undefined, -1, 0.5, 1e30, Number.NaN, '12', {}, []));
const anyDetails = fc.record(
  Object.fromEntries(
    [
      'cached_tokens',
      'cache_write_tokens',
      'audio_tokens',
      'image_tokens',
      'reasoning_tokens',
      'ephemeral_1h_input_tokens',
    ].map((name) => [name, anyCounts]),
  ),
  { requiredKeys: [] },
);
const anyUsage = fc.record(
  {
    prompt_tokens: anyCounts,
    completion_tokens: anyCounts,
    input_tokens: anyCounts,
    output_tokens: anyCounts,
    inputTokens: anyCounts,
    outputTokens: anyCounts,
    promptTokenCount: anyCounts,
    candidatesTokenCount: anyCounts,
    cachedContentTokenCount: anyCounts,
    cache_read_input_tokens: anyCounts,
    cache_creation_input_tokens: anyCounts,
    cache_creation: anyDetails,
    prompt_tokens_details: anyDetails,
    input_tokens_details: anyDetails,
    completion_tokens_details: anyDetails,
    output_tokens_details: anyDetails,
  },
  { requiredKeys: [] },
);

describe('readers of provider usage', () => {
  let seed: number;
  before(() => {
    seed = propertySeed();
  });

  for (const [name, shape] of Object.entries(SHAPES)) {
    it(`count every token of ${name} once and drop none, whatever is priced apart`, () => {
      fc.assert(
        fc.property(parts, apart, (six, options) => {
          const { reading, input, output } = shape(six, options);
          expect(sidesOf(reading)).to.deep.equal({ input, output });
          expect(reading.declared).to.deep.equal({ inputTokens: input, outputTokens: output });
          expect(reading.complete).to.equal(true);
        }),
        { seed },
      );
    });
  }

  it('keep the sums that they declare, and never throw, whatever stands in place of a count', () => {
    fc.assert(
      fc.property(anyUsage, apart, (usage, options) => {
        for (const read of Object.values(usageFrom)) {
          const reading = read({ usage }, options);
          if (reading.usage === undefined) continue;
          const { inputTokens = 0, outputTokens = 0 } = reading.declared;
          expect(sidesOf(reading)).to.deep.equal({ input: inputTokens, output: outputTokens });
          if (reading.problems.length > 0) expect(reading.complete).to.equal(false);
        }
      }),
      { seed },
    );
  });
});
