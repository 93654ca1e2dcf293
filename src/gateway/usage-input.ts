/**
 * Owns: what a gateway hands to the publisher, in camelCase, and its mapping to the wire form.
 * Does not own: the rules of the contract (src/contract); the wire form is checked by the same gate that consumers use.
 * Invariants: a field that the tables below do not know is refused, not dropped: a misspelt `allowNegatve` would
 * otherwise silently change what is charged; a field with the value undefined counts as left out.
 */
import type { UsageKind } from '../contract/dto-kinds.js';
import { describeFound, isWireObject } from '../contract/found-value.js';
import type { WireObject } from '../contract/found-value.js';
import type { EventPricing, UsageCompleted, UsageOutcome } from '../ledger/events.js';
import { nameMap, ownValue } from '../runtime/name-map.js';
import type { DeclaredTotals } from './usage/usage-reading.js';

/** What both events tell about a request. */
export interface UsageInput {
  /** Unique name of the event; a random UUID when left out. Give the same one when you publish an event again. */
  readonly eventId?: string;
  readonly traceId: string;
  /** Left out for traffic that belongs to no tenant; such an event is not billable. */
  readonly tenantId?: string;
  readonly apiKeyId?: string;
  /** Whose usage it was, besides the tenant's; for reports, they decide nothing. At most eight tags. */
  readonly userId?: string;
  readonly projectId?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** A Date, or RFC 3339 with an offset, as `new Date().toISOString()` writes it. */
  readonly occurredAt: Date | string;
  readonly provider: string;
  readonly model: string;
  /** The class that the provider served it in, such as `priority`, as `usageFrom` reads it; left out: standard. */
  readonly priceClass?: string | undefined;
  readonly presetItemId?: string;
  readonly stream: boolean;
  readonly pricing?: EventPricing;
}

/** A request was admitted and may cost up to its estimate. */
export interface PendingInput extends UsageInput {
  readonly estimate: {
    /** Default 0. */
    readonly inputTokens?: number;
    /** Default 4096. */
    readonly maxOutputTokens?: number;
    /** The most of each further meter that it may use, such as images, by meter name. */
    readonly meters?: Readonly<Record<string, number>>;
  };
}

/** A request has ended and used exactly this much. */
export interface CompletedInput extends UsageInput {
  readonly outcome: UsageOutcome;
  readonly usage: UsageCompleted['usage'] & {
    /** The provider's own totals, as `usageFrom` reads them: where the meters add up to more, the event is refused. */
    readonly declared?: DeclaredTotals;
  };
  /** Charge even beyond the balance; default: the value of `stream`. */
  readonly allowNegative?: boolean;
  /** Why this request is not billable, for example `internal`. */
  readonly skipReason?: string;
}

/** The input of each kind of event. */
export interface UsageInputs {
  readonly pending: PendingInput;
  readonly completed: CompletedInput;
}

interface FieldNames {
  readonly [field: string]: string | { readonly name: string; readonly fields: FieldNames };
}

const PRICING: FieldNames = {
  inputPer1k: 'input_per_1k',
  outputPer1k: 'output_per_1k',
  currency: 'currency',
  meters: 'meters',
  priceVersion: 'price_version',
};

const IDENTITY: FieldNames = {
  eventId: 'event_id',
  traceId: 'trace_id',
  tenantId: 'tenant_id',
  apiKeyId: 'api_key_id',
  occurredAt: 'occurred_at',
  provider: 'provider',
  model: 'model',
  priceClass: 'price_class',
  presetItemId: 'preset_item_id',
  userId: 'user_id',
  projectId: 'project_id',
  tags: 'tags',
  stream: 'stream',
  pricing: { name: 'pricing', fields: PRICING },
};

const FIELDS: Readonly<Record<UsageKind, FieldNames>> = {
  pending: {
    ...IDENTITY,
    estimate: {
      name: 'estimate',
      fields: { inputTokens: 'input_tokens', maxOutputTokens: 'max_output_tokens', meters: 'meters' },
    },
  },
  completed: {
    ...IDENTITY,
    outcome: 'outcome',
    usage: {
      name: 'usage',
      fields: {
        ...{ inputTokens: 'input_tokens', outputTokens: 'output_tokens', meters: 'meters' },
        declared: { name: 'declared', fields: { inputTokens: 'input_tokens', outputTokens: 'output_tokens' } },
      },
    },
    allowNegative: 'allow_negative',
    skipReason: 'skip_reason',
  },
};

/** An input in its wire form, with the unknown fields that were found on the way. */
export interface MappedInput {
  readonly wire: Record<string, unknown>;
  readonly problems: readonly string[];
}

function mapFields(
  input: WireObject,
  fields: FieldNames,
  at: { path: string; problems: string[] },
): Record<string, unknown> {
  const wire = nameMap<unknown>();
  for (const key of Object.keys(input)) {
    const value = ownValue(input, key);
    if (value === undefined) continue;
    const field = ownValue(fields, key);
    if (field === undefined) at.problems.push(unknownField(`${at.path}${key}`, value, fields));
    else if (typeof field === 'string') wire[field] = value instanceof Date ? instantText(value) : value;
    else if (!isWireObject(value)) wire[field.name] = value;
    else wire[field.name] = mapFields(value, field.fields, { path: `${at.path}${key}.`, problems: at.problems });
  }
  return wire;
}

/** A date without a time is refused by the contract, as it prints. */
function instantText(date: Date): string {
  return Number.isNaN(date.getTime()) ? String(date) : date.toISOString();
}

function unknownField(path: string, value: unknown, fields: FieldNames): string {
  return `${path} (found ${describeFound(value)}): not a field of the input, allowed: ${Object.keys(fields).join(', ')}`;
}

/** Maps an input to the wire form, without schema_version and producer; values are not checked here. */
export function toWire<K extends UsageKind>(kind: K, input: UsageInputs[K]): MappedInput {
  if (!isWireObject(input)) return { wire: {}, problems: [`the input is ${describeFound(input)}, allowed: an object`] };
  const problems: string[] = [];
  return { wire: mapFields(input, FIELDS[kind], { path: '', problems }), problems };
}
