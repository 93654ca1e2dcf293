/** Owns: that docs/receipts.md is true: its receipt is that of the code, and its program accepts it and nothing forged. */
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { checkReceipt } from '../../../src/reconciliation/receipt-check.js';
import { type Receipt } from '../../../src/reconciliation/receipt.js';
import { exampleReceipt } from './receipt-example.js';

const document = readFileSync('docs/receipts.md', 'utf8');

/** The text of the only block of a language in the document. */
function block(language: string): string {
  const [found, ...more] = [...document.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))];
  expect(more, `one block of ${language}`).to.be.empty;
  return found?.[1] ?? expect.fail(`docs/receipts.md has no block of ${language}`);
}

const receipt = JSON.parse(block('json')) as Receipt;

/** JSON without blanks and with names in ascending order. */
function ordered(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(ordered).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const pairs = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${pairs.map(([name, each]) => `${JSON.stringify(name)}:${ordered(each)}`).join(',')}}`;
}

function documentHashOf({ document_hash: _hash, ...rest }: Receipt): string {
  return createHash('sha256').update(ordered(rest)).digest('hex');
}

/** The receipt with one value replaced, and the hash of the document brought in line. */
function forged(names: readonly string[], value: unknown): Receipt {
  const copy = structuredClone(receipt);
  let at = copy as unknown as Record<string, unknown>;
  for (const name of names.slice(0, -1)) at = at[name] as Record<string, unknown>;
  at[names[names.length - 1] ?? ''] = value;
  return { ...copy, document_hash: documentHashOf(copy) };
}

/** What the document says is refused: the value, what it becomes, and where it is found out. */
const REFUSALS = [...document.matchAll(/^\| `([a-z_.]+)` +\| `(.+?)` +\| `([a-z_.]+)` +\|$/gm)].map(
  ([, name = '', value = '', where = '']) => ({ name, changed: forged(name.split('.'), JSON.parse(value)), where }),
);

describe('docs/receipts.md', () => {
  it('shows the receipt that the code makes', () => {
    expect(receipt).to.deep.equal(exampleReceipt());
    expect(checkReceipt(JSON.stringify(receipt)).kind).to.equal('valid');
  });

  it('says how the document is hashed', () => {
    expect(documentHashOf(receipt)).to.equal(receipt.document_hash);
  });

  it('names every field of a receipt, and no other', () => {
    const section = document.split('## The document\n')[1]?.split('\n## ')[0] ?? '';
    const named = [...section.matchAll(/^\| `([a-z_.]+)` +\|/gm)].map(([, name]) => name);
    const shown = Object.entries(receipt).flatMap(([name, value]) =>
      typeof value === 'object' && name !== 'anchor'
        ? Object.keys(value as object).map((each) => `${name}.${each}`)
        : [name],
    );
    expect(named).to.deep.equal(shown);
  });

  it('tells a dozen ways to forge it', () => {
    expect(REFUSALS).to.have.length(12);
  });

  for (const { name, changed, where } of REFUSALS) {
    it(`says where another ${name} is refused`, () => {
      const verdict = checkReceipt(JSON.stringify(changed));
      expect(verdict.kind === 'invalid' ? verdict.where : verdict.kind).to.equal(where);
    });
  }
});

describe('the program of docs/receipts.md, by SHA-256 alone,', function () {
  this.timeout(60_000);
  let folder: string;

  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'receipts-'));
    writeFileSync(path.join(folder, 'check-receipt.mjs'), block('js'));
  });
  after(() => rmSync(folder, { recursive: true }));

  function run(checked: Receipt): { readonly status: number | null; readonly told: string } {
    writeFileSync(path.join(folder, 'receipt.json'), JSON.stringify(checked, null, 2));
    const { status, stdout, stderr } = spawnSync(process.execPath, ['check-receipt.mjs', 'receipt.json'], {
      cwd: folder,
      encoding: 'utf8',
    });
    return { status, told: stdout + stderr };
  }

  it('accepts the receipt', () => {
    expect(run(receipt)).to.deep.equal({
      status: 0,
      told:
        'tenant-1 2 trace-1 DEDUCT COMMITTED 0.015788000: sealed in usage.completed/3#1 at 2026-03-15T10:00:01.000Z\n' +
        `compare anchor #2: ${receipt.chain.head.hash}\n`,
    });
  });

  /** What only the check of Tollbook looks at: what the holder reads beside the proof. */
  const BESIDE = new Set(['format', 'batch.fields.sealed_at', 'chain.reaches', 'anchor.next_offset', 'anchor']);

  for (const { name, changed } of REFUSALS.filter((each) => !BESIDE.has(each.name))) {
    it(`refuses another ${name}`, () => {
      const { status, told } = run(changed);
      expect({ status, told: told.split(':')[0] }).to.deep.equal({ status: 1, told: 'NOT valid' });
    });
  }
});
