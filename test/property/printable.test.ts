/** Owns: that no text of a stranger can run in a terminal or in a spreadsheet, whatever it is, and that nothing of it is lost. */
import { expect } from 'chai';
import fc from 'fast-check';
import { csvCell, visibleLine, visibleText } from '../../src/runtime/printable.js';
import { propertySeed } from '../model/property-seed.js';

const HOSTILE = /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u;
const HOSTILE_IN_LINES = /(?![\n\t])[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u;

/** Any text, and often one that holds what a terminal or a spreadsheet runs. */
const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        '=',
        '+',
        '-',
        '@',
        '\t',
        '\r',
        '"',
        "'",
        ' ',
        '\u009b31m',
        '\u202e',
        '\u2028',
        '\u200b',
        '\ufeff',
        '1',
        'a',
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join('')),
);

function cellOf(csv: string): string {
  return csv.startsWith('"') ? csv.slice(1, -1).replaceAll('""', '"') : csv;
}

describe('text of strangers', () => {
  const seed = propertySeed();

  it('has nothing on a line that a terminal obeys', () => {
    fc.assert(
      fc.property(texts, (text) => void expect(visibleLine(text)).to.not.match(HOSTILE)),
      { seed },
    );
  });

  it('stays the same value in a JSON document, which has nothing that a terminal obeys either', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const printed = visibleText(`${JSON.stringify({ [text]: [text] })}\n`);
        expect(printed).to.not.match(HOSTILE_IN_LINES);
        expect(JSON.parse(printed)).to.deep.equal({ [text]: [text] });
      }),
      { seed },
    );
  });

  it('never begins a cell as a formula, and comes back from the cell as it was, but for an apostrophe', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const cell = cellOf(csvCell(text));
        expect(cell.replace(/^'(?=["'\s]*[=+\-@|\t\r\u2212\uff1d\uff0b\uff0d\uff20])/u, '')).to.be.oneOf([
          text,
          text.replace(/^'/, ''),
        ]);
        expect(cell).to.not.match(/^(?!-?\d+(\.\d+)?$)["\s]*[=+\-@\t\r]/);
      }),
      { seed },
    );
  });

  it('that is a plain number stays a number in a spreadsheet', () => {
    expect(['-0.500000000', '12', '-7', '0.1'].map(csvCell)).to.deep.equal(['-0.500000000', '12', '-7', '0.1']);
    expect(csvCell('=HYPERLINK("x")')).to.equal(`"'=HYPERLINK(""x"")"`);
    expect(['-1+1', '+1', '@SUM(A1)', '"=1'].map((text) => cellOf(csvCell(text))[0])).to.deep.equal([
      "'",
      "'",
      "'",
      "'",
    ]);
  });
});
