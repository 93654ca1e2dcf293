/**
 * Owns: the wire form of what both usage events share: who asked for what, when, at which prices, published by whom.
 * Does not own: the decoded form (src/ledger/events.ts) or the mapping to it (wire-mapping.ts).
 * Invariants: field names are the wire's (snake_case); a field that is not declared here or below is refused.
 */
import { JSONSchema } from 'class-validator-jsonschema';
import { Counter, Currency, Exactly, Flag, Identifier, Instant, Label, MeterPrices, Optional, Price, PriceClass, Section, Tags } from './field-rules.js';

/** The one schema version that this release reads and writes. */
export const SCHEMA_VERSION = 1;

/** The prices of an event on the wire. */
@JSONSchema({
  additionalProperties: false,
  description:
    'Prices per 1,000 units, as decimal strings with every digit. A price that is left out is unknown, not zero: the event is parked until an operator prices it.',
})
export class PricingDto {
  @Optional()
  @Price({ description: 'Price of 1,000 input tokens.', example: '0.003' })
  input_per_1k?: string;

  @Optional()
  @Price({ description: 'Price of 1,000 output tokens.', example: '0.015' })
  output_per_1k?: string;

  @Currency({ description: "Currency of every price here; it must be that of the tenant's account.", example: 'USD' })
  currency!: string;

  @Optional()
  @MeterPrices({ description: 'Price per 1,000 units of each further meter, by meter name.' })
  meters?: Record<string, string>;

  @Optional()
  @Label({ description: 'Which version of the price list these prices come from.', example: 'list-2026-03' })
  price_version?: string;
}

/** The publisher's numbering on the wire. */
@JSONSchema({
  additionalProperties: false,
  description:
    'Numbers what one gateway instance publishes over both topics: seq has no gaps within (instance, epoch), so a gap proves loss before Kafka.',
})
export class ProducerDto {
  @Identifier({ description: 'Name of the gateway instance.', example: 'gateway-7c9f' })
  instance!: string;

  @Counter({ description: 'Which run of the instance: larger after every start.', example: 1774949400000 })
  epoch!: number;

  @Counter({ description: 'Number of the event in this run, from 0.', example: 41 })
  seq!: number;
}

/** What both usage events share on the wire. */
export class UsageIdentityDto {
  @Exactly({ description: 'Version of this contract.', example: SCHEMA_VERSION }, SCHEMA_VERSION)
  schema_version!: number;

  @Identifier({
    description: 'Unique name of this event; the same in every delivery of it.',
    example: '0b9f7c4e-1f1c-4d55-9f0a-6f6f2f3f8c11',
  })
  event_id!: string;

  @Identifier({
    description: 'The request this event belongs to; a tenant is charged once per trace.',
    example: 'trace-81f3',
  })
  trace_id!: string;

  @Optional()
  @Identifier({ description: 'The tenant to charge; left out for traffic of no tenant.', example: 'tenant-42' })
  tenant_id?: string;

  @Optional()
  @Identifier({ description: 'The API key the request came with: its identifier, never the secret.', example: 'key-7' })
  api_key_id?: string;

  @Instant({
    description:
      'When it happened, by the clock of the gateway; quota windows follow it in UTC. Leap seconds (:60) are refused.',
    example: '2026-03-31T09:30:00.250Z',
  })
  occurred_at!: string;

  @Label({ description: 'The provider that served the request.', example: 'anthropic' })
  provider!: string;

  @Label({ description: 'The model, as the provider names it.', example: 'claude-sonnet-4' })
  model!: string;

  @Optional()
  @PriceClass({
    description:
      'The class in which the provider served the request: standard, priority, flex, batch or another that prices name. Left out: standard.',
    example: 'priority',
  })
  price_class?: string;

  @Optional()
  @Identifier({ description: "The item of the gateway's preset that chose the model.", example: 'preset-3' })
  preset_item_id?: string;

  @Optional()
  @Identifier({ description: "The tenant's user whose request it was; for reports, it decides nothing.", example: 'user-9' })
  user_id?: string;

  @Optional()
  @Identifier({ description: "The tenant's project that it was for; for reports, it decides nothing.", example: 'project-1' })
  project_id?: string;

  @Optional()
  @Tags({
    description: 'Up to eight further names to report by, each with a text of at most 128 visible characters; they decide nothing.',
  })
  tags?: Record<string, string>;

  @Flag({ description: 'Whether the response was streamed.', example: true })
  stream!: boolean;

  @Optional()
  @Section()
  pricing?: PricingDto;

  @Optional()
  @Section()
  producer?: ProducerDto;
}
