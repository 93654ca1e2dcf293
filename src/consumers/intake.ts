/**
 * Owns: step 1 of the charge protocol: what each message of a chunk is, before the ledger is asked.
 * Does not own: the wire contract (src/contract), nor any decision that needs the ledger.
 * Invariants: never throws, whatever the bytes; every message becomes exactly one item, in order.
 */
import { decodeCompleted, decodePending, type GateResult } from '../contract/event-gate.js';
import { type ReadableIds, readableIds } from '../contract/readable-ids.js';
import type { DeadLetter, DeadLetterReason } from '../ledger/dead-letter.js';
import type { EventPricing, UsageEvent } from '../ledger/events.js';
import { traceKey } from '../ledger/ledger-store.js';
import type { Unreadable } from '../records/fetched-message.js';
import { nameMap } from '../runtime/name-map.js';
import { brokenBound, type MessageBounds } from './event-bounds.js';

/** One Kafka message as fetched. */
export interface ChunkMessage {
  readonly kafkaOffset: bigint;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, readonly Buffer[]>>;
  /** Set where the record gate could not read it: why, and what it stands for. */
  readonly unreadable?: Unreadable | undefined;
}

/** A billable event with its tenant and its pricing. */
export interface BillableEvent {
  readonly kind: 'billable';
  readonly message: ChunkMessage;
  readonly event: UsageEvent;
  readonly tenantId: string;
  /** Names the trace, as `traceKey` does: made once, since it is looked up again and again. */
  readonly key: string;
  readonly pricing: EventPricing;
}

/** A billable event that carries no pricing: a price book may have one for it. */
export interface UnquotedEvent {
  readonly kind: 'unquoted';
  readonly message: ChunkMessage;
  readonly event: UsageEvent;
  readonly tenantId: string;
  /** Names the trace, as `traceKey` does. */
  readonly key: string;
}

/** What a message is before the ledger is asked. */
export type IntakeItem =
  | BillableEvent
  | UnquotedEvent
  | { readonly kind: 'skipped'; readonly message: ChunkMessage; readonly event: UsageEvent; readonly reason: string }
  | { readonly kind: 'deadLetter'; readonly letter: DeadLetter };

/** Bounds on what is accepted; times in milliseconds. */
export interface IntakeLimits extends MessageBounds {
  readonly eventBytesMax: number;
  readonly eventAgeMaxMs: number;
}

/** Which of the two events a topic carries. */
export type UsageKind = UsageEvent['kind'];

/** How far an event's clock may be ahead of ours: 5 minutes. */
export const EVENT_FUTURE_MAX_MS = 5 * 60_000;

/** The reason recorded for events that are not billable. */
export const NOT_BILLABLE = 'no_pricing_or_internal';

/** Decodes and validates one message; what cannot be charged becomes a dead letter with its reason. */
export function intake(message: ChunkMessage, kind: UsageKind, bounds: IntakeLimits & { nowMs: number }): IntakeItem {
  const { unreadable } = message;
  if (unreadable !== undefined) return refused(message, unreadable.reason, unreadable.detail);
  const decoded: GateResult<UsageEvent> =
    kind === 'pending' ? decodePending(message.value, bounds) : decodeCompleted(message.value, bounds);
  if (!decoded.ok) {
    return refused(message, decoded.reason, decoded.detail, readableIds(message.value, decoded.reason));
  }
  const { event } = decoded;
  const broken = brokenBound(message, event, bounds);
  if (broken !== undefined) return refused(message, broken.reason, broken.detail, event);
  const outOfTime = timeProblem(event, bounds);
  if (outOfTime !== undefined) return refused(message, outOfTime.reason, outOfTime.detail, event);
  const { tenantId, pricing } = event;
  if (tenantId === undefined || isDeclaredUnbillable(event)) {
    return { kind: 'skipped', message, event, reason: NOT_BILLABLE };
  }
  const key = traceKey({ tenantId, traceId: event.traceId });
  if (pricing === undefined) return { kind: 'unquoted', message, event, tenantId, key };
  return { kind: 'billable', message, event, tenantId, key, pricing };
}

/** The same message under another number; a copy by spreading would leave out what a fetched message works out when asked. */
export function renumbered({ key, value, headers, unreadable }: ChunkMessage, kafkaOffset: bigint): ChunkMessage {
  return { kafkaOffset, key, value, headers, unreadable };
}

function isDeclaredUnbillable(event: UsageEvent): boolean {
  return event.kind === 'completed' && event.skipReason !== undefined;
}

/** The bounds of the times that a chunk's events may tell, in their normal form: as texts they are in the order of time. */
interface TimeBounds {
  readonly of: TimeLimits;
  readonly earliest: string;
  readonly latest: string;
}

type TimeLimits = Pick<IntakeLimits, 'eventAgeMaxMs'> & { readonly nowMs: number };

/** What an event may tell at all lies between these, by its contract. */
const [FIRST_MS, LAST_MS] = [Date.UTC(1970), Date.UTC(3000)];

let lastBounds: TimeBounds | undefined;

/** The bounds of a chunk, made once and not for each of its messages. */
function timeBounds(limits: TimeLimits): TimeBounds {
  if (lastBounds?.of === limits) return lastBounds;
  const textOf = (ms: number): string => new Date(Math.min(Math.max(ms, FIRST_MS), LAST_MS)).toISOString();
  const earliest = textOf(limits.nowMs - limits.eventAgeMaxMs);
  lastBounds = { of: limits, earliest, latest: textOf(limits.nowMs + EVENT_FUTURE_MAX_MS) };
  return lastBounds;
}

function timeProblem(
  { occurredAt }: UsageEvent,
  limits: TimeLimits,
): { reason: DeadLetterReason; detail: string } | undefined {
  const { earliest, latest } = timeBounds(limits);
  if (occurredAt > latest) {
    const allowed = `at most ${latest} (5 minutes ahead of the consumer)`;
    return { reason: 'OCCURRED_AT_IN_FUTURE', detail: `occurred_at is ${occurredAt}; allowed: ${allowed}` };
  }
  if (occurredAt < earliest) {
    const allowed = `at least ${earliest} (TOLLBOOK_EVENT_AGE_MAX_MS)`;
    return { reason: 'OCCURRED_AT_TOO_OLD', detail: `occurred_at is ${occurredAt}; allowed: ${allowed}` };
  }
  return undefined;
}

function refused(message: ChunkMessage, reason: DeadLetterReason, detail: string, event?: ReadableIds): IntakeItem {
  return { kind: 'deadLetter', letter: deadLetter(message, { reason, detail, event }) };
}

/** Stands for NUL in a header name: jsonb cannot hold it, and a message must not stop its partition. */
const NUL_SHOWN = '\u2400';

/** Makes the dead letter of a message: its bytes and position, and why it cannot be charged. */
export function deadLetter(
  message: ChunkMessage,
  why: { reason: DeadLetterReason; detail: string; event: ReadableIds | undefined },
): DeadLetter {
  const headers = Object.entries(message.headers).map(([name, values]): [string, string[]] => [
    name.replaceAll('\u0000', NUL_SHOWN),
    values.map((value) => value.toString('base64')),
  ]);
  return {
    kafkaOffset: message.kafkaOffset,
    key: message.key,
    value: message.value,
    headers: nameMap(headers),
    reason: why.reason,
    detail: why.detail,
    tenantId: why.event?.tenantId ?? null,
    traceId: why.event?.traceId ?? null,
    eventId: why.event?.eventId ?? null,
  };
}
