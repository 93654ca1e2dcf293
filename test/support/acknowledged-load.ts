/**
 * Owns: gateways that publish at a steady rate while brokers fail, and which events their promises acknowledged.
 * Does not own: what fails meanwhile (broker-failures.ts), what the ledger makes of it (fault-world.ts).
 * Invariants: an event whose promise was rejected is published again with its trace id, as a gateway does; when `stop`
 * has resolved, every event that was begun is acknowledged.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createUsagePublisher, isTollbookError, type UsagePublisher } from '../../src/gateway/index.js';
import type { PublisherTopics } from '../../src/gateway/publisher-settings.js';

/** Where to, how fast, and by how many gateways. */
export interface LoadOptions {
  readonly brokers: readonly string[];
  readonly topics: PublisherTopics;
  readonly ratePerSecond: number;
  /** Begins every trace id. */
  readonly prefix: string;
}

const GATEWAYS = 3;
const TENANTS = 40;
const TURN_MS = 10;
const PAUSE_MS = 200;
/** With brokers away for long, a gateway stops asking before its buffer is full. */
const WAITING_MAX = 40_000;

/** Events that are published until they are acknowledged. */
export class AcknowledgedLoad {
  readonly acknowledged: string[] = [];
  /** Promises that were rejected, by reason; each event was then published again. */
  readonly rejected = new Map<string, number>();
  readonly #waiting = new Set<Promise<void>>();
  #begun = 0;
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();

  private constructor(
    readonly options: LoadOptions,
    readonly publishers: readonly UsagePublisher[],
  ) {}

  /** Connects the gateways and begins to publish. */
  static async start(options: LoadOptions): Promise<AcknowledgedLoad> {
    const { brokers, topics } = options;
    const publishers: UsagePublisher[] = [];
    for (let gateway = 0; gateway < GATEWAYS; gateway += 1) {
      publishers.push(await createUsagePublisher({ brokers, topics, instance: `${options.prefix}-${gateway}` }));
    }
    const load = new AcknowledgedLoad(options, publishers);
    load.#running = load.#run();
    return load;
  }

  /** Resolves once so many events are acknowledged. */
  async reached(events: number): Promise<void> {
    while (this.acknowledged.length < events) await delay(PAUSE_MS);
  }

  /** Begins nothing more; resolves when everything is acknowledged. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
    await Promise.all(this.#waiting);
    for (const publisher of this.publishers) await publisher.close();
  }

  /** Begins nothing more and waits for nothing. */
  abandon(): void {
    this.#isStopped = true;
    for (const publisher of this.publishers) void publisher.close();
  }

  async #run(): Promise<void> {
    const startedMs = performance.now();
    while (!this.#isStopped) {
      const due = Math.floor(((performance.now() - startedMs) / 1_000) * this.options.ratePerSecond);
      while (this.#begun < due && this.#waiting.size < WAITING_MAX) this.#begin();
      await delay(TURN_MS);
    }
  }

  #begin(): void {
    this.#begun += 1;
    const publishing = this.#publish(this.#begun).finally(() => this.#waiting.delete(publishing));
    this.#waiting.add(publishing);
  }

  async #publish(number: number): Promise<void> {
    const [publisher] = this.publishers.slice(number % GATEWAYS);
    const traceId = `${this.options.prefix}-${number}`;
    for (;;) {
      try {
        await publisher?.completed(usageOf(traceId, `${this.options.prefix}-tenant-${number % TENANTS}`));
        this.acknowledged.push(traceId);
        return;
      } catch (error) {
        if (this.#isStopped && isTollbookError(error, 'PUBLISHER_CLOSED')) return;
        if (!isTollbookError(error) || error.disposition !== 'retry') throw error;
        const reason = error.message.replaceAll(/acknowledge \S+:/g, 'acknowledge:');
        this.rejected.set(reason, (this.rejected.get(reason) ?? 0) + 1);
        await delay(PAUSE_MS);
      }
    }
  }
}

/** A completion that costs COMPLETION_COST. */
function usageOf(traceId: string, tenantId: string): Parameters<UsagePublisher['completed']>[0] {
  return {
    ...{ traceId, tenantId, occurredAt: new Date().toISOString(), provider: 'openai', model: 'gpt-4o' },
    ...{ stream: true, outcome: 'succeeded', usage: { inputTokens: 1000, outputTokens: 200 } },
    pricing: { inputPer1k: '0.003', outputPer1k: '0.015', currency: 'USD' },
  };
}
