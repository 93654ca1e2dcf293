/**
 * Owns: reading usage from the attributes of OpenTelemetry's GenAI conventions, as one flat object.
 * Source: semantic-conventions-genai, docs/gen-ai/client-inference.md; the conventions are still in development.
 * Invariants: `input_tokens` includes cached and written tokens, `output_tokens` includes reasoning. The older name of
 * written tokens, `cache_creation`, is read where the newer one is absent.
 */
import { isWireObject } from '../../contract/found-value.js';
import { METERS } from '../../ledger/meters.js';
import { priceClassOfTier } from './openai-usage.js';
import { readingOf } from './side-reading.js';
import { CountReader, NOTHING_READ, textOf, type UsageOptions, type UsageReading } from './usage-reading.js';

const USAGE = 'gen_ai.usage';

/** Reads the attributes of a finished span or of an event of its details. */
export function otelUsage(attributes: unknown, options: UsageOptions = {}): UsageReading {
  if (!isWireObject(attributes)) return NOTHING_READ;
  const counts = new CountReader();
  const count = (name: string): number | undefined => counts.read(attributes, `${USAGE}.${name}`);
  const sides = {
    input: {
      total: count('input_tokens'),
      parts: [
        { meter: METERS.cachedInputTokens, tokens: count('cache_read.input_tokens') },
        {
          meter: METERS.cacheCreationInputTokens,
          tokens: count('cache_write.input_tokens') ?? count('cache_creation.input_tokens'),
        },
      ],
    },
    output: {
      total: count('output_tokens'),
      parts: [{ meter: METERS.reasoningOutputTokens, tokens: count('reasoning.output_tokens'), unlessFolded: true }],
    },
    isFinal: true,
    priceClass: priceClassOfTier(
      textOf(attributes, 'openai.response.service_tier') ?? textOf(attributes, 'gen_ai.openai.response.service_tier'),
    ),
  };
  return readingOf(sides, counts, options);
}
