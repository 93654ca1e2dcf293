/** Owns: the Merkle root, against the published vectors of RFC 6962 and a tree built as the RFC words it. */
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { merkleRoot } from '../../../src/ledger/merkle.js';

/** The leaves and roots of the certificate-transparency reference implementation (merkle_tree_test.cc). */
const CT_LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => Buffer.from(hex, 'hex'));
const CT_ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

function sha256(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** RFC 6962 §2.1 word for word: split at the largest power of two below the number of leaves. */
function rootByTheRfc(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return sha256(Buffer.of(0), leaves[0]!);
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(Buffer.of(1), rootByTheRfc(leaves.slice(0, split)), rootByTheRfc(leaves.slice(split)));
}

/** The root over leaf data given as bytes. */
function rootOf(leaves: readonly Uint8Array[]): Buffer {
  return merkleRoot(leaves.map((leaf) => sha256(Buffer.of(0), leaf).toString('hex')));
}

function leavesOf(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => sha256(Buffer.from(`leaf ${index}`)));
}

describe('the Merkle root', () => {
  for (const [count, root] of CT_ROOTS.entries()) {
    it(`of the first ${count} leaves of the certificate-transparency vectors is the published one`, () => {
      expect(rootOf(CT_LEAVES.slice(0, count)).toString('hex')).to.equal(root);
    });
  }

  it('is the tree of the RFC for every number of leaves up to 70, and for a full chunk and its neighbours', () => {
    for (const count of [...Array.from({ length: 71 }, (_, index) => index), 1023, 1024, 1025, 2000]) {
      const leaves = leavesOf(count);
      expect(rootOf(leaves).equals(rootByTheRfc(leaves)), `${count} leaves`).to.equal(true);
    }
  });

  it('changes when two leaves change places', () => {
    const [first, second, third] = leavesOf(3) as [Buffer, Buffer, Buffer];
    expect(rootOf([second, first, third]).equals(rootOf([first, second, third]))).to.equal(false);
  });

  it('changes when the last leaf of an odd number is repeated', () => {
    const leaves = leavesOf(3);
    expect(rootOf([...leaves, leaves[2]!]).equals(rootOf(leaves))).to.equal(false);
  });

  it('of two inner nodes posing as leaves is not that of the tree they come from', () => {
    const leaves = leavesOf(4);
    const inner = [rootOf(leaves.slice(0, 2)), rootOf(leaves.slice(2))];
    expect(rootOf(inner).equals(rootOf(leaves))).to.equal(false);
  });

  it('leaves the given leaves as they were', () => {
    const leaves = leavesOf(5);
    rootOf(leaves);
    expect(leaves).to.deep.equal(leavesOf(5));
  });
});
