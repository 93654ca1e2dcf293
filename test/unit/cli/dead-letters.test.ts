/** Owns: how dead letters are filtered by flags, and how bytes and counts are shown. */
import { expect } from 'chai';
import fc from 'fast-check';
import { filterOf } from '../../../src/cli/dead-letter-selection.js';
import { countsLine, lettersByReason, readableBytes } from '../../../src/cli/dead-letter-text.js';
import { visibleLine } from '../../../src/runtime/printable.js';
import { isTollbookError } from '../../../src/runtime/errors.js';

describe('the filter of dead letters', () => {
  it('has no condition but the state without flags, and one for each flag', () => {
    expect(filterOf({}, 'open')).to.deep.equal({ state: 'open' });
    const [since, until] = ['2026-03-01T00:00:00.000Z', '2026-03-02T00:00:00.000Z'];
    const flags = { letterReason: 'INVALID_JSON', topic: 't', tenant: 'acme', trace: 'x', since, until } as const;
    expect(filterOf(flags, 'all')).to.deep.equal({
      ...{ state: 'all', reason: 'INVALID_JSON', topic: 't', tenantId: 'acme', traceId: 'x', since, until },
    });
  });

  it('is refused when its times leave nothing', () => {
    const at = '2026-03-01T00:00:00.000Z';
    expect(() => filterOf({ since: at, until: at }, 'open')).to.satisfy((work: () => unknown) => {
      try {
        work();
        return false;
      } catch (error) {
        return isTollbookError(error, 'USAGE_INVALID') && error.message.includes(`--until is ${at}`);
      }
    });
  });
});

describe('the bytes of a message', () => {
  it('can be read back from how they are shown, whatever they are', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          const shown = readableBytes(Buffer.from(bytes))!;
          const back = Buffer.from(shown.text, shown.encoding === 'utf-8' ? 'utf8' : 'base64');
          expect(back.equals(Buffer.from(bytes))).to.equal(true);
        },
      ),
    );
  });

  it('are shown as text when they are UTF-8, a byte order mark included, and as base64 when not', () => {
    expect(readableBytes(Buffer.from('\ufeffzwölf'))).to.deep.equal({ encoding: 'utf-8', text: '\ufeffzwölf' });
    expect(readableBytes(Buffer.from([0xc3]))).to.deep.equal({ encoding: 'base64', text: 'ww==' });
    expect(readableBytes(Buffer.alloc(0))).to.deep.equal({ encoding: 'utf-8', text: '' });
    expect(readableBytes(null)).to.equal(null);
  });

  it('are shown on one line without a control character', () => {
    expect(visibleLine('a\n\u001b[31m\u009bö\u0000')).to.equal('a\\u000a\\u001b[31m\\u009bö\\u0000');
  });
});

describe('the counts of dead letters', () => {
  const counts = [
    { reason: 'INVALID_JSON', topic: 'a', letters: 2 },
    { reason: 'EMPTY_MESSAGE', topic: 'a', letters: 4 },
    { reason: 'INVALID_JSON', topic: 'b', letters: 3 },
  ] as const;

  it('are added up over topics, the most frequent first', () => {
    expect(Object.entries(lettersByReason(counts))).to.deep.equal([
      ['INVALID_JSON', 5],
      ['EMPTY_MESSAGE', 4],
    ]);
    expect(countsLine(counts, 'open')).to.equal('9 open dead letters: 5 INVALID_JSON, 4 EMPTY_MESSAGE');
  });

  it('are told in the singular for one, and as none for none', () => {
    expect(countsLine(counts.slice(0, 0), 'open')).to.equal('no open dead letter');
    expect(countsLine([{ ...counts[0], letters: 1 }])).to.equal('1 dead letter: 1 INVALID_JSON');
  });
});
