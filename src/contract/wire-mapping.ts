/**
 * Owns: the mapping from a valid wire object to the decoded event: names, defaults, time in its normal form.
 * Does not own: validation; what comes in here has passed the gate.
 * Invariants: an absent field stays absent (no property with the value undefined); meter maps have no prototype, so
 * a meter named `constructor` finds nothing but itself; a quantity of -0 becomes 0.
 */
import type { EventPricing, UsageCompleted, UsagePending } from '../ledger/events.js';
import { type NameMap, nameMap } from '../runtime/name-map.js';
import { normalizeInstant } from './instant.js';
import type { UsageCompletedDto } from './usage-completed-dto.js';
import type { PricingDto, UsageIdentityDto } from './usage-identity-dto.js';
import { INPUT_TOKENS_DEFAULT } from './usage-pending-dto.js';
import type { UsagePendingDto } from './usage-pending-dto.js';

type Draft<T> = { -readonly [Field in keyof T]: T[Field] };

type OptionalIdentity =
  | 'tenantId'
  | 'apiKeyId'
  | 'priceClass'
  | 'presetItemId'
  | 'userId'
  | 'projectId'
  | 'tags'
  | 'pricing'
  | 'producer';

function pricingOf(wire: PricingDto): EventPricing {
  const pricing: Draft<EventPricing> = { currency: wire.currency };
  if (wire.input_per_1k !== undefined) pricing.inputPer1k = wire.input_per_1k;
  if (wire.output_per_1k !== undefined) pricing.outputPer1k = wire.output_per_1k;
  if (wire.meters !== undefined) pricing.meters = nameMap(Object.entries(wire.meters));
  if (wire.price_version !== undefined) pricing.priceVersion = wire.price_version;
  return pricing;
}

function fillOptional(event: Draft<Pick<UsagePending, OptionalIdentity>>, wire: UsageIdentityDto): void {
  if (wire.tenant_id !== undefined) event.tenantId = wire.tenant_id;
  if (wire.api_key_id !== undefined) event.apiKeyId = wire.api_key_id;
  if (wire.price_class !== undefined) event.priceClass = wire.price_class;
  if (wire.preset_item_id !== undefined) event.presetItemId = wire.preset_item_id;
  if (wire.user_id !== undefined) event.userId = wire.user_id;
  if (wire.project_id !== undefined) event.projectId = wire.project_id;
  if (wire.tags !== undefined) event.tags = nameMap(Object.entries(wire.tags));
  if (wire.pricing !== undefined) event.pricing = pricingOf(wire.pricing);
  if (wire.producer !== undefined) {
    const { instance, epoch, seq } = wire.producer;
    event.producer = { instance, epoch: epoch + 0, seq: seq + 0 };
  }
}

/** A missing bound on the output stays absent: the default of the contract may be configured otherwise. */
function estimateOf({ estimate }: UsagePendingDto): UsagePending['estimate'] {
  const { input_tokens: input, max_output_tokens: output, meters } = estimate;
  const inputTokens = (input ?? INPUT_TOKENS_DEFAULT) + 0;
  const tokens = output === undefined ? { inputTokens } : { inputTokens, maxOutputTokens: output + 0 };
  return meters === undefined ? tokens : { ...tokens, meters: quantitiesOf(meters) };
}

/** Maps a valid `usage.pending` of the wire to the decoded event. */
export function toPending(wire: UsagePendingDto): UsagePending {
  const event: Draft<UsagePending> = {
    kind: 'pending',
    eventId: wire.event_id,
    traceId: wire.trace_id,
    occurredAt: normalizeInstant(wire.occurred_at),
    provider: wire.provider,
    model: wire.model,
    stream: wire.stream,
    estimate: estimateOf(wire),
  };
  fillOptional(event, wire);
  return event;
}

function usageOf({ usage }: UsageCompletedDto): UsageCompleted['usage'] {
  const tokens = { inputTokens: usage.input_tokens + 0, outputTokens: usage.output_tokens + 0 };
  if (usage.meters === undefined) return tokens;
  return { ...tokens, meters: quantitiesOf(usage.meters) };
}

function quantitiesOf(wire: Readonly<Record<string, number>>): NameMap<number> {
  const meters = nameMap(Object.entries(wire));
  for (const name of Object.keys(meters)) meters[name] = (meters[name] ?? 0) + 0;
  return meters;
}

/** Maps a valid `usage.completed` of the wire to the decoded event. */
export function toCompleted(wire: UsageCompletedDto): UsageCompleted {
  const event: Draft<UsageCompleted> = {
    kind: 'completed',
    eventId: wire.event_id,
    traceId: wire.trace_id,
    occurredAt: normalizeInstant(wire.occurred_at),
    provider: wire.provider,
    model: wire.model,
    stream: wire.stream,
    outcome: wire.outcome,
    usage: usageOf(wire),
    allowNegative: wire.allow_negative ?? wire.stream,
  };
  if (wire.skip_reason !== undefined) event.skipReason = wire.skip_reason;
  fillOptional(event, wire);
  return event;
}
