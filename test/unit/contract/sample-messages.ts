/** Owns: messages for the tests of the gate, made from the contract's own examples. */
import { EXAMPLES } from '../../../src/contract/examples.js';

/** The size limit of these tests. */
export const LIMITS = { eventBytesMax: 65_536 };

/** A valid pending event on the wire. */
export const PENDING = EXAMPLES.pending[0] as Record<string, unknown>;

/** A valid completed event on the wire. */
export const COMPLETED = EXAMPLES.completed[0] as Record<string, unknown>;

/** The smallest valid usage. */
export const USAGE = { input_tokens: 1, output_tokens: 2 };

/** An event as the bytes of a message. */
export function bytesOf(event: unknown): Buffer {
  return Buffer.from(JSON.stringify(event));
}

/** The completed event with some fields changed, as bytes. */
export function completed(changes: Record<string, unknown>): Buffer {
  return bytesOf({ ...COMPLETED, ...changes });
}

/** An event without one field. */
export function without(event: Record<string, unknown>, field: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(event).filter(([name]) => name !== field));
}
