/** Owns: the port through which the publisher hands batches to a log; kafka-transport.ts is its adapter. */

/** One event as bytes, with the topic it goes to and the key that keeps a tenant's events in order. */
export interface OutgoingMessage {
  readonly topic: string;
  readonly key: string;
  readonly value: Buffer;
}

/** Where batches go. The publisher never calls `send` again before the promise of the last call is settled. */
export interface EventTransport {
  /**
   * Resolves when the log has acknowledged every message of the batch on all in-sync replicas.
   * Order: messages of one topic and key are stored in the order of the batch.
   * Rejects when it gave up; any of the messages may then be stored or not.
   */
  send(batch: readonly OutgoingMessage[]): Promise<void>;
  /** Lets go of connections; never rejects. */
  disconnect(): Promise<void>;
}
