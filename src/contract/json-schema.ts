/**
 * Owns: the JSON Schemas of the usage events, generated from the DTOs.
 * Does not own: the rules (field-rules.ts) or the files the schemas are written to (contract-files.ts).
 * Invariants: draft-07, because it is what AsyncAPI embeds and what validators of every language read; a section is a
 * bare `$ref` into `definitions`, since draft-07 ignores whatever stands beside a reference.
 */
import { targetConstructorToSchema } from 'class-validator-jsonschema';
import { ownValue } from '../runtime/name-map.js';
import { DTO_OF_KIND } from './dto-kinds.js';
import type { DtoClass, UsageKind } from './dto-kinds.js';
import { EXAMPLES } from './examples.js';
import { CUSTOM_RULES } from './field-rules.js';
import { PricingDto, ProducerDto, UsageIdentityDto } from './usage-identity-dto.js';
import { EstimateDto } from './usage-pending-dto.js';
import { DeclaredDto, UsageDto } from './usage-completed-dto.js';

/** The JSON Schema of one kind of event. */
export interface EventSchema {
  readonly $schema: string;
  readonly $id: string;
  readonly properties: Readonly<Record<string, object>>;
  readonly required: readonly string[];
  readonly definitions: Readonly<Record<string, object>>;
}

const SECTIONS: Readonly<Record<UsageKind, readonly DtoClass[]>> = {
  pending: [EstimateDto, PricingDto, ProducerDto],
  completed: [UsageDto, DeclaredDto, PricingDto, ProducerDto],
};

function schemaOf(dto: DtoClass): ReturnType<typeof targetConstructorToSchema> {
  return targetConstructorToSchema(dto, {
    additionalConverters: Object.fromEntries(CUSTOM_RULES.map((name) => [name, {}])),
  });
}

/** Puts the identity fields first: class-validator-jsonschema lists inherited fields last. */
function identityFirst(names: readonly string[]): string[] {
  const identity = Object.keys(schemaOf(UsageIdentityDto).properties ?? {}).filter((name) => names.includes(name));
  return [...identity, ...names.filter((name) => !identity.includes(name))];
}

/** Generates the JSON Schema (draft-07) of one kind of usage event. */
export function eventSchema(kind: UsageKind): EventSchema {
  const { properties = {}, required = [], ...rest } = schemaOf(DTO_OF_KIND[kind]);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: `tollbook:usage-${kind}`,
    ...rest,
    properties: Object.fromEntries(identityFirst(Object.keys(properties)).map((name) => [name, ownValue(properties, name) ?? {}])),
    required: identityFirst(required),
    definitions: Object.fromEntries(SECTIONS[kind].map((section) => [section.name, schemaOf(section)])),
    ...{ examples: EXAMPLES[kind] },
  };
}
