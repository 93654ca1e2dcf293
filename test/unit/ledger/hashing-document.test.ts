/** Owns: that docs/hashing.md is true: its vectors are those of the code, and follow from its own text by SHA-256 alone. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { canonicalBatch } from '../../../src/ledger/batch.js';
import { canonicalEntry, entryHash } from '../../../src/ledger/canonical-entry.js';
import { canonicalCommand, commandHash } from '../../../src/ledger/commands/command-hash.js';
import { ENTRY_COLUMNS } from '../../../src/ledger/postgres/rows.js';
import { asideHash, canonicalAside } from '../../../src/ledger/set-aside.js';
import { exampleAside, exampleBatches, exampleCommand, exampleEntries } from './hashing-example.js';

const BLOCK = /^```text (\S+)\n(.*)\n```$/gm;
const document = readFileSync('docs/hashing.md', 'utf8');
const blocks = new Map([...document.matchAll(BLOCK)].map(([, name = '', text = '']) => [name, text]));

/** The text of a named block of the document. */
function block(name: string): string {
  return blocks.get(name) ?? expect.fail(`docs/hashing.md has no block named ${name}`);
}

function bytesOf(name: string): Buffer {
  return Buffer.from(block(name), 'hex');
}

function sha256(...parts: (Uint8Array | string)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

const [LEAF, NODE] = [Buffer.of(0), Buffer.of(1)];

describe('docs/hashing.md, by SHA-256 alone,', () => {
  for (const number of [1, 2, 3]) {
    it(`entry ${number}: its hash is that of a zero byte and its canonical form`, () => {
      expect(block(`entry-${number}-hash`)).to.equal(sha256(LEAF, block(`entry-${number}`)));
    });
  }

  it('the root joins the first two entries, and that node with the third', () => {
    expect(block('node-1-2')).to.equal(sha256(NODE, bytesOf('entry-1-hash'), bytesOf('entry-2-hash')));
    expect(block('root')).to.equal(sha256(NODE, bytesOf('node-1-2'), bytesOf('entry-3-hash')));
  });

  it('the root of no entries is the hash of nothing', () => {
    expect(block('root-of-none')).to.equal(sha256());
  });

  it('the first batch names the root and the genesis value, and hashes to what the second one names', () => {
    const batch = JSON.parse(block('batch-1')) as string[];
    expect(batch.slice(14, 17)).to.deep.equal([block('root'), block('root-of-none'), '0'.repeat(64)]);
    expect(block('batch-1-hash')).to.equal(sha256(block('batch-1')));
    expect((JSON.parse(block('batch-2')) as string[])[16]).to.equal(block('batch-1-hash'));
    expect(block('batch-2-hash')).to.equal(sha256(block('batch-2')));
  });

  it('what the second batch sets aside is hashed row by row, and joined in the order of the hashes', () => {
    for (const number of [1, 2]) {
      expect(block(`aside-${number}-hash`)).to.equal(sha256(LEAF, block(`aside-${number}`)));
    }
    const [low, high] = [block('aside-1-hash'), block('aside-2-hash')].sort();
    const root = sha256(NODE, Buffer.from(low ?? '', 'hex'), Buffer.from(high ?? '', 'hex'));
    expect((JSON.parse(block('batch-2')) as string[])[15]).to.equal(root);
  });

  it('the hash of a command is that of its canonical form', () => {
    expect(block('command-1-hash')).to.equal(sha256(block('command-1')));
  });
});

describe('docs/hashing.md', () => {
  it('shows the canonical form and the hash of each entry as the code computes them', () => {
    for (const [index, entry] of exampleEntries().entries()) {
      expect(block(`entry-${index + 1}`)).to.equal(canonicalEntry(entry));
      expect(block(`entry-${index + 1}-hash`)).to.equal(entryHash(entry));
    }
  });

  it('shows the canonical form, the root and the hash of each batch as the code computes them', () => {
    const [first, second] = exampleBatches();
    expect([block('batch-1'), block('batch-2')]).to.deep.equal([canonicalBatch(first), canonicalBatch(second)]);
    expect([block('batch-1-hash'), block('batch-2-hash')]).to.deep.equal(
      [first, second].map(({ hash }) => hash.toString('hex')),
    );
    expect([block('root'), block('root-of-none')]).to.deep.equal(
      [first, second].map(({ merkleRoot }) => merkleRoot.toString('hex')),
    );
  });

  it('shows what is set aside and the record of a command as the code writes and hashes them', () => {
    for (const [index, facts] of exampleAside().entries()) {
      expect(block(`aside-${index + 1}`)).to.equal(canonicalAside(facts));
      expect(block(`aside-${index + 1}-hash`)).to.equal(asideHash(facts));
    }
    expect(block('command-1')).to.equal(canonicalCommand(exampleCommand()));
    expect(block('command-1-hash')).to.equal(commandHash(exampleCommand()));
  });

  it('numbers every position of the canonical forms', () => {
    expect(rowsUnder('The canonical form of an entry')).to.have.lengthOf(positionsIn('entry-1'));
    expect(rowsUnder('The canonical form of a batch')).to.have.lengthOf(positionsIn('batch-1'));
    expect(rowsUnder('The canonical form of what is set aside')).to.have.lengthOf(positionsIn('aside-1'));
    expect(rowsUnder('The canonical form of a command')).to.have.lengthOf(positionsIn('command-1'));
  });

  it('names the columns of an entry in the order of the table, but for those of its batch', () => {
    const [, ...columns] = rowsUnder('The canonical form of an entry').map((row) => row[3]?.replaceAll('`', '').trim());
    const sealed: readonly string[] = ['recorded_at', 'batch_id', 'entry_hash'];
    expect(columns).to.deep.equal(ENTRY_COLUMNS.filter((column) => !sealed.includes(column)));
  });
});

/** The rows of the table under a heading whose first cell is their own position, cut into cells. */
function rowsUnder(heading: string): string[][] {
  const section = (document.split(`## ${heading}\n`)[1] ?? '').split('\n## ')[0] ?? '';
  const rows = section.split('\n').map((line) => line.split('|'));
  return rows.filter((row) => /^ \d+ *$/.test(row[1] ?? '')).filter((row, index) => Number(row[1]) === index);
}

function positionsIn(name: string): number {
  const text = block(name);
  return text.startsWith('[') ? (JSON.parse(text) as unknown[]).length : text.split('\t').length;
}
