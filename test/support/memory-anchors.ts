/** Owns: a place of anchors in memory. */
import type { Anchor, FoundAnchor } from '../../src/reconciliation/anchor.js';
import type { AnchorSink } from '../../src/reconciliation/anchor-heads.js';

/** Keeps what is published to it. */
export class MemoryAnchors implements AnchorSink {
  readonly name = 'memory';
  readonly anchors: Anchor[] = [];

  publish(anchors: readonly Anchor[]): Promise<void> {
    this.anchors.push(...anchors);
    return Promise.resolve();
  }

  freeze(): Promise<AsyncIterable<FoundAnchor>> {
    return Promise.resolve(foundIn([...this.anchors]));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

async function* foundIn(anchors: readonly Anchor[]): AsyncGenerator<FoundAnchor> {
  if (anchors.length === 0) yield await Promise.resolve({ kind: 'none', place: 'memory' });
  for (const anchor of anchors) yield await Promise.resolve({ kind: 'anchor' as const, anchor, place: 'memory' });
}
