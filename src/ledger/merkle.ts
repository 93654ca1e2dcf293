/**
 * Owns: the Merkle tree over the entry hashes of a batch, as RFC 6962 section 2.1 defines it.
 * Invariants: leaves and inner nodes are hashed under different prefixes (0x00, 0x01), so neither can pose as the other;
 * the tree of no leaves is SHA-256 of the empty string; leaves keep their order.
 */
import { hash } from 'node:crypto';

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;
const HASH_BYTES = 32;

function sha256(data: Uint8Array): Buffer {
  return hash('sha256', data, 'buffer');
}

function leafHash(leaf: Uint8Array): Buffer {
  const data = Buffer.allocUnsafe(1 + leaf.length);
  data[0] = LEAF_PREFIX;
  data.set(leaf, 1);
  return sha256(data);
}

function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  const data = Buffer.allocUnsafe(1 + 2 * HASH_BYTES);
  data[0] = NODE_PREFIX;
  data.set(left, 1);
  data.set(right, 1 + HASH_BYTES);
  return sha256(data);
}

/**
 * The root (32 bytes) over the given leaves in order.
 * Source: RFC 6962 §2.1; pairing level by level and lifting an odd last node gives the same tree as its recursive split.
 */
export function merkleRoot(leaves: readonly Uint8Array[]): Buffer {
  if (leaves.length === 0) return sha256(new Uint8Array(0));
  let level = leaves.map(leafHash);
  while (level.length > 1) level = parentLevel(level);
  return level[0] as Buffer;
}

function parentLevel(level: readonly Buffer[]): Buffer[] {
  const parents: Buffer[] = [];
  for (let index = 0; index < level.length; index += 2) {
    const left = level[index] as Buffer;
    const right = level[index + 1];
    parents.push(right === undefined ? left : nodeHash(left, right));
  }
  return parents;
}
