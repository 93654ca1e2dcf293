/**
 * Owns: which tenant, trace and event a refused message names, where its JSON can be read although it is no event.
 * Does not own: why it was refused (event-gate.ts).
 * Invariants: never throws; an id is told only where the contract would take it, and none where a key stands twice, since then
 * readers do not agree on what the message says. Refused messages are rare: they are read a second time for this.
 */
import { IDENTIFIER } from '../ledger/identifier.js';
import { ownValue } from '../runtime/name-map.js';
import type { RejectReason } from './event-gate.js';
import { isWireObject, type WireObject } from './found-value.js';
import { repeatedKey } from './repeated-key.js';

/** The ids that a message names. */
export interface ReadableIds {
  readonly tenantId?: string;
  readonly traceId?: string;
  readonly eventId?: string;
}

/** Refusals of what is JSON all the same. */
const OF_JSON: ReadonlySet<RejectReason> = new Set(['INVALID_EVENT', 'UNKNOWN_SCHEMA_VERSION']);

/** The ids that a message names which was refused for this reason. */
export function readableIds(message: Buffer | null, reason: RejectReason): ReadableIds {
  if (message === null || !OF_JSON.has(reason)) return {};
  const text = message.toString('utf8');
  const wire: unknown = JSON.parse(text);
  if (!isWireObject(wire) || repeatedKey(text) !== undefined) return {};
  const [tenantId, traceId, eventId] = ['tenant_id', 'trace_id', 'event_id'].map((field) => idIn(wire, field));
  return {
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(traceId === undefined ? {} : { traceId }),
    ...(eventId === undefined ? {} : { eventId }),
  };
}

function idIn(wire: WireObject, field: string): string | undefined {
  const value = ownValue(wire, field);
  return typeof value === 'string' && IDENTIFIER.test(value) ? value : undefined;
}
