/**
 * Owns: the events that were accepted and are not yet acknowledged: how many, how many bytes, in which order.
 * Does not own: when a batch is sent (usage-publisher.ts).
 * Invariants: what is in flight still counts against the bounds; batches leave in the order of acceptance.
 */
import type { OutgoingMessage } from './event-transport.js';

/** An accepted event with the promise its caller waits for. */
export interface BufferedEvent {
  readonly message: OutgoingMessage;
  readonly acknowledge: () => void;
  readonly fail: (cause: unknown) => void;
}

/** What a buffer may hold at most. */
export interface BufferBounds {
  readonly bufferEventsMax: number;
  readonly bufferBytesMax: number;
}

/** A bounded queue of unacknowledged events. */
export class PublishBuffer {
  readonly #bounds: BufferBounds;
  #waiting: BufferedEvent[] = [];
  #events = 0;
  #bytes = 0;

  constructor(bounds: BufferBounds) {
    this.#bounds = bounds;
  }

  /** Events accepted and not yet settled, in flight or waiting. */
  get events(): number {
    return this.#events;
  }

  /** Bytes of the values of those events. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Events that no batch has taken yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Tells whether one more event of this size fits. */
  hasRoomFor(bytes: number): boolean {
    return this.#events < this.#bounds.bufferEventsMax && this.#bytes + bytes <= this.#bounds.bufferBytesMax;
  }

  /** Adds an event at the end. */
  add(event: BufferedEvent): void {
    this.#waiting.push(event);
    this.#events += 1;
    this.#bytes += event.message.value.length;
  }

  /** Takes the next batch from the front: at least one event if any waits, then as many as both limits allow. */
  take(eventsMax: number, bytesMax: number): BufferedEvent[] {
    let count = 0;
    let bytes = 0;
    for (const { message } of this.#waiting) {
      bytes += message.value.length;
      if (count === eventsMax || (count > 0 && bytes > bytesMax)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** Gives back the room of a batch that was acknowledged or given up. */
  release(batch: readonly BufferedEvent[]): void {
    this.#events -= batch.length;
    for (const { message } of batch) this.#bytes -= message.value.length;
  }
}
