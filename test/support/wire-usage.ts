/**
 * Owns: usage events in their wire form, priced so that a token costs one currency unit, for tests that count money.
 * Does not own: random events (test/property/wire-events.ts).
 */

/** An event as it is published. */
export type WireEvent = Readonly<Record<string, unknown>>;

/** The wire time of every event that names no other. */
export const NOON = '2026-03-15T12:00:00.000Z';

/** One unit per input token and two per output token. */
export const UNIT_PRICING = { input_per_1k: '1000', output_per_1k: '2000', currency: 'USD' };

/** What tests vary of an event; `units` is its cost or its estimate. */
export interface WireChoices {
  readonly tenantId: string;
  readonly traceId: string;
  readonly units?: number;
  /** Wire fields to set or replace; a field that is undefined is left out. */
  readonly fields?: WireEvent;
}

/** A pending event that is estimated at `units`. */
export function wirePending({ tenantId, traceId, units = 1, fields = {} }: WireChoices): WireEvent {
  const estimate = { input_tokens: units, max_output_tokens: 0 };
  return { ...identityOf(tenantId, traceId), estimate, ...fields };
}

/** A completion without streaming that costs `units`. */
export function wireCompleted({ tenantId, traceId, units = 1, fields = {} }: WireChoices): WireEvent {
  const usage = { input_tokens: units, output_tokens: 0 };
  return { ...identityOf(tenantId, traceId), outcome: 'succeeded', usage, ...fields };
}

function identityOf(tenantId: string, traceId: string): WireEvent {
  return {
    schema_version: 1,
    event_id: `event-of-${traceId}`,
    trace_id: traceId,
    tenant_id: tenantId,
    occurred_at: NOON,
    provider: 'anthropic',
    model: 'claude-sonnet-4',
    stream: false,
    pricing: UNIT_PRICING,
  };
}
