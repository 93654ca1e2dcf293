/**
 * Owns: the compiled form of the published schemas: one function a kind that says yes or no in about a microsecond.
 * Does not own: the reason of a no (dto-report.ts).
 * Invariants: what is compiled is exactly what is published; `date-time` means the calendar check of instant.ts,
 * the pattern beside it in the schema does the rest.
 */
import { Ajv } from 'ajv';
import type { ValidateFunction } from 'ajv';
import type { UsageKind } from './dto-kinds.js';
import { hasRealCalendarDay } from './instant.js';
import { eventSchema } from './json-schema.js';
import type { UsageCompletedDto } from './usage-completed-dto.js';
import type { UsagePendingDto } from './usage-pending-dto.js';

/** The wire form of each kind. */
export interface WireForms {
  readonly pending: UsagePendingDto;
  readonly completed: UsageCompletedDto;
}

/** Compiled checks by kind: true narrows the value to its wire form. */
export type SchemaChecks = { readonly [K in UsageKind]: ValidateFunction<WireForms[K]> };

function compileSchemaChecks(): SchemaChecks {
  const ajv = new Ajv({ strict: true, allErrors: false, ownProperties: false });
  ajv.addFormat('date-time', hasRealCalendarDay);
  return {
    pending: ajv.compile<UsagePendingDto>(eventSchema('pending')),
    completed: ajv.compile<UsageCompletedDto>(eventSchema('completed')),
  };
}

let compiled: SchemaChecks | undefined;

/** The compiled published schemas; compiled when they are asked for first, for most commands never do. */
export function schemaChecks(): SchemaChecks {
  compiled ??= compileSchemaChecks();
  return compiled;
}
