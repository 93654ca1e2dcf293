/**
 * Owns: the wire form of `usage.completed`: a request has ended and used exactly this much.
 * Does not own: its price or what it does to an account (src/ledger).
 */
import { JSONSchema } from 'class-validator-jsonschema';
import type { UsageOutcome } from '../ledger/events.js';
import { METERS } from '../ledger/meters.js';
import { Flag, MeterQuantities, OneOf, Optional, Quantity, Reason, Section } from './field-rules.js';
import { UsageIdentityDto } from './usage-identity-dto.js';

const FURTHER_METERS = Object.values(METERS).filter((name) => name !== METERS.inputTokens && name !== METERS.outputTokens);

/** How a request can end, in the words of the wire. */
export const OUTCOMES: readonly UsageOutcome[] = ['succeeded', 'failed', 'cancelled'];

/** The totals that the provider itself reported, on the wire. */
@JSONSchema({
  additionalProperties: false,
  description:
    'Totals as the provider reported them, each with every token of its side. Where the meters of a side add up to more, tokens are counted twice and the event is refused. They are checked and not kept.',
})
export class DeclaredDto {
  @Optional()
  @Quantity({ description: 'All input tokens, cached, written and spoken ones included.', example: 2147 })
  input_tokens?: number;

  @Optional()
  @Quantity({ description: 'All output tokens, reasoning included.', example: 402 })
  output_tokens?: number;
}

/** The usage of a completed event on the wire. */
@JSONSchema({
  additionalProperties: false,
  description:
    'What the request used, in meters that exclude each other: each token is in exactly one of them, and each is charged at its own price.',
})
export class UsageDto {
  @Quantity({ description: 'Input tokens that no other meter counts: without those in cached_input_tokens and the like.', example: 1187 })
  input_tokens!: number;

  @Quantity({ description: 'Output tokens that no other meter counts: without those in reasoning_output_tokens and the like.', example: 402 })
  output_tokens!: number;

  @Optional()
  @MeterQuantities({
    description: `Quantity of each further meter, by meter name. Tollbook's own names: ${FURTHER_METERS.join(', ')}.`,
  })
  meters?: Record<string, number>;

  @Optional()
  @Section()
  declared?: DeclaredDto;
}

/** `usage.completed` on the wire. */
@JSONSchema({
  additionalProperties: false,
  title: 'usage.completed',
  description: 'A request has ended; the tenant is charged for what it used, once per trace.',
})
export class UsageCompletedDto extends UsageIdentityDto {
  @OneOf({ description: 'How the request ended.', example: 'succeeded' }, OUTCOMES)
  outcome!: UsageOutcome;

  @Section()
  usage!: UsageDto;

  @Optional()
  @Flag({
    description:
      'Charge even when the balance does not cover it, because the answer was already delivered. Default: the value of stream.',
    example: true,
  })
  allow_negative?: boolean;

  @Optional()
  @Reason({ description: 'Why this request is not billable; it is then recorded and not charged.', example: 'internal' })
  skip_reason?: string;
}
