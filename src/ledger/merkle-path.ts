/**
 * Owns: the proof that one entry is in a batch: the hashes beside the way from its leaf to the root, and the root that
 * follows from them.
 * Does not own: the tree (merkle.ts).
 * Invariants: pure; a path proves its leaf at its place in a tree of its size. It does not prove the size: two trees may
 * share a path, so the size must be known from elsewhere, as the counts of a batch tell it.
 * Source: RFC 6962 §2.1.1 for making a path, RFC 9162 §2.1.3.2 for following one.
 */
import { hash } from 'node:crypto';
import { merkleRoot } from './merkle.js';

/** A leaf's place in its tree, and the hashes beside its way to the root, the lowest first; as hexadecimal text. */
export interface MerklePath {
  readonly leafIndex: number;
  readonly treeSize: number;
  readonly path: readonly string[];
}

/** The path of a leaf among the leaves of its tree, each as 64 hexadecimal digits. `leafIndex` < number of leaves. */
export function merklePath(leaves: readonly string[], leafIndex: number): MerklePath {
  return { leafIndex, treeSize: leaves.length, path: pathOf(leaves, leafIndex) };
}

function pathOf(leaves: readonly string[], index: number): string[] {
  if (leaves.length <= 1) return [];
  const split = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return index < split
    ? [...pathOf(left, index), merkleRoot(right).toString('hex')]
    : [...pathOf(right, index - split), merkleRoot(left).toString('hex')];
}

/** The largest power of two below a number of leaves. */
function splitOf(leaves: number): number {
  let split = 1;
  while (split * 2 < leaves) split *= 2;
  return split;
}

/** The root that a leaf and its path come to; undefined when no tree of that size has such a path there. */
export function rootOfPath(leafHash: string, { leafIndex, treeSize, path }: MerklePath): string | undefined {
  if (leafIndex < 0 || leafIndex >= treeSize) return undefined;
  let [at, last] = [leafIndex, treeSize - 1];
  let root = leafHash;
  for (const beside of path) {
    if (last === 0) return undefined;
    if (at % 2 === 1 || at === last) {
      root = nodeHash(beside, root);
      // A node without a partner moves up until it has one.
      while (at % 2 === 0 && at > 0) [at, last] = [at / 2, half(last)];
    } else {
      root = nodeHash(root, beside);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 ? root : undefined;
}

function half(value: number): number {
  return Math.floor(value / 2);
}

function nodeHash(left: string, right: string): string {
  return hash('sha256', Buffer.from(`01${left}${right}`, 'hex'), 'hex');
}
