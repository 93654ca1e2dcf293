/**
 * Owns: that the simulated gateway reads back, with `usageFrom`, exactly what a simulated provider counted, in every shape:
 * whole or streamed, to the end, cut, or without any count.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { METERS } from '../../src/ledger/meters.js';
import { gatewayReading } from '../../src/simulator/gateway-reading.js';
import type { PricedModel } from '../../src/simulator/price-map.js';
import { countReachOf, reportsCacheWrites, USAGE_SHAPES, usageShapeOf } from '../../src/simulator/provider-shapes.js';
import {
  type Fate,
  NO_USAGE,
  type SimulatedRequest,
  type SimulatedUsage,
} from '../../src/simulator/simulated-request.js';
import { propertySeed } from '../model/property-seed.js';

const PROVIDERS = ['openai', 'mistral', 'deepseek', 'groq', 'xai', 'anthropic', 'gemini', 'cohere_chat', 'constructor'];
const FATES: readonly Fate[] = [
  { kind: 'succeeded' },
  { kind: 'cancelled', used: 'some' },
  { kind: 'cancelled', used: 'none' },
  { kind: 'failed', used: 'some' },
  { kind: 'failed', used: 'none' },
];

const tokens = fc.nat({ max: 1_000_000 });
const meter = fc.option(fc.integer({ min: 1, max: 1_000_000 }), { nil: undefined });

/** Some usage as a request has it: a failed one has no output, and one that used nothing has none of anything. */
function usageOf(counts: SimulatedUsage, { fate }: { fate: Fate }): SimulatedUsage {
  if (fate.kind !== 'failed' && fate.kind !== 'cancelled') return counts;
  if (fate.used === 'none') return NO_USAGE;
  return fate.kind === 'cancelled'
    ? counts
    : { ...counts, outputTokens: 0, reasoningOutputTokens: undefined, thoughtTokens: 0 };
}

const request = fc
  .record({
    number: fc.nat({ max: 9 }),
    provider: fc.constantFrom(...PROVIDERS),
    fate: fc.constantFrom(...FATES),
    stream: fc.boolean(),
    input: fc.record({ inputTokens: tokens, cachedInputTokens: meter, cacheCreationInputTokens: meter }),
    outputTokens: tokens,
    thoughts: tokens,
    reasonsApart: fc.boolean(),
  })
  .map(({ number, provider, fate, stream, input, outputTokens, thoughts, reasonsApart }): SimulatedRequest => {
    const model = { model: 'm', provider, inputPer1k: '1', outputPer1k: '2' };
    const output = reasonsApart
      ? { reasoningOutputTokens: thoughts > 0 ? thoughts : undefined, thoughtTokens: 0 }
      : { reasoningOutputTokens: undefined, thoughtTokens: Math.min(thoughts, outputTokens) };
    return {
      ...{ number, fate, stream, tenant: 0, apiKey: 0, promptTokens: 1, outputTokensMax: undefined },
      ...{ saysAllowNegative: false, startMs: 0, endMs: 1 },
      model: reasonsApart ? { ...model, reasoningPer1k: '3' } : model,
      usage: usageOf({ ...input, ...unreported(model), outputTokens, ...output }, { fate }),
    };
  });

/** What a provider never reports, it is never asked to. */
function unreported(model: PricedModel): { cacheCreationInputTokens?: undefined } {
  return reportsCacheWrites(model) ? {} : { cacheCreationInputTokens: undefined };
}

function metersOf(usage: SimulatedUsage): Record<string, number> {
  const meters = {
    [METERS.cachedInputTokens]: usage.cachedInputTokens,
    [METERS.cacheCreationInputTokens]: usage.cacheCreationInputTokens,
    [METERS.reasoningOutputTokens]: usage.reasoningOutputTokens,
  };
  return Object.fromEntries(
    Object.entries(meters).flatMap(([name, count]) => (count === undefined ? [] : [[name, count]])),
  );
}

describe('the simulated gateway', () => {
  it('reads exactly the exclusive counts of the provider in each shape, and knows whether the count is final', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(request, (one) => {
        const reach = countReachOf(one);
        const { usage, complete } = gatewayReading(one);
        seen.add(`${usageShapeOf(one)} ${one.stream ? 'stream' : 'whole'}`);
        expect(complete).to.equal(reach === 'final');
        if (reach === 'nothing') return void expect(usage).to.equal(undefined);
        const { inputTokens, outputTokens } = one.usage;
        expect({ ...usage, meters: { ...usage?.meters } }).to.deep.equal({
          ...{ inputTokens, outputTokens },
          meters: metersOf(one.usage),
        });
      }),
      { seed: propertySeed(), numRuns: 2_000 },
    );
    expect(seen.size).to.equal(Object.keys(USAGE_SHAPES).length * 2);
  });
});
