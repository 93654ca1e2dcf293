/**
 * Owns: publishing the heads of all chains again and again while a process runs.
 * Does not own: what is published (anchor-heads.ts), the places.
 * Invariants: never gets in the way of charging: a place that is away is tried again in the next round, and told once;
 * an anchor that its chain contradicts is told as an error in every round, and is never replaced here.
 */
import { isTollbookError } from '../runtime/errors.js';
import type { Logger } from '../runtime/logger.js';
import type { Anchor } from './anchor.js';
import { type AnchorSink, newestAnchors, publishHeads, type PublishPorts } from './anchor-heads.js';
import { sourceName } from './verify-chain.js';

/** What the publisher works with. */
export interface AnchorPublisherOptions extends PublishPorts {
  readonly sinks: readonly AnchorSink[];
  readonly logger: Logger;
  readonly intervalMs: number;
}

/** Publishes in rounds. */
export class AnchorPublisher {
  readonly #options: AnchorPublisherOptions;
  readonly #known = new Map<AnchorSink, Map<string, Anchor>>();
  readonly #away = new Set<AnchorSink>();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: AnchorPublisherOptions) {
    this.#options = options;
  }

  /** Starts with a round at once. */
  start(): void {
    this.#round = this.#runRound();
  }

  /** Finishes the round under way, stops, and closes the places. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#round;
    for (const sink of this.#options.sinks) await sink.close();
  }

  /** Never rejects. */
  async #runRound(): Promise<void> {
    for (const sink of this.#options.sinks) await this.#publish(sink);
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#runRound();
    }, this.#options.intervalMs);
  }

  async #publish(sink: AnchorSink): Promise<void> {
    const { logger } = this.#options;
    try {
      const known = this.#known.get(sink) ?? (await newestAnchors(sink));
      this.#known.set(sink, known);
      const { published, broken } = await publishHeads(this.#options, { sink, known });
      if (published.length > 0) logger.debug({ place: sink.name, anchors: published.length }, 'chain heads anchored');
      if (this.#away.delete(sink)) logger.info({ place: sink.name }, 'chain heads are anchored again');
      for (const { anchor, found } of broken) {
        const facts = { place: sink.name, source: sourceName(anchor.source), batchNo: anchor.batchNo, found };
        logger.error(facts, 'a chain contradicts its last anchor: run "tollbook verify --anchors"');
      }
    } catch (error) {
      this.#noteFailure(sink, error);
    }
  }

  #noteFailure(sink: AnchorSink, error: unknown): void {
    const { logger } = this.#options;
    if (!isTollbookError(error)) {
      logger.error({ err: error, place: sink.name }, 'anchoring chain heads failed unexpectedly');
      return;
    }
    if (!this.#away.has(sink)) logger.warn({ err: error, place: sink.name }, 'chain heads are not anchored for now');
    this.#away.add(sink);
  }
}
