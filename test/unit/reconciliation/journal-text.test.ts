/** Owns: how names and texts are written in a journal, so that none can end, split or tag what it stands in. */
import { expect } from 'chai';
import fc from 'fast-check';
import { accountPart, amountOf, commentText } from '../../../src/reconciliation/journal-text.js';

describe('a name as a part of an account', () => {
  const CASES: readonly (readonly [string, string])[] = [
    ['acme', 'acme'],
    ['acme-eu.1_x@y/z+w', 'acme-eu.1_x@y/z+w'],
    ['acme:eu', 'acme%3Aeu'],
    ['Claude Sonnet 4', 'Claude Sonnet 4'],
    ['two  blanks', 'two%20%20blanks'],
    ['ends ', 'ends%20'],
    ['100%', '100%25'],
    ['a;b(c)=d"e', 'a%3Bb%28c%29%3Dd%22e'],
    ['tab\tnew\nline', 'tab%09new%0Aline'],
    ['größe', 'gr%C3%B6%C3%9Fe'],
  ];
  for (const [name, part] of CASES) {
    it(`writes ${JSON.stringify(name)} as ${part}`, () => expect(accountPart(name)).to.equal(part));
  }

  it('never ends or splits the name, and different names stay different', () => {
    const texts = fc.string({ unit: fc.constantFrom(...'aB1 :;%\t\n|()[]=*!ü'.split('')), maxLength: 12 });
    fc.assert(
      fc.property(texts, texts, (one, other) => {
        expect(accountPart(one)).to.not.match(/:|;| {2}|^ | $|[\t\n]/);
        expect(accountPart(one) === accountPart(other)).to.equal(one === other);
      }),
    );
  });
});

describe('what people wrote, in a comment', () => {
  it('stays on its line and holds no tag', () => {
    expect(commentText('refund "x"\ndate:2020-01-01, a: b')).to.equal(
      String.raw`"refund \"x\"\ndate\u003a2020-01-01, a\u003a b"`,
    );
  });
});

describe('an amount of a journal', () => {
  it('has nine decimals and its currency', () => {
    expect(amountOf(-1n, 'USD')).to.equal('-0.000000001 USD');
    expect(amountOf(12_500_000_000n, 'EUR')).to.equal('12.500000000 EUR');
  });
});
