/** Owns: that a receipt proves its entry, and that a receipt in which anything was changed proves nothing. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import { documentHash, type Receipt } from '../../src/reconciliation/receipt.js';
import { checkReceipt } from '../../src/reconciliation/receipt-check.js';
import { propertySeed } from '../model/property-seed.js';
import { type ReceiptSample, sampleReceipt } from '../support/receipt-samples.js';
import { anyEntry } from './any-entries.js';

const RUNS = 25;
const SIZE_MAX = 70;

/** Entries of one size of tree: only one of them is random, since the others are but hashes in a path. */
function entriesOf(entry: LedgerEntry, size: number): LedgerEntry[] {
  return Array.from({ length: size }, (_, index) => ({ ...entry, seq: index + 1 }));
}

const replacements = fc.constantFrom(undefined, {
  batchNo: 9,
  hash: 'ab'.repeat(32),
  actor: 'ops',
  reason: 'restored',
});

const samples: fc.Arbitrary<ReceiptSample> = fc
  .record({
    entry: anyEntry,
    size: fc.integer({ min: 1, max: SIZE_MAX }),
    links: fc.integer({ min: 0, max: 4 }),
    beyond: fc.integer({ min: 0, max: 2 }),
    isAnchored: fc.boolean(),
    replacement: replacements,
  })
  .chain(({ entry, size, replacement, ...rest }) =>
    fc.nat(size - 1).map((leafIndex) => ({
      ...rest,
      // Without an anchor, links lead to the head or there are none.
      beyond: rest.isAnchored || rest.links === 0 ? rest.beyond : 0,
      ...(replacement === undefined ? {} : { replacement }),
      entries: entriesOf(entry, size),
      leafIndex,
    })),
  );

function verdictOf(document: unknown): string {
  const verdict = checkReceipt(JSON.stringify(document));
  return verdict.kind === 'valid' ? 'valid' : `${verdict.where} ${verdict.why}`;
}

type Path = readonly (string | number)[];

/** Every value of a document that is no object and no list, by the way to it. */
function leavesOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([name, each]) =>
    leavesOf(each, [...path, Array.isArray(value) ? Number(name) : name]),
  );
}

/** A copy of a document with one value replaced; undefined removes it. */
function withValue(document: unknown, [name, ...rest]: Path, replace: (found: unknown) => unknown): unknown {
  const copy = (Array.isArray(document) ? [...(document as unknown[])] : { ...(document as object) }) as Record<
    string,
    unknown
  >;
  const found = copy[name!];
  const changed = rest.length === 0 ? replace(found) : withValue(found, rest, replace);
  if (changed !== undefined) copy[name!] = changed;
  else if (Array.isArray(copy)) copy.splice(Number(name), 1);
  else Reflect.deleteProperty(copy, name!);
  return copy;
}

/** Other values of the same kind, near enough that nothing but the check itself can tell. */
function alternatives(found: unknown): unknown[] {
  if (typeof found === 'number') return [found + 1, found - 1, -found - 1, String(found)];
  if (typeof found !== 'string') return ['', {}, 1];
  const first = found.charAt(0);
  const changed = /[0-9a-e]/.test(first) ? String.fromCharCode(first.charCodeAt(0) ^ 1) : 'a';
  return [`${changed}${found.slice(1)}`, `${found} `, found.slice(0, -1), '', null, 0].filter((each) => each !== found);
}

/** The document with the hash that belongs to it, as someone who knows the format would forge it. */
function rehashed(document: unknown): unknown {
  return { ...(document as object), document_hash: documentHash(document as object) };
}

/** What only the hash of the document fixes: nothing of it is a fact about the ledger. */
const INFORMATION = /^(issued_at|chain\.head\.(batch_no|hash)|anchor\.(anchored_at|cluster_id|replaces\.\w+))$/;

describe('a receipt', function () {
  this.timeout(180_000);

  it('is valid for every leaf of every tree of up to 70 leaves, with or without links and an anchor', () => {
    const [entry] = fc.sample(anyEntry, { numRuns: 1, seed: propertySeed() });
    for (let size = 1; size <= SIZE_MAX; size += 1) {
      const entries = entriesOf(entry!, size);
      for (const leafIndex of new Set([0, 1, Math.floor(size / 2), size - 2, size - 1])) {
        if (leafIndex < 0 || leafIndex >= size) continue;
        const isAnchored = size % 2 === 0;
        const receipt = sampleReceipt({ entries, leafIndex, links: size % 3, beyond: isAnchored ? 1 : 0, isAnchored });
        expect(verdictOf(receipt), `leaf ${leafIndex} of ${size}`).to.equal('valid');
      }
    }
  });

  it('is valid whatever the entry holds, and however its JSON is laid out', () => {
    fc.assert(
      fc.property(samples, (sample) => {
        const receipt = sampleReceipt(sample);
        expect(verdictOf(receipt)).to.equal('valid');
        const turned = Object.fromEntries(Object.entries(receipt).reverse());
        expect(checkReceipt(JSON.stringify(turned, null, 4)).kind).to.equal('valid');
      }),
      { seed: propertySeed(), numRuns: RUNS * 6 },
    );
  });

  it('is not valid once any single value of it is changed or removed, or one is added', () => {
    fc.assert(
      fc.property(samples, (sample) => {
        const receipt = sampleReceipt(sample);
        for (const path of leavesOf(receipt)) {
          for (const other of [...alternatives(valueAt(receipt, path)), undefined]) {
            const changed = withValue(receipt, path, () => other);
            expect(verdictOf(changed), `${path.join('.')} as ${JSON.stringify(other)}`).to.not.equal('valid');
          }
          const added = withValue(receipt, [...path.slice(0, -1), 'more'], () => 1);
          if (!path.some((name) => typeof name === 'number')) expect(verdictOf(added)).to.not.equal('valid');
        }
      }),
      { seed: propertySeed(), numRuns: RUNS },
    );
  });

  it('is not valid once any fact of it is changed, even with the hash of the document brought in line', () => {
    fc.assert(
      fc.property(samples, (sample) => {
        const receipt = sampleReceipt(sample);
        for (const path of leavesOf(receipt)) {
          if (INFORMATION.test(path.join('.')) || path[0] === 'document_hash') continue;
          for (const other of [...alternatives(valueAt(receipt, path)), undefined]) {
            const changed = rehashed(withValue(receipt, path, () => other));
            expect(verdictOf(changed), `${path.join('.')} as ${JSON.stringify(other)}`).to.not.equal('valid');
          }
        }
      }),
      { seed: propertySeed(), numRuns: RUNS },
    );
  });

  it('is not valid with its links cut, turned round or repeated', () => {
    const linked = samples.filter(({ links }) => links > 1);
    fc.assert(
      fc.property(linked, (sample) => {
        const receipt = sampleReceipt({ ...sample, beyond: 0 });
        const { links } = receipt.chain;
        const others = [
          links.slice(1),
          links.slice(0, -1),
          [...links].reverse(),
          [links[0], ...links],
          [...links, links[0]],
        ];
        for (const other of others) {
          const changed = rehashed({ ...receipt, chain: { ...receipt.chain, links: other } });
          expect(verdictOf(changed)).to.not.equal('valid');
        }
      }),
      { seed: propertySeed(), numRuns: RUNS },
    );
  });
});

function valueAt(document: Receipt, path: Path): unknown {
  return path.reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], document);
}
