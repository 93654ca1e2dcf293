/** Owns: rows in COPY's text format, as the PostgreSQL manual describes it. */
import { expect } from 'chai';
import { copyRow } from '../../../src/ledger/postgres/copy-text.js';

describe('a COPY row', () => {
  it('separates its fields by tabs and ends with a newline', () => {
    expect(copyRow(['a', 'b', 'c'])).to.equal('a\tb\tc\n');
  });

  it('writes null as \\N, which the two characters \\N in a text never become', () => {
    expect(copyRow([null, '\\N', null])).to.equal('\\N\t\\\\N\t\\N\n');
  });

  it('writes an empty text as nothing, apart from null', () => {
    expect(copyRow(['', null, ''])).to.equal('\t\\N\t\n');
  });

  it('escapes backslash, tab, newline and carriage return, each wherever it stands', () => {
    expect(copyRow(['\ta\\b\nc\rd\t'])).to.equal('\\ta\\\\b\\nc\\rd\\t\n');
  });

  it('escapes a backslash before a letter, so that a text never forms an escape', () => {
    expect(copyRow(['\\t', '\\.'])).to.equal('\\\\t\t\\\\.\n');
  });

  it('leaves every other character as it is', () => {
    expect(copyRow(['"quoted", {braces} é 漢 😀 \b\f'])).to.equal('"quoted", {braces} é 漢 😀 \b\f\n');
  });

  it('writes bytes in their hexadecimal form with the backslash of \\x escaped', () => {
    expect(copyRow(['\\x000a5cff', '\\x'])).to.equal('\\\\x000a5cff\t\\\\x\n');
  });

  it('escapes every row anew', () => {
    expect([copyRow(['\t']), copyRow(['\t'])]).to.deep.equal(['\\t\n', '\\t\n']);
  });
});
