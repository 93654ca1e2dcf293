/** Owns: Merkle paths, against the published vectors of certificate transparency and every place in small trees. */
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { merklePath, rootOfPath } from '../../../src/ledger/merkle-path.js';
import { merkleRoot } from '../../../src/ledger/merkle.js';

/** The leaves and paths of the certificate-transparency reference implementation (merkle_tree_test.cc). */
const CT_LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const CT_PATHS: readonly (readonly [leaf: number, size: number, path: readonly string[]])[] = [
  [1, 1, []],
  [
    1,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    6,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [3, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [
    2,
    5,
    [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
];
const SIZE_MAX = 70;

function sha256(...parts: Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

function leavesOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => sha256(Buffer.from(`leaf ${index}`)));
}

function rootOf(leaves: readonly string[]): string {
  return merkleRoot(leaves).toString('hex');
}

/** A digest with its last bit turned over. */
function flipped(hash: string): string {
  return `${hash.slice(0, -1)}${(Number.parseInt(hash.slice(-1), 16) ^ 1).toString(16)}`;
}

describe('a Merkle path', () => {
  for (const [leaf, size, path] of CT_PATHS) {
    it(`of leaf ${leaf} among the first ${size} of the certificate-transparency vectors is the published one`, () => {
      const leaves = CT_LEAVES.slice(0, size).map((hex) => sha256(Buffer.of(0), Buffer.from(hex, 'hex')));
      expect(merklePath(leaves, leaf - 1)).to.deep.equal({ leafIndex: leaf - 1, treeSize: size, path });
    });
  }

  it('leads every leaf of every tree of up to 70 leaves to its root', () => {
    for (let size = 1; size <= SIZE_MAX; size += 1) {
      const leaves = leavesOf(size);
      for (const [index, leaf] of leaves.entries()) {
        expect(rootOfPath(leaf, merklePath(leaves, index)), `leaf ${index} of ${size}`).to.equal(rootOf(leaves));
      }
    }
  });

  it('leads no other leaf, and no leaf at another place of the tree, to the root', () => {
    for (let size = 1; size <= SIZE_MAX; size += 1) {
      const leaves = leavesOf(size);
      const root = rootOf(leaves);
      for (const index of [0, Math.floor(size / 2), size - 1]) {
        const path = merklePath(leaves, index);
        const leaf = leaves[index] ?? '';
        expect(rootOfPath(flipped(leaf), path) === root, `another leaf at ${index} of ${size}`).to.equal(false);
        for (let other = -1; other <= size; other += 1) {
          if (other === index) continue;
          expect(rootOfPath(leaf, { ...path, leafIndex: other }) === root, `${index} at ${other} of ${size}`).to.equal(
            false,
          );
        }
      }
    }
  });

  it('with a digest changed, missing or added does not lead to the root', () => {
    const leaves = leavesOf(SIZE_MAX);
    const root = rootOf(leaves);
    for (const [index, leaf] of leaves.entries()) {
      const path = merklePath(leaves, index);
      const changed = path.path.map((digest, at) =>
        path.path.map((each, place) => (place === at ? flipped(digest) : each)),
      );
      const bad = [...changed, path.path.slice(1), path.path.slice(0, -1), [...path.path, root]];
      for (const [at, beside] of bad.entries()) {
        expect(rootOfPath(leaf, { ...path, path: beside }) === root, `path ${at} of leaf ${index}`).to.equal(false);
      }
    }
  });

  it('of a tree of one leaf is empty, and the leaf is the root', () => {
    const [leaf = ''] = leavesOf(1);
    expect(rootOfPath(leaf, { leafIndex: 0, treeSize: 1, path: [] })).to.equal(leaf);
    expect(rootOfPath(leaf, { leafIndex: 0, treeSize: 0, path: [] })).to.equal(undefined);
  });
});
