import { expect } from 'chai';
import { chaosDocument, chaosText, isClean, type ChaosReport, recoveryTimes } from '../../chaos/chaos-report.js';

const REPORT: ChaosReport = {
  seed: 5,
  ratePerSecond: 2_000,
  consumers: 3,
  loadMs: 60_000,
  events: 120_000,
  batchesResent: 1,
  faultsPlanned: 3,
  faults: ['kafka killed', 'redis FLUSHALL', 'kafka killed'],
  missed: [],
  recoveries: [
    { kind: 'kafka killed', ms: 4_000 },
    { kind: 'redis FLUSHALL', ms: 500 },
    { kind: 'kafka killed', ms: 2_000 },
  ],
  endedAlone: [],
  expectedTotal: '12.000000000',
  ledgerTotal: '12.000000000',
  lost: 0,
  doubled: 0,
  drift: 0,
  problems: [],
};

describe('the report of a soak run', () => {
  it('is clean only when nothing is lost, doubled, adrift or otherwise wrong', () => {
    expect(isClean(REPORT)).to.equal(true);
    for (const wrong of [{ lost: 1 }, { doubled: 1 }, { drift: 1 }, { problems: ['something'] }]) {
      expect(isClean({ ...REPORT, ...wrong }), JSON.stringify(wrong)).to.equal(false);
    }
  });

  it('takes percentiles by nearest rank, and has none without a recovery', () => {
    const recoveries = Array.from({ length: 100 }, (_, index) => ({ kind: 'kafka killed' as const, ms: 100 - index }));
    expect(recoveryTimes(recoveries)).to.deep.equal({ recovered: 100, p50Ms: 50, p99Ms: 99 });
    expect(recoveryTimes([])).to.deep.equal({ recovered: 0, p50Ms: null, p99Ms: null });
  });

  it('counts faults and recoveries by kind, in JSON and for people', () => {
    expect(chaosDocument(REPORT)).to.deep.include({
      verdict: 'clean',
      faultsDone: 3,
      recovery: { recovered: 3, p50Ms: 2_000, p99Ms: 4_000 },
      faultsByKind: {
        'redis FLUSHALL': { count: 1, recovered: 1, p50Ms: 500, p99Ms: 500 },
        'kafka killed': { count: 2, recovered: 2, p50Ms: 2_000, p99Ms: 4_000 },
      },
    });
    expect(chaosText(REPORT)).to.include('lost 0, doubled 0, drift 0: clean');
    expect(chaosText({ ...REPORT, lost: 2, problems: ['a trace is missing'] }))
      .to.include('lost 2, doubled 0, drift 0: BROKEN')
      .and.include('problem: a trace is missing');
  });
});
