/**
 * Owns: reading the usage of Amazon Bedrock's Converse API, whole or streamed. A model invoked directly answers in the
 * shape of its maker: use that maker's reader.
 * Source: the types TokenUsage and ConverseStreamMetadataEvent of `@aws-sdk/client-bedrock-runtime` 3.1164.
 * Invariants: cached and written tokens stand beside `inputTokens`, not within it.
 */
import { isWireObject, type WireObject } from '../../contract/found-value.js';
import { METERS } from '../../ledger/meters.js';
import { priceClassOfTier } from './openai-usage.js';
import { readingOf } from './side-reading.js';
import { sumOf } from './token-pools.js';
import {
  CountReader,
  NOTHING_READ,
  sectionOf,
  textOf,
  type UsageOptions,
  type UsageReader,
  type UsageReading,
} from './usage-reading.js';

/** Reads a Converse response, or its `usage` alone. */
export function bedrockUsage(body: unknown, options: UsageOptions = {}): UsageReading {
  return isWireObject(body) ? converseReading(body, options) : NOTHING_READ;
}

/** Reads the events of ConverseStream; the count comes with the last one, `metadata`. */
export function bedrockStream(options: UsageOptions = {}): UsageReader {
  let metadata: WireObject | undefined;
  return {
    read: (event) => {
      if (isWireObject(event)) metadata = sectionOf(event, 'metadata') ?? metadata;
    },
    reading: () => (metadata === undefined ? NOTHING_READ : converseReading(metadata, options)),
  };
}

function converseReading(body: WireObject, options: UsageOptions): UsageReading {
  const counts = new CountReader();
  const usage = sectionOf(body, 'usage') ?? body;
  const fresh = counts.read(usage, 'inputTokens');
  const cached = counts.read(usage, 'cacheReadInputTokens');
  const written = counts.read(usage, 'cacheWriteInputTokens');
  const hour = Math.min(hourTokens(counts, usage), written ?? 0);
  const sides = {
    input: {
      total: fresh === undefined ? undefined : sumOf([fresh, cached, written]),
      parts: [
        { meter: METERS.cachedInputTokens, tokens: cached },
        { meter: METERS.cacheCreation1hInputTokens, tokens: hour },
        { meter: METERS.cacheCreationInputTokens, tokens: (written ?? 0) - hour },
      ],
    },
    output: { total: counts.read(usage, 'outputTokens'), parts: [] },
    isFinal: true,
    priceClass: priceClassOfTier(textOf(sectionOf(body, 'serviceTier'), 'type')),
  };
  return readingOf(sides, counts, options);
}

/** Of the written tokens, those that are kept for an hour. */
function hourTokens(counts: CountReader, { cacheDetails }: WireObject): number {
  if (!Array.isArray(cacheDetails)) return 0;
  const hours = cacheDetails.filter((detail): detail is WireObject => isWireObject(detail) && detail['ttl'] === '1h');
  return sumOf(hours.map((detail) => counts.read(detail, 'inputTokens'))) ?? 0;
}
