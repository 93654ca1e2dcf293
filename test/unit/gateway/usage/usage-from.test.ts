/** Owns: the usage of each provider in exclusive meters, whole responses and streams, cut ones too. */
import { expect } from 'chai';
import { usageFrom, usageFromStream } from '../../../../src/gateway/usage/usage-from.js';
import type { UsageReader, UsageReading } from '../../../../src/gateway/usage/usage-reading.js';
import { PROVIDER_CASES } from '../../../support/provider-usage.js';

function readAll(reader: UsageReader, chunks: readonly unknown[]): UsageReading {
  for (const chunk of chunks) reader.read(chunk);
  return reader.reading();
}

describe('usage as providers report it', () => {
  for (const { title, read, body, usage, priceClass } of PROVIDER_CASES) {
    it(`is read into exclusive meters: ${title}`, () => {
      const reading = read(body);
      expect(reading.usage).to.deep.equal(usage);
      expect(reading.priceClass).to.equal(priceClass);
      expect(reading.problems).to.deep.equal([]);
      expect(reading.complete).to.equal(true);
    });
  }

  it('is unknown, and not zero, where the provider reported nothing', () => {
    for (const read of Object.values(usageFrom)) {
      for (const body of [undefined, null, 'text', [], {}, { usage: null }, { usage: {} }]) {
        const reading = read(body);
        expect(reading.usage).to.equal(undefined);
        expect(reading.complete).to.equal(false);
      }
    }
  });

  it('is not complete when a count is no whole number, and the count is named', () => {
    const reading = usageFrom.openAiChat({ usage: { prompt_tokens: 10, completion_tokens: -1, total_tokens: 9 } });
    expect(reading.complete).to.equal(false);
    expect(reading.usage).to.deep.equal({ inputTokens: 10, outputTokens: 0 });
    expect(reading.problems.join('; ')).to.contain('completion_tokens is -1');
  });

  it('is cut at its total where the parts contradict it', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 12 } };
    const reading = usageFrom.openAiChat({ usage });
    expect(reading.usage).to.deep.equal({ inputTokens: 0, outputTokens: 1, meters: { cached_input_tokens: 10 } });
    expect(reading.complete).to.equal(false);
    expect(reading.problems.join()).to.contain('exceed what is left of the total');
  });

  it('refuses usage of AI SDK 5, which cannot be split', () => {
    const reading = usageFrom.aiSdk({ usage: { inputTokens: 10, outputTokens: 5, cachedInputTokens: 3 } });
    expect(reading.usage).to.equal(undefined);
    expect(reading.problems.join()).to.contain('AI SDK 5');
  });
});

describe('usage of a streamed response', () => {
  const openAiChunks = [
    { choices: [{ delta: { content: 'Hi' }, finish_reason: null }], usage: null },
    { choices: [{ delta: {}, finish_reason: 'stop' }], usage: null },
    { choices: [], usage: { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 }, service_tier: 'default' },
  ];

  it('of OpenAI comes with the last chunk, and is unknown when the stream was cut before it', () => {
    const whole = readAll(usageFromStream.openAiChat(), openAiChunks);
    expect(whole.usage).to.deep.equal({ inputTokens: 12, outputTokens: 3 });
    expect(whole.complete).to.equal(true);
    const cut = readAll(usageFromStream.openAiChat(), openAiChunks.slice(0, 2));
    expect(cut.usage).to.equal(undefined);
    expect(cut.complete).to.equal(false);
  });

  it('of a server that counts in every chunk is what was counted, and not complete, when it was cut', () => {
    const counted = (tokens: number): object => ({
      choices: [{ delta: { content: 'x' }, finish_reason: null }],
      usage: { prompt_tokens: 12, completion_tokens: tokens, total_tokens: 12 + tokens },
    });
    const cut = readAll(usageFromStream.openAiChat(), [counted(1), counted(2)]);
    expect(cut.usage).to.deep.equal({ inputTokens: 12, outputTokens: 2 });
    expect(cut.complete).to.equal(false);
  });

  it('of the Responses API comes with the event that ends it, incomplete answers too', () => {
    const usage = { input_tokens: 5, output_tokens: 6, input_tokens_details: { cached_tokens: 2 } };
    for (const type of ['response.completed', 'response.incomplete']) {
      const events = [
        { type: 'response.in_progress', response: { usage: null } },
        { type, response: { usage, service_tier: 'auto' } },
      ];
      const reading = readAll(usageFromStream.openAiResponses(), events);
      expect(reading.usage).to.deep.equal({ inputTokens: 3, outputTokens: 6, meters: { cached_input_tokens: 2 } });
      expect(reading.priceClass).to.equal(undefined);
    }
  });

  const anthropicEvents = [
    {
      type: 'message_start',
      message: {
        usage: {
          input_tokens: 20,
          cache_creation_input_tokens: 110,
          cache_read_input_tokens: 7,
          cache_creation: { ephemeral_5m_input_tokens: 10, ephemeral_1h_input_tokens: 100 },
          output_tokens: 1,
          service_tier: 'standard',
        },
      },
    },
    { type: 'content_block_delta', delta: { type: 'text_delta', text: 'Hi' } },
    {
      type: 'message_delta',
      delta: { stop_reason: null },
      usage: { output_tokens: 15, input_tokens: null, cache_read_input_tokens: null },
    },
    {
      type: 'message_delta',
      delta: { stop_reason: 'end_turn' },
      usage: { output_tokens: 25, input_tokens: 22, cache_creation_input_tokens: 110, cache_read_input_tokens: 7 },
    },
    { type: 'message_stop' },
  ];
  const caches = { cached_input_tokens: 7, cache_creation_1h_input_tokens: 100, cache_creation_input_tokens: 10 };

  it('of Anthropic is cumulative, and keeps the split of the cache that only its start tells', () => {
    const whole = readAll(usageFromStream.anthropic(), anthropicEvents);
    expect(whole.usage).to.deep.equal({ inputTokens: 22, outputTokens: 25, meters: caches });
    expect(whole.complete).to.equal(true);
  });

  it('of Anthropic that was cut is what was counted until then', () => {
    const cut = readAll(usageFromStream.anthropic(), anthropicEvents.slice(0, 3));
    expect(cut.usage).to.deep.equal({ inputTokens: 20, outputTokens: 15, meters: caches });
    expect(cut.complete).to.equal(false);
  });

  it('of Gemini is the last count, and complete once a candidate has ended', () => {
    const chunk = (tokens: number, more: object = {}): object => ({
      candidates: [{ content: {}, ...more }],
      usageMetadata: { promptTokenCount: 9, candidatesTokenCount: tokens, totalTokenCount: 9 + tokens },
    });
    const cut = readAll(usageFromStream.gemini(), [chunk(4), chunk(8)]);
    expect(cut.usage).to.deep.equal({ inputTokens: 9, outputTokens: 8 });
    expect(cut.complete).to.equal(false);
    const whole = readAll(usageFromStream.gemini(), [chunk(4), chunk(11, { finishReason: 'STOP' })]);
    expect(whole.usage).to.deep.equal({ inputTokens: 9, outputTokens: 11 });
    expect(whole.complete).to.equal(true);
  });

  it('of Bedrock, the AI SDK and LiteLLM comes with the last event', () => {
    const bedrock = readAll(usageFromStream.bedrock(), [
      { messageStart: { role: 'assistant' } },
      { metadata: { usage: { inputTokens: 3, outputTokens: 4, totalTokens: 7 }, serviceTier: { type: 'priority' } } },
    ]);
    expect(bedrock.usage).to.deep.equal({ inputTokens: 3, outputTokens: 4 });
    expect(bedrock.priceClass).to.equal('priority');
    const aiSdk = readAll(usageFromStream.aiSdk(), [
      { type: 'text-delta', delta: 'Hi' },
      { type: 'finish', usage: { inputTokens: { total: 3 }, outputTokens: { total: 4 } } },
    ]);
    expect(aiSdk.usage).to.deep.equal({ inputTokens: 3, outputTokens: 4 });
    const liteLlm = readAll(usageFromStream.liteLlm(), [
      { choices: [{ delta: { content: 'x' } }] },
      { choices: [], usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 } },
    ]);
    expect(liteLlm.usage).to.deep.equal({ inputTokens: 3, outputTokens: 4 });
    for (const open of [usageFromStream.bedrock, usageFromStream.aiSdk, usageFromStream.liteLlm]) {
      expect(open().reading().usage).to.equal(undefined);
    }
  });
});
