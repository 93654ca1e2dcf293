/** Owns: that a simulation refuses what it cannot do, in words that name the option. */
import { expect } from 'chai';
import { isTollbookError } from '../../../src/runtime/errors.js';
import { resolveOptions, type SimulationOptions } from '../../../src/simulator/simulation-options.js';
import { parseTrace } from '../../../src/simulator/trace-file.js';
import { END_AT_MS } from './simulation-inputs.js';

function refusal(given: Partial<SimulationOptions>): string {
  try {
    resolveOptions(given, END_AT_MS);
  } catch (error) {
    expect(isTollbookError(error, 'USAGE_INVALID')).to.equal(true);
    return error instanceof Error ? error.message : '';
  }
  return '';
}

describe('simulation options', () => {
  it('are complete when nothing is given, and end ten seconds ago', () => {
    expect(resolveOptions({}, END_AT_MS)).to.include({
      requests: 10_000,
      reorder: 'local',
      endAtMs: END_AT_MS - 10_000,
    });
  });

  it('name the option, the value found and what is allowed', () => {
    expect(refusal({ duplicates: 1.5 })).to.equal('--duplicates is 1.5; allowed: a number from 0 to 1');
    expect(refusal({ requests: 0.5 })).to.equal('--requests is 0.5; allowed: a whole number from 1 to 2000000');
    expect(refusal({ streamShare: Number.NaN })).to.match(/^--stream-share is NaN; allowed/);
    expect(refusal({ tenants: -1 })).to.match(/^--tenants is -1; allowed/);
    expect(refusal({ reorder: 'some' as 'full' })).to.equal('--reorder is some; allowed: none, local, full');
    expect(refusal({ tenantPrefix: 'a{b}' })).to.match(/^--tenant-prefix is "a\{b\}"; allowed/);
    expect(refusal({ endAtMs: END_AT_MS + 300_000 })).to.match(/^--end-at is 2026-03-31T09:35:00.000Z; allowed/);
  });

  it('refuse shares of outcomes that exceed one together', () => {
    expect(
      refusal({ cancelledShare: 0.6, failedShare: 0.6, skippedShare: 0, unpricedShare: 0, abandonedShare: 0 }),
    ).to.match(/--cancelled-share .* is 1.2; allowed: at most 1 together/);
    expect(
      refusal({ cancelledShare: 0.3, failedShare: 0.3, skippedShare: 0.2, unpricedShare: 0.1, abandonedShare: 0.1 }),
    ).to.equal('');
  });
});

describe('trace file', () => {
  const header = 'TIMESTAMP,ContextTokens,GeneratedTokens';

  it('counts time from its first request', () => {
    const { requests } = parseTrace(
      `${header}\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8`,
      't.csv',
    );
    expect(requests).to.deep.equal([
      { atMs: 0, contextTokens: 4808, generatedTokens: 10 },
      { atMs: 52, contextTokens: 3180, generatedTokens: 8 },
    ]);
  });

  it('names the line that it cannot read', () => {
    const good = '2023-11-16 18:17:03.9799600,4808,10';
    const texts = { 't.csv:1': 'A,B', 't.csv:2': header, 't.csv:3': `${header}\n${good}\n2023-11-16 18:17:04,-1,8` };
    for (const [where, text] of Object.entries(texts)) {
      expect(() => parseTrace(text, 't.csv'), where).to.throw(where);
    }
  });
});
