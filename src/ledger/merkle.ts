/**
 * Owns: the Merkle tree over the entry hashes of a batch, as RFC 6962 section 2.1 defines it.
 * Does not own: the leaves: the hash of an entry is its leaf hash already (entry.ts).
 * Invariants: leaves and inner nodes are hashed under different prefixes (0x00, 0x01), so neither can pose as the other;
 * the tree of no leaves is SHA-256 of the empty string; leaves keep their order.
 * Digests travel as one-byte-a-character strings and lie in one buffer a tree: a Buffer of its own for each of 4,000
 * digests a chunk cost more than hashing them.
 */
import { hash } from 'node:crypto';

const NODE_PREFIX = 0x01;
const HASH_BYTES = 32;

/**
 * The root (32 bytes) over the given leaf hashes in order, each as hexadecimal text.
 * Source: RFC 6962 §2.1; pairing level by level and lifting an odd last node gives the same tree as its recursive split.
 */
export function merkleRoot(leaves: readonly string[]): Buffer {
  if (leaves.length === 0) return hash('sha256', '', 'buffer');
  const level = Buffer.allocUnsafe(leaves.length * HASH_BYTES);
  let end = 0;
  for (const leaf of leaves) end += level.write(leaf, end, 'hex');
  for (let width = leaves.length; width > 1; width = Math.ceil(width / 2)) pairUp(level, width);
  return level.subarray(0, HASH_BYTES);
}

/** Replaces the first `width` digests by those of their pairs; an odd last one moves up as it is. */
function pairUp(level: Buffer, width: number): void {
  const data = Buffer.allocUnsafe(1 + 2 * HASH_BYTES);
  data[0] = NODE_PREFIX;
  for (let left = 0; left < width; left += 2) {
    const start = left * HASH_BYTES;
    if (left + 1 < width) {
      level.copy(data, 1, start, start + 2 * HASH_BYTES);
      putDigest(level, left / 2, data);
    } else {
      level.copy(level, (left / 2) * HASH_BYTES, start, start + HASH_BYTES);
    }
  }
}

function putDigest(level: Buffer, index: number, data: Buffer): void {
  level.write(hash('sha256', data, 'binary'), index * HASH_BYTES, 'latin1');
}
