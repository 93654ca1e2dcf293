/**
 * Owns: the Merkle tree over the entry hashes of a batch, as RFC 6962 section 2.1 defines it.
 * Does not own: the leaves: the hash of an entry is its leaf hash already (entry.ts).
 * Invariants: leaves and inner nodes are hashed under different prefixes (0x00, 0x01), so neither can pose as the other;
 * the tree of no leaves is SHA-256 of the empty string; leaves keep their order.
 * Digests travel as one-byte-a-character strings and lie in one buffer a tree: a Buffer of its own for each of 4,000
 * digests a chunk cost more than hashing them.
 */
import { hash } from 'node:crypto';

/** The root of the tree without leaves. */
export const ROOT_OF_NONE = hash('sha256', '', 'buffer');

const NODE_PREFIX = 0x01;
const HASH_BYTES = 32;

/** The leaves of one tree: digests that may be put in any order, and the root over them. */
export class MerkleLeaves {
  readonly #digests: Buffer;

  constructor(readonly count: number) {
    this.#digests = Buffer.alloc(count * HASH_BYTES);
  }

  /** Puts a digest, its bytes as one-byte characters, at a place below `count`. */
  put(place: number, digest: string): void {
    putDigest(this.#digests, place, digest);
  }

  /**
   * The root (32 bytes) over the leaves in the order of their places. To be asked for once: it is made in their place.
   * Source: RFC 6962 §2.1; pairing level by level and lifting an odd last node gives the same tree as its recursive split.
   */
  root(): Buffer {
    if (this.count === 0) return ROOT_OF_NONE;
    for (let width = this.count; width > 1; width = Math.ceil(width / 2)) pairUp(this.#digests, width);
    return Buffer.from(this.#digests.subarray(0, HASH_BYTES));
  }
}

/** The root (32 bytes) over the given leaf hashes in order, each as hexadecimal text. */
export function merkleRoot(leaves: readonly string[]): Buffer {
  const tree = new MerkleLeaves(leaves.length);
  leaves.forEach((leaf, place) => tree.put(place, Buffer.from(leaf, 'hex').toString('latin1')));
  return tree.root();
}

/** Replaces the first `width` digests by those of their pairs; an odd last one moves up as it is. */
function pairUp(level: Buffer, width: number): void {
  const data = Buffer.allocUnsafe(1 + 2 * HASH_BYTES);
  data[0] = NODE_PREFIX;
  for (let left = 0; left < width; left += 2) {
    const start = left * HASH_BYTES;
    if (left + 1 < width) {
      level.copy(data, 1, start, start + 2 * HASH_BYTES);
      putDigest(level, left / 2, hash('sha256', data, 'binary'));
    } else {
      level.copy(level, (left / 2) * HASH_BYTES, start, start + HASH_BYTES);
    }
  }
}

/** Byte by byte, which for 32 of them is faster than a call out of JavaScript. */
function putDigest(level: Buffer, place: number, digest: string): void {
  const start = place * HASH_BYTES;
  for (let index = 0; index < HASH_BYTES; index += 1) level[start + index] = digest.charCodeAt(index);
}
