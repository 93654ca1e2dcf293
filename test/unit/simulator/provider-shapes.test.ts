/**
 * Owns: that the independent total of a simulation notices a gateway that misreads its providers.
 * How: the total is summed from what the simulator knows of each request. The same requests are read once with `usageFrom`,
 * and once by copying the provider's fields as they come, as a gateway without it would. If `usageFrom` counted cached tokens
 * within the input, or dropped thoughts, its sum would differ from the total as the copied one does.
 */
import { expect } from 'chai';
import type { ExclusiveUsage } from '../../../src/gateway/usage/usage-reading.js';
import { METERS } from '../../../src/ledger/meters.js';
import { exactCost } from '../../../src/simulator/exact-cost.js';
import { gatewayReading } from '../../../src/simulator/gateway-reading.js';
import { type PricedModel, readPriceMap } from '../../../src/simulator/price-map.js';
import { providerReport } from '../../../src/simulator/provider-reports.js';
import { USAGE_SHAPES, type UsageShape, usageShapeOf } from '../../../src/simulator/provider-shapes.js';
import { settlementOf } from '../../../src/simulator/settlement.js';
import type { SimulatedRequest } from '../../../src/simulator/simulated-request.js';
import { exampleFiles } from '../../../src/simulator/simulate.js';
import { quietOptions, requestsOf } from './simulation-inputs.js';

type Counts = Readonly<Record<string, number>>;
interface Body {
  readonly usage: Counts & { readonly prompt_tokens_details: Counts; readonly input_tokens_details: Counts };
  readonly usageMetadata: Counts;
}

const copied = (inputTokens = 0, outputTokens = 0, cached = 0): ExclusiveUsage => ({
  inputTokens,
  outputTokens,
  meters: { [METERS.cachedInputTokens]: cached },
});

/** What a gateway sends that copies the fields of these names. */
const COPIED: Readonly<Record<UsageShape, (body: Body) => ExclusiveUsage>> = {
  openAiChat: ({ usage }) =>
    copied(usage['prompt_tokens'], usage['completion_tokens'], usage.prompt_tokens_details['cached_tokens']),
  openAiResponses: ({ usage }) =>
    copied(usage['input_tokens'], usage['output_tokens'], usage.input_tokens_details['cached_tokens']),
  anthropic: ({ usage }) => copied(usage['input_tokens'], usage['output_tokens']),
  gemini: ({ usageMetadata }) =>
    copied(
      usageMetadata['promptTokenCount'],
      usageMetadata['candidatesTokenCount'],
      usageMetadata['cachedContentTokenCount'],
    ),
  liteLlm: ({ usage }) => copied(usage['prompt_tokens'], usage['completion_tokens'], usage['cache_read_input_tokens']),
};

function costOf(usage: ExclusiveUsage | undefined, model: PricedModel): bigint {
  const prices: Readonly<Record<string, string | undefined>> = {
    [METERS.cachedInputTokens]: model.cachedInputPer1k,
    [METERS.cacheCreationInputTokens]: model.cacheCreationPer1k,
    [METERS.reasoningOutputTokens]: model.reasoningPer1k,
  };
  return exactCost([
    { quantity: usage?.inputTokens ?? 0, per1k: model.inputPer1k },
    { quantity: usage?.outputTokens ?? 0, per1k: model.outputPer1k },
    ...Object.entries(usage?.meters ?? {}).map(([meter, quantity]) => ({ quantity, per1k: prices[meter] ?? '0' })),
  ]);
}

function copiedUsage(request: SimulatedRequest): ExclusiveUsage | undefined {
  const report = providerReport(request);
  return report.kind === 'whole' ? COPIED[usageShapeOf(request)](report.body as Body) : undefined;
}

describe('the independent total of a simulation', () => {
  let requests: SimulatedRequest[];

  before(async () => {
    const { digest, models } = await readPriceMap(exampleFiles().pricesFile);
    const [first, ...rest] = models.map((model) =>
      // The example has no cached price for the models behind LiteLLM.
      model.provider === 'cohere_chat' ? { ...model, cachedInputPer1k: model.inputPer1k } : model,
    );
    if (first === undefined) return;
    const options = quietOptions({ requests: 4_000, streamShare: 0, meteredShare: 0.5 });
    requests = requestsOf(options, { digest, models: [first, ...rest] });
  });

  for (const shape of Object.keys(USAGE_SHAPES) as UsageShape[]) {
    it(`equals what a gateway reads of ${USAGE_SHAPES[shape]}, and not what it would copy from there`, () => {
      const sums = { total: 0n, read: 0n, byCopy: 0n };
      for (const request of requests.filter((each) => usageShapeOf(each) === shape)) {
        sums.total += settlementOf(request, true).charged;
        sums.read += costOf(gatewayReading(request).usage, request.model);
        sums.byCopy += costOf(copiedUsage(request), request.model);
      }
      expect(sums.read).to.equal(sums.total);
      expect(sums.byCopy).not.to.equal(sums.total);
    });
  }
});
