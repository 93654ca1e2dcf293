/** Owns: that canonical forms are read back as what they were made of, and that nothing else is taken for one. */
import { expect } from 'chai';
import fc from 'fast-check';
import { batchOfCanonical } from '../../src/ledger/batch-fields.js';
import { canonicalBatch } from '../../src/ledger/batch.js';
import { canonicalEntry, entryHash } from '../../src/ledger/canonical-entry.js';
import { entryOfCanonical } from '../../src/ledger/entry-fields.js';
import { propertySeed } from '../model/property-seed.js';
import { anyBatch, anyEntry } from './any-entries.js';

const RUNS = 2_000;

/** Texts that differ from a canonical form in one character: changed, removed or put in. */
function altered(text: string): fc.Arbitrary<string> {
  return fc
    .tuple(fc.nat(text.length - 1), fc.constantFrom('0', '1', 'a', '\\', '\t', '.', '"', ' '), fc.constantFrom(0, 1))
    .map(([at, character, removed]) => `${text.slice(0, at)}${character}${text.slice(at + removed)}`)
    .filter((changed) => changed !== text);
}

function check<T>(property: fc.IProperty<[T]>): void {
  fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
}

describe('the canonical form of an entry', () => {
  it('is read back as the entry it was made of', () => {
    check(
      fc.property(anyEntry, (entry) => {
        expect(entryOfCanonical(canonicalEntry(entry))).to.deep.equal(entry);
      }),
    );
  });

  it('with another character is no canonical form, or that of another entry', () => {
    const changes = anyEntry.chain((entry) => fc.tuple(fc.constant(entry), altered(canonicalEntry(entry))));
    check(
      fc.property(changes, ([entry, changed]) => {
        const read = entryOfCanonical(changed);
        if (read !== undefined) expect(entryHash(read) === entryHash(entry), changed).to.equal(false);
      }),
    );
  });
});

describe('the canonical form of a batch', () => {
  it('is read back as the batch it was made of', () => {
    check(
      fc.property(anyBatch, (batch) => {
        expect(batchOfCanonical(canonicalBatch(batch))).to.deep.equal(batch);
      }),
    );
  });

  it('with another character is no canonical form, or that of another batch', () => {
    const changes = anyBatch.chain((batch) => fc.tuple(fc.constant(batch), altered(canonicalBatch(batch))));
    check(
      fc.property(changes, ([batch, changed]) => {
        const read = batchOfCanonical(changed);
        if (read !== undefined) expect(read, changed).to.not.deep.equal(batch);
      }),
    );
  });
});
