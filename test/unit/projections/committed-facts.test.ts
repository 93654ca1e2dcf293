/** Owns: what the projector keeps of its own process's commits: joined without a gap, bounded, taken once. */
import { expect } from 'chai';
import type { LedgerAdvance } from '../../../src/ledger/ledger-reader.js';
import { CommittedFacts } from '../../../src/projections/committed-facts.js';
import { account } from '../ledger/usage-samples.js';

function advance(sinceSeq: number, seq: number, tenantId = 'tenant-1'): LedgerAdvance {
  const seqs = Array.from({ length: seq - sinceSeq }, (_, index) => sinceSeq + index + 1);
  return {
    account: account({ tenantId, seq }),
    sinceSeq,
    steps: seqs.map((each) => ({ tenantId, traceId: `trace-${each}`, seq: each, status: 'COMMITTED' })),
  };
}

describe('committed facts', () => {
  it('joins an advance to the one before it', () => {
    const facts = new CommittedFacts();
    facts.add(advance(2, 4));
    facts.add(advance(4, 5));
    const joined = facts.take(['tenant-1']).get('tenant-1');
    expect(joined).to.deep.equal({ ...advance(2, 5), account: account({ seq: 5 }) });
  });

  it('keeps only the newer of two advances with a gap between them, in whichever order they come', () => {
    for (const order of [
      [advance(2, 4), advance(6, 7)],
      [advance(6, 7), advance(2, 4)],
    ]) {
      const facts = new CommittedFacts();
      for (const each of order) facts.add(each);
      expect(facts.take(['tenant-1']).get('tenant-1')).to.deep.equal(advance(6, 7));
    }
  });

  it('gives an advance once, and only to who asks for its tenant', () => {
    const facts = new CommittedFacts();
    facts.add(advance(0, 1));
    facts.add(advance(0, 1, 'tenant-2'));
    expect([...facts.take(['tenant-2', 'tenant-3']).keys()]).to.deep.equal(['tenant-2']);
    expect([...facts.take(['tenant-1', 'tenant-2']).keys()]).to.deep.equal(['tenant-1']);
  });

  it('forgets everything rather than keep more steps than its bound', () => {
    const facts = new CommittedFacts();
    facts.add(advance(0, 12_000));
    facts.add(advance(0, 12_000, 'tenant-2'));
    expect(facts.take(['tenant-1', 'tenant-2']).size).to.equal(0);
    facts.add(advance(0, 12_000));
    expect(facts.take(['tenant-1']).size).to.equal(1);
  });
});
