/** Owns: a log in memory: the EventTransport for tests of the publisher, with hand-held acknowledgements and failures. */
import type { EventTransport, OutgoingMessage } from '../../../src/gateway/event-transport.js';

/** One message as it was stored, its value parsed. */
export interface StoredEvent {
  readonly topic: string;
  readonly key: string;
  readonly value: {
    readonly event_id: string;
    readonly producer: { readonly seq: number };
    readonly occurred_at: string;
    readonly usage?: object;
  };
}

/** Keeps batches in memory. While held, a batch waits until `release` or `failWith` settles it. */
export class MemoryTransport implements EventTransport {
  readonly batches: StoredEvent[][] = [];
  disconnects = 0;
  mostInFlight = 0;
  #inFlight = 0;
  #isHeld = false;
  #failures: Error[] = [];
  #open: (() => void)[] = [];

  async send(batch: readonly OutgoingMessage[]): Promise<void> {
    this.#inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.#inFlight);
    if (this.#isHeld) await new Promise<void>((resolve) => this.#open.push(resolve));
    this.#inFlight -= 1;
    const failure = this.#failures.shift();
    if (failure !== undefined) throw failure;
    this.batches.push(batch.map(({ topic, key, value }) => ({ topic, key, value: parse(value) })));
  }

  disconnect(): Promise<void> {
    this.disconnects += 1;
    return Promise.resolve();
  }

  /** Lets batches wait from now on. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Settles every waiting batch and lets later ones through. */
  release(): void {
    this.#isHeld = false;
    for (const open of this.#open.splice(0)) open();
  }

  /** Makes the next batches fail, one for each error. */
  failNext(...failures: Error[]): void {
    this.#failures.push(...failures);
  }

  /** Every stored event in order. */
  stored(): StoredEvent[] {
    return this.batches.flat();
  }
}

function parse(value: Buffer): StoredEvent['value'] {
  return JSON.parse(value.toString('utf8')) as StoredEvent['value'];
}
