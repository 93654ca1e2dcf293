/**
 * Owns: reading the usage of Gemini (Google AI and Vertex AI), whole or streamed.
 * Source: the type GenerateContentResponseUsageMetadata of the npm package `@google/genai` 2.32.
 * Invariants: cached tokens are within the prompt, thoughts stand beside the candidates, and what tools returned to the
 * model is input beside the prompt. Every chunk of a stream carries the count so far: the last one stands.
 */
import { isWireObject, type WireObject } from '../../contract/found-value.js';
import { METERS } from '../../ledger/meters.js';
import { ownValue } from '../../runtime/name-map.js';
import { readingOf } from './side-reading.js';
import { sumOf, type TokenPart } from './token-pools.js';
import {
  CountReader,
  NOTHING_READ,
  sectionOf,
  textOf,
  type UsageOptions,
  type UsageReader,
  type UsageReading,
} from './usage-reading.js';

/** Words of `trafficType`; others are handed on in lower case. */
const TRAFFIC: ReadonlyMap<string, string | undefined> = new Map([
  ['TRAFFIC_TYPE_UNSPECIFIED', undefined],
  ['ON_DEMAND', 'standard'],
  ['ON_DEMAND_PRIORITY', 'priority'],
  ['ON_DEMAND_FLEX', 'flex'],
]);

/** Reads a response, or its `usageMetadata` alone. */
export function geminiUsage(body: unknown, options: UsageOptions = {}): UsageReading {
  if (!isWireObject(body)) return NOTHING_READ;
  return metadataReading(sectionOf(body, 'usageMetadata') ?? body, { isFinal: true, options });
}

/** Reads the chunks of a streamed response; the count is final once a candidate names why it ended. */
export function geminiStream(options: UsageOptions = {}): UsageReader {
  let usage: WireObject | undefined;
  let isFinal = false;
  return {
    read: (chunk) => {
      if (!isWireObject(chunk)) return;
      const counted = sectionOf(chunk, 'usageMetadata');
      usage = counted ?? usage;
      if (counted !== undefined && hasEnded(chunk)) isFinal = true;
    },
    reading: () => (usage === undefined ? NOTHING_READ : metadataReading(usage, { isFinal, options })),
  };
}

function hasEnded(chunk: WireObject): boolean {
  const { candidates } = chunk;
  if (isWireObject(chunk['promptFeedback'])) return true; // the prompt was blocked: no candidate comes
  return (
    Array.isArray(candidates) &&
    candidates.some((each) => isWireObject(each) && typeof each['finishReason'] === 'string')
  );
}

function metadataReading(
  usage: WireObject,
  { isFinal, options }: { readonly isFinal: boolean; readonly options: UsageOptions },
): UsageReading {
  const counts = new CountReader();
  const prompt = counts.read(usage, 'promptTokenCount');
  const tools = counts.read(usage, 'toolUsePromptTokenCount');
  const cached = counts.read(usage, 'cachedContentTokenCount');
  const thoughts = counts.read(usage, 'thoughtsTokenCount');
  const candidates = counts.read(usage, 'candidatesTokenCount') ?? counts.read(usage, 'responseTokenCount');
  const inputOf = (modality: string): number =>
    modalityTokens(counts, usage, { modality, sections: ['promptTokensDetails', 'toolUsePromptTokensDetails'] });
  const cachedOf = (modality: string): number =>
    modalityTokens(counts, usage, { modality, sections: ['cacheTokensDetails'] });
  const outputOf = (modality: string): number =>
    modalityTokens(counts, usage, { modality, sections: ['candidatesTokensDetails', 'responseTokensDetails'] });
  const cachedAudio = options.pricedApart?.includes(METERS.cachedAudioInputTokens) === true ? cachedOf('AUDIO') : 0;
  const input: TokenPart[] = [
    { meter: METERS.cachedAudioInputTokens, tokens: cachedAudio },
    { meter: METERS.cachedInputTokens, tokens: Math.max(0, (cached ?? 0) - cachedAudio) },
    { meter: METERS.audioInputTokens, tokens: Math.max(0, inputOf('AUDIO') - cachedOf('AUDIO')) },
    { meter: METERS.imageInputTokens, tokens: Math.max(0, inputOf('IMAGE') - cachedOf('IMAGE')), unlessFolded: true },
    { meter: METERS.videoInputTokens, tokens: Math.max(0, inputOf('VIDEO') - cachedOf('VIDEO')), unlessFolded: true },
  ];
  const output: TokenPart[] = [
    { meter: METERS.reasoningOutputTokens, tokens: thoughts, unlessFolded: true },
    { meter: METERS.audioOutputTokens, tokens: outputOf('AUDIO') },
    { meter: METERS.imageOutputTokens, tokens: outputOf('IMAGE') },
    { meter: METERS.videoOutputTokens, tokens: outputOf('VIDEO') },
  ];
  const sides = {
    input: { total: sumOf([prompt, tools]), parts: input },
    output: {
      total:
        sumOf([candidates, thoughts]) ??
        (isFinal ? unansweredOutput(counts, usage, sumOf([prompt, tools])) : undefined),
      parts: output,
    },
    isFinal,
    priceClass: priceClassOf(textOf(usage, 'trafficType')),
  };
  return readingOf(sides, counts, options);
}

/** Gemini leaves zero counts out: a total equal to the input says that there was no output. */
function unansweredOutput(counts: CountReader, usage: WireObject, input: number | undefined): number | undefined {
  return input !== undefined && counts.read(usage, 'totalTokenCount') === input ? 0 : undefined;
}

function modalityTokens(
  counts: CountReader,
  usage: WireObject,
  { modality, sections }: { readonly modality: string; readonly sections: readonly string[] },
): number {
  let tokens = 0;
  for (const section of sections) {
    const details = ownValue(usage, section);
    if (!Array.isArray(details)) continue;
    for (const detail of details) {
      if (isWireObject(detail) && detail['modality'] === modality) tokens += counts.read(detail, 'tokenCount') ?? 0;
    }
  }
  return tokens;
}

function priceClassOf(traffic: string | undefined): string | undefined {
  if (traffic === undefined || TRAFFIC.has(traffic)) return traffic === undefined ? undefined : TRAFFIC.get(traffic);
  return traffic.toLowerCase();
}
