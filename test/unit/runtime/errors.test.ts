/** Owns: the proof that every error code and dead-letter reason is documented, and nothing else is. */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { ERRORS_DOCUMENT_FILE, errorsDocument } from '../../../src/cli/errors-document.js';
import { DEAD_LETTER_REASONS } from '../../../src/ledger/dead-letter.js';
import { ERROR_CODES, isTollbookError, TollbookError, type ErrorCode } from '../../../src/runtime/errors.js';

describe(ERRORS_DOCUMENT_FILE, () => {
  const committed = readFileSync(ERRORS_DOCUMENT_FILE, 'utf8');

  it('lists exactly the error codes of the code, in their order', () => {
    const headings = [...committed.matchAll(/^### (\w+)$/gm)].map(([, code]) => code);
    expect(headings).to.deep.equal(Object.keys(ERROR_CODES));
  });

  for (const [code, { disposition, meaning, remedy }] of Object.entries(ERROR_CODES)) {
    it(`tells disposition, meaning and remedy of ${code}`, () => {
      const section = committed.split(`### ${code}\n`)[1]?.split('\n#')[0];
      expect(section).to.include(`Disposition: ${disposition}`).and.include(meaning).and.include(remedy);
    });
  }

  it('lists exactly the dead-letter reasons of the code, each with an explanation', () => {
    const listed = [...committed.matchAll(/^- `([A-Z0-9_]+)`: \S.+\.$/gm)].map(([, reason]) => reason);
    expect(listed).to.deep.equal([...DEAD_LETTER_REASONS]);
  });

  it('is what the code generates', () => {
    const hint = `run "tollbook docs errors --out ${ERRORS_DOCUMENT_FILE}"`;
    expect(committed, hint).to.equal(errorsDocument());
  });
});

describe('an error of this project', () => {
  it('takes its disposition from its code, never from where it is caught', () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      expect(new TollbookError(code, 'found x').disposition).to.equal(ERROR_CODES[code].disposition);
    }
  });

  it('keeps its cause and its context, and is recognised by its code', () => {
    const cause = new TollbookError('FILE_UNREADABLE', 'inner');
    const error = new TollbookError('POSTGRES_FAILED', 'outer', { cause, context: { sqlState: '42501' } });
    expect(error.cause).to.equal(cause);
    expect(error.context).to.deep.equal({ sqlState: '42501' });
    expect([isTollbookError(error), isTollbookError(error, 'POSTGRES_FAILED')]).to.deep.equal([true, true]);
    expect([isTollbookError(error, 'FENCED'), isTollbookError('POSTGRES_FAILED')]).to.deep.equal([false, false]);
  });
});
