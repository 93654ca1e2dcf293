/** Owns: fields as COPY's text format has them: what is escaped, what is missing, how long they may be. */
import { expect } from 'chai';
import { FieldWriter } from '../../../src/ledger/field-writer.js';

function lineOf(write: (writer: FieldWriter) => void): string {
  const writer = new FieldWriter('start');
  write(writer);
  return writer.line().toString('utf8');
}

describe('a line of fields', () => {
  it('begins with its start, and every field with a tab', () => {
    expect(lineOf((writer) => writer.begin())).to.equal('start');
    expect(
      lineOf((writer) => {
        writer.text('');
        writer.text('a b');
        writer.flag(true);
        writer.flag(false);
      }),
    ).to.equal('start\t\ta b\ttrue\tfalse');
  });

  it('writes \\N for what is missing', () => {
    expect(
      lineOf((writer) => {
        writer.text(null);
        writer.integer(null);
        writer.flag(null);
      }),
    ).to.equal('start\t\\N\t\\N\t\\N');
  });

  it('escapes backslash, tab, newline and carriage return wherever they stand, and nothing else', () => {
    expect(lineOf((writer) => writer.text('\\N'))).to.equal('start\t\\\\N');
    expect(lineOf((writer) => writer.text('a\tb\nc\rd\\'))).to.equal('start\ta\\tb\\nc\\rd\\\\');
    expect(lineOf((writer) => writer.text('"\u0001\u007f'))).to.equal('start\t"\u0001\u007f');
  });

  it('writes every character in UTF-8, and a lone surrogate as the replacement character', () => {
    expect(lineOf((writer) => writer.text('é\t€😀é'))).to.equal('start\té\\t€😀é');
    expect(lineOf((writer) => writer.text('a\ud800b'))).to.equal('start\ta\ufffdb');
  });

  it('writes every safe integer as JavaScript prints it', () => {
    const integers = [0, 7, 10, 99, 100, 999_999_999, 1_000_000_000, 2 ** 31, Number.MAX_SAFE_INTEGER, -1, -12_345];
    for (const integer of integers) {
      expect(lineOf((writer) => writer.integer(integer))).to.equal(`start\t${integer}`);
    }
  });

  it('grows as long as its fields are', () => {
    const plain = 'x'.repeat(10_000);
    const wide = '€\n'.repeat(5_000);
    expect(
      lineOf((writer) => {
        writer.text(plain);
        writer.text(wide);
        writer.integer(5);
      }),
    ).to.equal(`start\t${plain}\t${wide.replaceAll('\n', '\\n')}\t5`);
  });

  it('holds nothing of the line before it', () => {
    const writer = new FieldWriter('start');
    writer.text('a long first field');
    writer.begin();
    writer.integer(1);
    expect(writer.line().toString('utf8')).to.equal('start\t1');
  });
});
