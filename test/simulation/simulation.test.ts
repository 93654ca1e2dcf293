/**
 * The real protocol code on simulated ports: consumers, commands, gateways and workers that are interrupted between any two
 * steps; and the same with one safety taken away, which the simulation must notice.
 */
import { expect } from 'chai';
import { propertySeed } from '../model/property-seed.js';
import { type Removal, REMOVALS } from './removals.js';
import { simulate } from './simulation.js';

const SCHEDULES = 10_000;
const SCHEDULES_WITHOUT_SAFETY_MAX = 2_000;
const SEED_SPAN = 2 ** 31;

describe('the protocol in simulated schedules', function () {
  this.timeout(600_000);
  this.slow(120_000);
  let seed: number;

  before(() => {
    seed = propertySeed();
  });

  it('charges everything once and comes to rest with Redis equal to the ledger, in each of 10,000 schedules', async () => {
    expect(await firstProblem(seed, SCHEDULES)).to.equal(undefined);
  });

  it('runs the same schedule again for the same seed', async () => {
    const removed = 'overlay idempotency';
    const found = await firstProblem(seed, SCHEDULES_WITHOUT_SAFETY_MAX, removed);
    const at = Number(/^FC_SEED=(\d+)/.exec(found ?? '')?.[1]);
    expect(await firstProblem(at, 1, removed)).to.equal(found);
  });

  for (const removed of Object.keys(REMOVALS) as Removal[]) {
    it(`notices when ${REMOVALS[removed]}`, async () => {
      expect(await firstProblem(seed, SCHEDULES_WITHOUT_SAFETY_MAX, removed)).to.be.a('string');
    });
  }
});

/** Runs schedule after schedule; returns the first that fails, by the seed that replays it. */
async function firstProblem(seed: number, schedules: number, removed?: Removal): Promise<string | undefined> {
  for (let number = 0; number < schedules; number += 1) {
    const at = (seed + number) % SEED_SPAN;
    const problem = await simulate(at, removed);
    if (problem !== undefined) return `FC_SEED=${at}: ${problem}`;
  }
  return undefined;
}
