/** Owns: the canonical form of a batch, its hash, and the chain, against texts written out by hand. */
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { type BatchFacts, batchHash, canonicalBatch, CHAIN_GENESIS, seal } from '../../../src/ledger/batch.js';

const BATCH: BatchFacts = {
  source: { topic: 'usage.completed', partition: 3 },
  batchNo: 1,
  batchId: 17,
  firstOffset: 40n,
  nextOffset: 9_007_199_254_740_993n,
  counts: { charged: 11, openings: 12, duplicates: 13, superseded: 14, skipped: 15, unpriced: 16, deadLetters: 18 },
  merkleRoot: Buffer.alloc(32, 0xab),
  asideRoot: Buffer.alloc(32, 0xcd),
  prevHash: CHAIN_GENESIS,
  sealedAt: '2026-03-15T10:00:01.000Z',
};

const BATCH_TEXT =
  '["tollbook.batch.v1","usage.completed","3","1","17","40","9007199254740993","11","12","13","14","15","16","18",' +
  `"${'ab'.repeat(32)}","${'cd'.repeat(32)}","${'00'.repeat(32)}","2026-03-15T10:00:01.000Z"]`;

const VARIANTS: readonly [name: string, batch: BatchFacts][] = [
  ['the topic', { ...BATCH, source: { topic: 'usage.pending', partition: 3 } }],
  ['the partition', { ...BATCH, source: { topic: 'usage.completed', partition: 4 } }],
  ['the number in the chain', { ...BATCH, batchNo: 2 }],
  ['the batch id', { ...BATCH, batchId: 18 }],
  ['the first offset', { ...BATCH, firstOffset: 41n }],
  ['the next offset', { ...BATCH, nextOffset: 9_007_199_254_740_992n }],
  ['the Merkle root', { ...BATCH, merkleRoot: Buffer.alloc(32, 0xac) }],
  ['the root of what it sets aside', { ...BATCH, asideRoot: Buffer.alloc(32, 0xce) }],
  ['the hash before it', { ...BATCH, prevHash: Buffer.alloc(32, 1) }],
  ['the time of sealing', { ...BATCH, sealedAt: '2026-03-15T10:00:01.001Z' }],
  ...(Object.keys(BATCH.counts) as (keyof BatchFacts['counts'])[]).map((count): [string, BatchFacts] => [
    `the count of ${count}`,
    { ...BATCH, counts: { ...BATCH.counts, [count]: 99 } },
  ]),
];

describe('the hash of a batch', () => {
  it('is the SHA-256 of its canonical form', () => {
    const expected = createHash('sha256').update(BATCH_TEXT, 'utf8').digest('hex');
    expect(canonicalBatch(BATCH)).to.equal(BATCH_TEXT);
    expect(batchHash(BATCH).toString('hex')).to.equal(expected);
    expect(expected).to.equal('d419f9ba99167794c123bfb5d8f243607c1f6966a208c60bdba578aa7016dfc7');
  });

  for (const [name, changed] of VARIANTS) {
    it(`covers ${name}`, () => {
      expect(batchHash(changed).equals(batchHash(BATCH))).to.equal(false);
    });
  }
});

describe('a sealed batch', () => {
  it('is the batch with its hash, which does not cover itself', () => {
    const sealed = seal(BATCH);
    expect(sealed).to.deep.equal({ ...BATCH, hash: batchHash(BATCH) });
    expect(batchHash(sealed).equals(sealed.hash)).to.equal(true);
  });

  it('breaks every later link of its chain when it is changed', () => {
    const chain = (first: BatchFacts): string =>
      seal({
        ...BATCH,
        batchNo: 3,
        prevHash: seal({ ...BATCH, batchNo: 2, prevHash: seal(first).hash }).hash,
      }).hash.toString('hex');
    expect(chain({ ...BATCH, sealedAt: '2026-03-15T10:00:01.002Z' })).to.not.equal(chain(BATCH));
  });

  it('names 32 zero bytes as the hash before the first', () => {
    expect(CHAIN_GENESIS.toString('hex')).to.equal('00'.repeat(32));
  });
});
