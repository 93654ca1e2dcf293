/**
 * Owns: the compact list of everything a simulation publishes: one 32-bit code and one time a message, instead of its bytes.
 * Does not own: the bytes (plan.ts makes them one by one from the code), the order of arrival (arrival-order.ts).
 * Invariants: a repeat directly follows the message it repeats and is never earlier; 12 bytes a message with the producer's
 * number, so that a million requests fit in some tens of megabytes.
 */
import { invariant } from '../runtime/errors.js';
import type { TopicRole } from './wire-event.js';

/** What a message is: the first of its kind for its request, byte for byte the same again, the same content under a new event id, or malformed. */
export type MessageForm = 'original' | 'repeat' | 'reissue' | 'poison';

/** A decoded message code; `number` is that of the request, or of the poison message. */
export interface MessageCode {
  readonly number: number;
  readonly form: MessageForm;
  readonly role: TopicRole;
}

const FORMS: readonly [MessageForm, ...MessageForm[]] = ['original', 'repeat', 'reissue', 'poison'];
/** Two forms of topic times four forms of message. */
const CODES_PER_NUMBER = 8;

/** Packs a message code into 32 bits; numbers reach 2^29. */
export function encodeMessage({ number, form, role }: MessageCode): number {
  return number * CODES_PER_NUMBER + FORMS.indexOf(form) * 2 + (role === 'completed' ? 1 : 0);
}

/** Unpacks a message code. */
export function decodeMessage(code: number): MessageCode {
  const rest = code % CODES_PER_NUMBER;
  return {
    number: Math.floor(code / CODES_PER_NUMBER),
    form: FORMS[rest >>> 1] ?? FORMS[0],
    role: rest % 2 === 1 ? 'completed' : 'pending',
  };
}

/** A list of messages in the order in which they were planned, not in that of time; grows by doubling. */
export class MessageSlots {
  #codes = new Uint32Array(1024);
  #sentMs = new Uint32Array(1024);
  #length = 0;

  /** Number of messages. */
  get length(): number {
    return this.#length;
  }

  /** Appends a message that is sent at a time, in whole milliseconds since the start of the simulation. */
  push(message: MessageCode, sentMs: number): void {
    if (this.#length === this.#codes.length) this.#grow();
    this.#codes[this.#length] = encodeMessage(message);
    this.#sentMs[this.#length] = sentMs;
    this.#length += 1;
  }

  /** Returns the message of a slot. */
  messageAt(slot: number): MessageCode {
    const code = slot < this.#length ? this.#codes[slot] : undefined;
    invariant(code !== undefined, `no message in slot ${slot}`);
    return decodeMessage(code);
  }

  /** Returns the times of all slots, in milliseconds since the start of the simulation. */
  get sentMs(): Uint32Array {
    return this.#sentMs.subarray(0, this.#length);
  }

  #grow(): void {
    const [codes, sentMs] = [this.#codes, this.#sentMs];
    this.#codes = new Uint32Array(codes.length * 2);
    this.#sentMs = new Uint32Array(codes.length * 2);
    this.#codes.set(codes);
    this.#sentMs.set(sentMs);
  }
}
