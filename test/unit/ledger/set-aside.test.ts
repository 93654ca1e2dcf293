/** Owns: what the hash of a row that was set aside covers, and the root over several of them. */
import { expect } from 'chai';
import { canonicalJson } from '../../../src/ledger/canonical-json.js';
import { ROOT_OF_NONE } from '../../../src/ledger/merkle.js';
import { type AsideFacts, asideHash, asideRoot, sealAside } from '../../../src/ledger/set-aside.js';
import { exampleAside } from './hashing-example.js';

const SOURCE = { topic: 'usage.completed', partition: 3 };

/** Each fact with another value. */
const OTHER_VALUES: AsideFacts = {
  kind: 'skipped',
  topic: 'usage.pending',
  partition: '4',
  kafkaOffset: '45',
  tenantId: 'tenant-1',
  traceId: 'trace-1',
  reason: 'EMPTY_MESSAGE',
  detail: 'another',
  keyDigest: null,
  valueDigest: 'ab'.repeat(32),
  content: '{}',
};

describe('the hash of what a batch sets aside', () => {
  for (const field of Object.keys(OTHER_VALUES) as (keyof AsideFacts)[]) {
    it(`covers ${field}`, () => {
      const [letter] = exampleAside();
      expect(asideHash({ ...letter, [field]: OTHER_VALUES[field] })).to.not.equal(asideHash(letter));
    });
  }

  it('does not depend on the order in which a database keeps the names of an object', () => {
    expect(canonicalJson({ b: [{ y: 1, x: null }], a: { '10': 'ä', '9': undefined } })).to.equal(
      '{"a":{"10":"ä"},"b":[{"x":null,"y":1}]}',
    );
  });
});

describe('the root over what a batch sets aside', () => {
  it('does not depend on the order of the rows, and covers each', () => {
    const [letter, parked] = exampleAside().map(asideHash);
    expect(asideRoot([letter!, parked!]).equals(asideRoot([parked!, letter!]))).to.equal(true);
    expect(asideRoot([letter!]).equals(asideRoot([letter!, parked!]))).to.equal(false);
  });

  it('is that of no rows when nothing is set aside', () => {
    const nothing = sealAside(SOURCE, { deadLetters: [], skipped: [], unpriced: [] });
    expect(nothing.root).to.equal(ROOT_OF_NONE);
    expect(asideRoot([]).equals(ROOT_OF_NONE)).to.equal(true);
  });
});
