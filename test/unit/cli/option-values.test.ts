/** Owns: which times the command line takes. */
import { expect } from 'chai';
import { InvalidArgumentError } from 'commander';
import { instantValue } from '../../../src/cli/option-values.js';

describe('a time on the command line', () => {
  const TAKEN: readonly (readonly [string, string])[] = [
    ['2026-03-31T09:30:00Z', '2026-03-31T09:30:00.000Z'],
    ['2026-03-31T09:30:00.2509999Z', '2026-03-31T09:30:00.250Z'],
    ['2026-03-31T00:30:00+02:00', '2026-03-30T22:30:00.000Z'],
    ['2028-02-29T00:00:00-00:30', '2028-02-29T00:30:00.000Z'],
  ];
  for (const [text, taken] of TAKEN) {
    it(`takes ${text} as ${taken}`, () => expect(instantValue(text)).to.equal(taken));
  }

  const REFUSED = [
    'yesterday',
    '2026-03-31',
    '2026-03-31T09:30:00',
    '2026-02-30T00:00:00Z',
    '2026-03-31T24:00:00Z',
    '',
  ];
  for (const text of REFUSED) {
    it(`refuses ${JSON.stringify(text)} and says what is allowed`, () => {
      expect(() => instantValue(text)).to.throw(InvalidArgumentError, /allowed: an RFC 3339 time with an offset/);
    });
  }
});
