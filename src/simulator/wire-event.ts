/**
 * Owns: the JSON form in which a simulated request is published, written here apart from the contract on purpose: a gateway
 * in another language writes it by hand, too.
 * Does not own: malformed messages (poison.ts).
 * Invariants: fields that are absent are left out, never null; prices are strings; keys keep their order, so that equal
 * events are equal bytes. Built field by field: conditional spreads made an event three times as dear.
 */
import type { SimulatedRequest } from './simulated-request.js';

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
  const { fate, usage } = request;
  const quantities: WireObject = { input_tokens: usage.inputTokens, output_tokens: usage.outputTokens };
  if (usage.cachedInputTokens !== undefined) quantities['meters'] = { cached_input_tokens: usage.cachedInputTokens };
  const event = identity(request, envelope, request.endMs);
  event['outcome'] = fate.kind === 'cancelled' || fate.kind === 'failed' ? fate.kind : 'succeeded';
  event['usage'] = quantities;
  addPricing(event, request);
  if (request.stream && request.saysAllowNegative) event['allow_negative'] = true;
  if (fate.kind === 'skipped' && fate.form === 'internal') event['skip_reason'] = 'internal';
  if (envelope.producer !== undefined) event['producer'] = envelope.producer;
  return event;
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

function addPricing(event: WireObject, { fate, model, usage }: SimulatedRequest): void {
  if (fate.kind === 'skipped' && fate.form === 'noPricing') return;
  const lacking = fate.kind === 'unpriced' ? fate.form : undefined;
  const pricing: WireObject = {};
  if (lacking !== 'inputMissing') pricing['input_per_1k'] = model.inputPer1k;
  if (lacking !== 'outputMissing') pricing['output_per_1k'] = model.outputPer1k;
  pricing['currency'] = 'USD';
  const hasMeter = usage.cachedInputTokens !== undefined && lacking !== 'meterMissing';
  if (hasMeter && model.cachedInputPer1k !== undefined) {
    pricing['meters'] = { cached_input_tokens: model.cachedInputPer1k };
  }
  pricing['price_version'] = 'simulated-1';
  event['pricing'] = pricing;
}
