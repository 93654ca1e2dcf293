/**
 * Owns: the load of a soak run: simulations published at a steady rate while Kafka comes and goes.
 * Does not own: what is published (src/simulator).
 * Invariants: batches are acknowledged in their order, each sent again for as long as it takes; so every message is in
 * Kafka at least once, and what is there twice must be charged once. After an outage the publisher catches up.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import type { PlannedMessage } from '../../src/simulator/message-writer.js';
import type { SimulationPlan } from '../../src/simulator/plan.js';
import { DurableProducer } from '../../src/runtime/durable-producer.js';

const BATCHES_PER_SECOND = 10;
const PAUSE_MS = 200;
const TRIES_MAX = 300;

/** Where to, and how fast. */
export interface SteadyLoad {
  readonly kafka: Kafka;
  /** Pending, then completed. */
  readonly topics: readonly [string, string];
  readonly ratePerSecond: number;
  readonly plans: readonly SimulationPlan[];
}

/** Publishes simulations one after the other. */
export class SteadyPublisher {
  published = 0;
  /** Batches that were sent again because Kafka had not said that it has them. */
  resent = 0;
  isDone = false;
  readonly #producer: DurableProducer;

  constructor(readonly load: SteadyLoad) {
    this.#producer = new DurableProducer({ kafka: load.kafka });
  }

  /** Publishes everything; rejects when Kafka refuses a batch for minutes. */
  async run(): Promise<void> {
    const startedMs = performance.now();
    for (const batch of this.#batches()) {
      const dueMs = startedMs + (this.published * 1_000) / this.load.ratePerSecond;
      await delay(Math.max(0, dueMs - performance.now()));
      await this.#sendUntilTaken(batch);
      this.published += batch.length;
    }
    await this.#producer.disconnect();
    this.isDone = true;
  }

  *#batches(): Generator<readonly PlannedMessage[]> {
    const size = Math.max(1, Math.floor(this.load.ratePerSecond / BATCHES_PER_SECOND));
    let batch: PlannedMessage[] = [];
    for (const plan of this.load.plans) {
      for (const message of plan.messages()) {
        batch.push(message);
        if (batch.length < size) continue;
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0) yield batch;
  }

  async #sendUntilTaken(batch: readonly PlannedMessage[]): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#send(batch);
        return;
      } catch (error) {
        if (tries === TRIES_MAX) throw error;
        this.resent += 1;
        await delay(PAUSE_MS);
      }
    }
  }

  async #send(batch: readonly PlannedMessage[]): Promise<void> {
    const [pending, completed] = this.load.topics;
    const topicMessages = [
      { topic: pending, messages: batch.filter(({ role }) => role === 'pending') },
      { topic: completed, messages: batch.filter(({ role }) => role === 'completed') },
    ].map(({ topic, messages }) => ({ topic, messages: messages.map(({ key, value }) => ({ key, value })) }));
    await this.#producer.send(topicMessages);
  }
}
