/**
 * Owns: the JSON form in which a simulated request is published, written here apart from the contract on purpose: a gateway
 * in another language writes it by hand, too.
 * Does not own: how the gateway reads its provider's usage (gateway-reading.ts), malformed messages (poison.ts).
 * Invariants: fields that are absent are left out, never null; prices are strings; keys keep their order, so that equal
 * events are equal bytes. Built field by field: conditional spreads made an event three times as dear.
 */
import { gatewayReading } from './gateway-reading.js';
import { type Fate, hasFurtherMeter, type SimulatedRequest } from './simulated-request.js';

/** What a topic carries. */
export const TOPIC_ROLES = ['pending', 'completed'] as const;

/** One word of TOPIC_ROLES. */
export type TopicRole = (typeof TOPIC_ROLES)[number];

/** A JSON object of the wire. */
export type WireObject = { [field: string]: WireValue };

/** A value of the wire. */
export type WireValue = string | number | boolean | WireObject;

/** What an event says beside its request: who published it as which number, and when the simulation began. */
export interface Envelope {
  readonly eventId: string;
  readonly traceId: string;
  /** Undefined when the event carries no tenant. */
  readonly tenantId: string | undefined;
  readonly startedAtMs: number;
  /** Undefined for a malformed message, so that the numbers of the well-formed ones stay without a gap. */
  readonly producer: { readonly instance: string; readonly epoch: number; readonly seq: number } | undefined;
}

/** Writes the event of a request for a topic. */
export function wireEvent(role: TopicRole, request: SimulatedRequest, envelope: Envelope): WireObject {
  return role === 'pending' ? pendingEvent(request, envelope) : completedEvent(request, envelope);
}

function pendingEvent(request: SimulatedRequest, envelope: Envelope): WireObject {
  const estimate: WireObject = { input_tokens: request.promptTokens };
  if (request.outputTokensMax !== undefined) estimate['max_output_tokens'] = request.outputTokensMax;
  const event = identity(request, envelope, request.startMs);
  event['estimate'] = estimate;
  addPricing(event, request);
  if (envelope.producer !== undefined) event['producer'] = envelope.producer;
  return event;
}

function completedEvent(request: SimulatedRequest, envelope: Envelope): WireObject {
  const { fate } = request;
  const { usage, complete, priceClass } = gatewayReading(request);
  const quantities: WireObject = { input_tokens: usage?.inputTokens ?? 0, output_tokens: usage?.outputTokens ?? 0 };
  if (usage?.meters !== undefined) quantities['meters'] = { ...usage.meters };
  const event = identity(request, envelope, request.endMs);
  if (priceClass !== undefined) event['price_class'] = priceClass;
  event['outcome'] = outcomeOf(fate, complete);
  event['usage'] = quantities;
  addPricing(event, request);
  if (request.stream && request.saysAllowNegative) event['allow_negative'] = true;
  if (fate.kind === 'skipped' && fate.form === 'internal') event['skip_reason'] = 'internal';
  if (envelope.producer !== undefined) event['producer'] = envelope.producer;
  return event;
}

/** A request whose provider did not finish its count has not succeeded, whatever its client was told. */
function outcomeOf(fate: Fate, complete: boolean): string {
  if (fate.kind === 'cancelled' || fate.kind === 'failed') return fate.kind;
  return complete ? 'succeeded' : 'cancelled';
}

function identity({ apiKey, model, stream }: SimulatedRequest, envelope: Envelope, atMs: number): WireObject {
  const { eventId, traceId, tenantId, startedAtMs } = envelope;
  const event: WireObject = { schema_version: 1, event_id: eventId, trace_id: traceId };
  if (tenantId !== undefined) {
    event['tenant_id'] = tenantId;
    event['api_key_id'] = `${tenantId}-key-${apiKey + 1}`;
  }
  event['occurred_at'] = new Date(startedAtMs + atMs).toISOString();
  event['provider'] = model.provider;
  event['model'] = model.model;
  event['stream'] = stream;
  return event;
}

function addPricing(event: WireObject, request: SimulatedRequest): void {
  const { fate, model } = request;
  if (fate.kind === 'skipped' && fate.form === 'noPricing') return;
  const lacking = fate.kind === 'unpriced' ? fate.form : undefined;
  const pricing: WireObject = {};
  if (lacking !== 'inputMissing') pricing['input_per_1k'] = model.inputPer1k;
  if (lacking !== 'outputMissing') pricing['output_per_1k'] = model.outputPer1k;
  pricing['currency'] = 'USD';
  if (lacking !== 'meterMissing') addMeterPrices(pricing, request);
  pricing['price_version'] = 'simulated-1';
  event['pricing'] = pricing;
}

/** Prices of the further meters that the request uses; those of the others would only be bytes. */
function addMeterPrices(pricing: WireObject, { model, usage }: SimulatedRequest): void {
  if (!hasFurtherMeter(usage)) return;
  const { cachedInputTokens: cached, cacheCreationInputTokens: written, reasoningOutputTokens: reasoning } = usage;
  const { cachedInputPer1k, cacheCreationPer1k, reasoningPer1k } = model;
  const prices: WireObject = {};
  if (cached !== undefined && cachedInputPer1k !== undefined) prices['cached_input_tokens'] = cachedInputPer1k;
  if (written !== undefined && cacheCreationPer1k !== undefined) {
    prices['cache_creation_input_tokens'] = cacheCreationPer1k;
  }
  if (reasoning !== undefined && reasoningPer1k !== undefined) prices['reasoning_output_tokens'] = reasoningPer1k;
  pricing['meters'] = prices;
}
