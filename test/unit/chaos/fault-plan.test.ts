import { expect } from 'chai';
import { FAULT_KINDS, planFaults } from '../../chaos/fault-plan.js';

const MINUTE_MS = 60_000;

describe('the plan of faults of a soak run', () => {
  it('is the same for the same seed, and another for another', () => {
    const plan = planFaults({ seed: 7, durationMs: MINUTE_MS, consumers: 3 });
    expect(planFaults({ seed: 7, durationMs: MINUTE_MS, consumers: 3 })).to.deep.equal(plan);
    expect(planFaults({ seed: 8, durationMs: MINUTE_MS, consumers: 3 })).to.not.deep.equal(plan);
    expect(planFaults({ seed: 7 + 2 ** 32, durationMs: MINUTE_MS, consumers: 3 })).to.not.deep.equal(plan);
  });

  it('is, for a shorter run, the beginning of that for a longer one', () => {
    const [short, long] = [MINUTE_MS, 10 * MINUTE_MS].map((durationMs) =>
      planFaults({ seed: 7, durationMs, consumers: 3 }),
    );
    expect(short).to.not.be.empty;
    expect(long!.slice(0, short!.length)).to.deep.equal(short);
  });

  it('has every kind once in every round, each within its bounds', () => {
    const kinds = Object.keys(FAULT_KINDS).sort();
    const plan = planFaults({ seed: 1, durationMs: 10 * MINUTE_MS, consumers: 3 });
    expect(plan.length).to.be.above(2 * kinds.length);
    for (let first = 0; first + kinds.length <= plan.length; first += kinds.length) {
      const round = plan.slice(first, first + kinds.length).map(({ kind }) => kind);
      expect(round.sort()).to.deep.equal(kinds);
    }
    for (const { kind, holdMs, victim, point, pass } of plan) {
      const [least, most] = FAULT_KINDS[kind];
      expect(holdMs).to.be.within(least, most);
      expect(victim).to.be.oneOf([0, 1, 2]);
      expect(point).to.match(/^(charge|database|ledger|projection)\./);
      expect(pass).to.be.within(1, 20);
    }
  });

  it('fills the duration it is for, and no more', () => {
    const lastsMs = planFaults({ seed: 3, durationMs: 5 * MINUTE_MS, consumers: 2 }).reduce(
      (sum, { waitMs, holdMs }) => sum + waitMs + holdMs,
      0,
    );
    expect(lastsMs).to.be.within(4.5 * MINUTE_MS, 5 * MINUTE_MS);
  });
});
