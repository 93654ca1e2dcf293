/** Owns: a place of anchors in memory. */
import type { Anchor, FoundAnchor } from '../../src/reconciliation/anchor.js';
import type { AnchorSink } from '../../src/reconciliation/anchor-heads.js';
import { TollbookError } from '../../src/runtime/errors.js';

/** Keeps what is published to it. */
export class MemoryAnchors implements AnchorSink {
  readonly name = 'memory';
  readonly anchors: Anchor[] = [];
  /** While it is, nothing can be published or read. */
  isAway = false;

  async publish(anchors: readonly Anchor[]): Promise<void> {
    await this.#reach();
    this.anchors.push(...anchors);
  }

  async freeze(): Promise<AsyncIterable<FoundAnchor>> {
    await this.#reach();
    return foundIn([...this.anchors]);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #reach(): Promise<void> {
    return this.isAway
      ? Promise.reject(new TollbookError('KAFKA_UNAVAILABLE', 'the place is away'))
      : Promise.resolve();
  }
}

async function* foundIn(anchors: readonly Anchor[]): AsyncGenerator<FoundAnchor> {
  if (anchors.length === 0) yield await Promise.resolve({ kind: 'none', place: 'memory' });
  for (const anchor of anchors) yield await Promise.resolve({ kind: 'anchor' as const, anchor, place: 'memory' });
}
