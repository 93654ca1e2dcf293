/**
 * Owns: publishing the heads of all chains to one place, once: which of them are new, and that none contradicts what was
 * published there before.
 * Does not own: when (anchor-publisher.ts), the places themselves.
 * Invariants: an anchor is only ever followed by one that continues its chain. Were a chain that was cut off and grew
 * again anchored anew, the anchor that shows it would go with the next compaction; so it stays until someone replaces it.
 */
import { type ChainHead, readBatchHashes, readHeads, type ReadRows } from '../ledger/postgres/anchor-rows.js';
import type { Anchor, AnchorPlace } from './anchor.js';
import { sourceName } from './verify-chain.js';

/** A place that anchors can be published to. */
export interface AnchorSink extends AnchorPlace {
  publish(anchors: readonly Anchor[]): Promise<void>;
  close(): Promise<void>;
}

/** An anchor that the chain contradicts, and what the chain has in its place. */
export interface BrokenAnchor {
  readonly anchor: Anchor;
  readonly found: 'missing' | 'other';
}

/** What publishing came to. */
export interface PublishedHeads {
  readonly published: readonly Anchor[];
  /** Chains whose head was anchored before. */
  readonly unchanged: number;
  /** Chains left as they are, because their last anchor is not on them. */
  readonly broken: readonly BrokenAnchor[];
}

/** What heads are published with. */
export interface PublishPorts {
  readonly rows: ReadRows;
  readonly clock: { nowMs(): number };
}

/** Whoever puts new anchors in the place of contradicted ones, and why. */
export interface ReplaceOrder {
  readonly actor: string;
  readonly reason: string;
}

/** The newest anchors of a place, by source name: those furthest along their chains, unless one was put in their place. */
export async function newestAnchors(place: AnchorPlace): Promise<Map<string, Anchor>> {
  const newest = new Map<string, Anchor>();
  for await (const found of await place.freeze()) {
    if (found.kind !== 'anchor') continue;
    const { anchor } = found;
    const known = newest.get(sourceName(anchor.source));
    if (known === undefined || anchor.replacement !== undefined || anchor.batchNo >= known.batchNo) {
      newest.set(sourceName(anchor.source), anchor);
    }
  }
  return newest;
}

/**
 * Publishes the heads that are new to a place, and notes them in `known`.
 * Idempotent: an unchanged head is not published again. Throws POSTGRES_*, and what the place throws.
 */
export async function publishHeads(
  { rows, clock }: PublishPorts,
  { sink, known, replace }: { sink: AnchorSink; known: Map<string, Anchor>; replace?: ReplaceOrder | undefined },
): Promise<PublishedHeads> {
  // Before the heads: an anchor that another process publishes meanwhile must not look as if it were ahead.
  const broken = await brokenAnchors(rows, [...known.values()]);
  const heads = await readHeads(rows);
  const anchoredAt = new Date(clock.nowMs()).toISOString();
  const published = heads.flatMap((head) => {
    const contradicted = broken.get(sourceName(head.source));
    if (contradicted === undefined) return isNew(head, known) ? [{ ...head, anchoredAt }] : [];
    return replace === undefined ? [] : [{ ...head, anchoredAt, replacement: replacementOf(contradicted, replace) }];
  });
  await sink.publish(published);
  for (const anchor of published) known.set(sourceName(anchor.source), anchor);
  const left = replace === undefined ? [...broken.values()] : [];
  return { published, unchanged: heads.length - published.length - left.length, broken: left };
}

function isNew(head: ChainHead, known: ReadonlyMap<string, Anchor>): boolean {
  return (known.get(sourceName(head.source))?.batchNo ?? 0) < head.batchNo;
}

function replacementOf({ anchor }: BrokenAnchor, { actor, reason }: ReplaceOrder): NonNullable<Anchor['replacement']> {
  return { batchNo: anchor.batchNo, hash: anchor.hash, actor, reason };
}

/** Those of the anchors that are not on their chains, by source name. */
async function brokenAnchors(rows: ReadRows, anchors: readonly Anchor[]): Promise<Map<string, BrokenAnchor>> {
  const hashes = await readBatchHashes(rows, anchors);
  const broken = new Map<string, BrokenAnchor>();
  for (const [index, anchor] of anchors.entries()) {
    const hash = hashes[index];
    if (hash === anchor.hash) continue;
    broken.set(sourceName(anchor.source), { anchor, found: hash === undefined ? 'missing' : 'other' });
  }
  return broken;
}
