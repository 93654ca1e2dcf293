/**
 * Owns: turning a message code into the message it stands for: key, bytes, and the names of event, trace and gateway.
 * Does not own: the fields of an event (wire-event.ts), how one is spoiled (poison.ts), the order of messages (plan.ts).
 * Invariants: pure; a repeat is byte for byte its original, a reissue differs in event id and producer number alone.
 */
import type { DeadLetterReason } from '../ledger/dead-letter.js';
import { encodeMessage, type MessageCode, type MessageForm } from './message-slots.js';
import type { PoisonPlan } from './planned-poison.js';
import { type RequestSources, requestOf, type SimulatedRequest } from './simulated-request.js';
import { type TopicRole, wireEvent } from './wire-event.js';

/** One message, ready to publish. */
export interface PlannedMessage {
  readonly role: TopicRole;
  /** The tenant, or the trace of an event that names no tenant, so that repeats stay on one partition. */
  readonly key: string;
  readonly value: Buffer | null;
  readonly form: MessageForm;
  /** The kind of a malformed message and the reason its dead letter must carry. */
  readonly poison?: { readonly kind: string; readonly reason: DeadLetterReason };
}

const GATEWAYS = 4;
/** Poison messages have trace numbers apart from those of requests. */
const POISON_TRACE_BASE = 2 ** 32;

/** Both events of a request come from one gateway; a malformed message carries no number. */
export function gatewayOf({ number, form }: MessageCode): number | undefined {
  return form === 'poison' ? undefined : number % GATEWAYS;
}

/** Turns message codes into messages, for one run of a simulation. */
export class MessageWriter {
  readonly #sources: RequestSources;
  readonly #poison: PoisonPlan;
  readonly #runId: string;
  readonly #startedAtMs: number;

  constructor({ sources, poison, runId }: { sources: RequestSources; poison: PoisonPlan; runId: string }) {
    this.#sources = sources;
    this.#poison = poison;
    this.#runId = runId;
    this.#startedAtMs = sources.options.endAtMs - sources.timeline.spanMs;
  }

  /** Makes a message; `producerNumber` is its number at its gateway. */
  write(code: MessageCode, producerNumber: number): PlannedMessage {
    return code.form === 'poison' ? this.#writePoison(code) : this.#writeEvent(code, producerNumber);
  }

  #writeEvent(code: MessageCode, producerNumber: number): PlannedMessage {
    const request = requestOf(code.number, this.#sources);
    const traceId = this.#traceId(code.number);
    const tenantId = this.#tenantOf(request);
    const event = wireEvent(code.role, request, {
      eventId: this.#eventId(code),
      traceId,
      tenantId,
      startedAtMs: this.#startedAtMs,
      producer: {
        instance: `gateway-${this.#runId}-${(gatewayOf(code) ?? 0) + 1}`,
        epoch: this.#sources.options.endAtMs,
        seq: producerNumber,
      },
    });
    const value = Buffer.from(JSON.stringify(event));
    return { role: code.role, key: tenantId ?? traceId, value, form: code.form };
  }

  #writePoison(code: MessageCode): PlannedMessage {
    const { kind, request, sharesTrace } = this.#poison.poisonOf(code.number);
    const traceNumber = sharesTrace ? request.number : POISON_TRACE_BASE + code.number;
    const tenantId = this.#tenantOf(request);
    const event = wireEvent(code.role, request, {
      eventId: this.#eventId(code),
      traceId: this.#traceId(traceNumber),
      tenantId,
      startedAtMs: this.#startedAtMs,
      producer: undefined,
    });
    const poison = { kind: kind.kind, reason: kind.reason };
    return { role: code.role, key: tenantId ?? code.role, value: kind.spoil(event), form: 'poison', poison };
  }

  #tenantOf({ fate, tenant }: SimulatedRequest): string | undefined {
    return fate.kind === 'skipped' && fate.form === 'noTenant' ? undefined : this.#sources.population.ids[tenant];
  }

  /** 32 hexadecimal digits, as a W3C trace id has: the run, then the number. */
  #traceId(number: number): string {
    return `${this.#runId}${number.toString(16).padStart(20, '0')}`;
  }

  /** A UUID of version 8 (RFC 9562: content of the author's choice): the run, then the code of the message, or of what it repeats. */
  #eventId(code: MessageCode): string {
    const { number, role } = code;
    const named = code.form === 'repeat' ? encodeMessage({ number, role, form: 'original' }) : encodeMessage(code);
    return `${this.#runId.slice(0, 8)}-${this.#runId.slice(8)}-8000-8000-${named.toString(16).padStart(12, '0')}`;
  }
}
