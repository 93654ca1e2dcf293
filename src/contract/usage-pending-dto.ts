/**
 * Owns: the wire form of `usage.pending`: a request was admitted and may cost up to its estimate.
 * Does not own: what it does to an account (src/ledger).
 */
import { JSONSchema } from 'class-validator-jsonschema';
import { MeterQuantities, Optional, Quantity, Section } from './field-rules.js';
import { UsageIdentityDto } from './usage-identity-dto.js';

/** Input tokens that a pending event has when it names none. */
export const INPUT_TOKENS_DEFAULT = 0;

/** Output tokens that a pending event may cost when it names no maximum. */
export const MAX_OUTPUT_TOKENS_DEFAULT = 4096;

/** The estimate of a pending event on the wire. */
@JSONSchema({ additionalProperties: false, description: 'What the request may use at most.' })
export class EstimateDto {
  @Optional()
  @Quantity({ description: 'Input tokens of the prompt.', example: 1200, default: INPUT_TOKENS_DEFAULT })
  input_tokens?: number;

  @Optional()
  @Quantity({ description: 'Most output tokens.', example: 1024, default: MAX_OUTPUT_TOKENS_DEFAULT })
  max_output_tokens?: number;

  @Optional()
  @MeterQuantities({
    description:
      'The most of each further meter that the request may use, such as images; it is held with the tokens. Where meters are given and output tokens have no price, the default of max_output_tokens does not apply.',
  })
  meters?: Record<string, number>;
}

/** `usage.pending` on the wire. */
@JSONSchema({
  additionalProperties: false,
  title: 'usage.pending',
  description: 'A gateway admitted a request; its estimated cost may be held until the completion arrives.',
})
export class UsagePendingDto extends UsageIdentityDto {
  @Section()
  estimate!: EstimateDto;
}
