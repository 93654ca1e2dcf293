/**
 * Owns: the wire form of `usage.completed`: a request has ended and used exactly this much.
 * Does not own: its price or what it does to an account (src/ledger).
 */
import { JSONSchema } from 'class-validator-jsonschema';
import type { UsageOutcome } from '../ledger/events.js';
import { Flag, MeterQuantities, OneOf, Optional, Quantity, Reason, Section } from './field-rules.js';
import { UsageIdentityDto } from './usage-identity-dto.js';

/** How a request can end, in the words of the wire. */
export const OUTCOMES: readonly UsageOutcome[] = ['succeeded', 'failed', 'cancelled'];

/** The usage of a completed event on the wire. */
@JSONSchema({ additionalProperties: false, description: 'What the request used.' })
export class UsageDto {
  @Quantity({ description: 'Input tokens, as the provider counted them.', example: 1187 })
  input_tokens!: number;

  @Quantity({ description: 'Output tokens, as the provider counted them.', example: 402 })
  output_tokens!: number;

  @Optional()
  @MeterQuantities({ description: 'Quantity of each further meter, by meter name, such as cached input tokens.' })
  meters?: Record<string, number>;
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
