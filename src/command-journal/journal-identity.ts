/**
 * Owns: which topic the journal is: the id that Kafka gave it, asked for now and then.
 * Does not own: what follows from another id (journal-follower.ts).
 * Invariants: nothing is connected before the first question; after a failure it connects afresh.
 */
import type { Kafka } from 'kafkajs';
import { TopicIds } from '../runtime/topic-ids.js';

/** How old an answer may be, in milliseconds: what was published into a new topic meanwhile is published once more. */
const AGE_MAX_MS = 30_000;

/** Tells the id of a topic; close it when done. */
export class JournalIdentity {
  readonly #kafka: Kafka;
  readonly #topic: string;
  #ids: TopicIds | undefined;
  #known: { readonly id: string | null; readonly askedAtMs: number } | undefined;

  constructor(kafka: Kafka, topic: string) {
    this.#kafka = kafka;
    this.#topic = topic;
  }

  /** The id, at most 30 seconds old; null where brokers give none. Throws KAFKA_UNAVAILABLE. */
  async read(): Promise<string | null> {
    const nowMs = performance.now();
    if (this.#known !== undefined && nowMs - this.#known.askedAtMs < AGE_MAX_MS) return this.#known.id;
    try {
      this.#ids ??= await TopicIds.open(this.#kafka, [this.#topic]);
      const id = await this.#ids.of({ topic: this.#topic, partition: 0 });
      this.#known = { id, askedAtMs: nowMs };
      return id;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const ids = this.#ids;
    this.#ids = undefined;
    await ids?.close();
  }
}
