/** Owns: when a clock held against that of the database refuses to tell its time, and when it tells it again. */
import { expect } from 'chai';
import { CheckedClock } from '../../../src/runtime/checked-clock.js';
import { isTollbookError, TollbookError } from '../../../src/runtime/errors.js';
import { waitUntil } from '../../support/wait-until.js';

const START_MS = Date.UTC(2026, 2, 14);
const SKEW_MAX_MS = 2_000;
const POLL_MAX_MS = 5_000;

/** Time as a test holds it in its hands: what passes, passes for all; each clock may stand wrong by something. */
class Hands {
  passedMs = 0;
  localOffMs = 0;
  databaseOffMs = 0;
  roundTripMs = 0;
  isAway = false;

  clock(): CheckedClock {
    return new CheckedClock({
      local: { nowMs: () => START_MS + this.passedMs + this.localOffMs },
      monotonicMs: () => 7_000 + this.passedMs,
      readDatabaseMs: () => {
        if (this.isAway) return Promise.reject(new TollbookError('POSTGRES_UNAVAILABLE', 'away'));
        this.passedMs += this.roundTripMs / 2;
        const databaseMs = START_MS + this.passedMs + this.databaseOffMs;
        this.passedMs += this.roundTripMs / 2;
        return Promise.resolve(databaseMs);
      },
      skewMaxMs: SKEW_MAX_MS,
      intervalMs: 1,
    });
  }
}

function isRight(clock: CheckedClock): boolean {
  try {
    clock.nowMs();
    return true;
  } catch (error) {
    if (isTollbookError(error, 'CLOCK_SKEWED')) return false;
    throw error;
  }
}

describe('a clock held against that of the database', () => {
  let hands: Hands;

  beforeEach(() => {
    hands = new Hands();
  });

  it('tells the time of the machine while both differ by no more than the bound', async () => {
    hands.localOffMs = SKEW_MAX_MS;
    const clock = hands.clock();
    await clock.check();
    expect(clock.nowMs()).to.equal(START_MS + SKEW_MAX_MS);
  });

  it('is refused, naming how far it is ahead or behind, and the bound', async () => {
    for (const [offMs, words] of [
      [240_000, '240 s ahead of'],
      [-600_000, '600 s behind'],
    ] as const) {
      hands.localOffMs = offMs;
      const problem: unknown = await hands
        .clock()
        .check()
        .catch((error: unknown) => error);
      expect(isTollbookError(problem, 'CLOCK_SKEWED')).to.equal(true);
      expect(String(problem)).to.include(`${words} that of PostgreSQL; allowed: 2 s`);
    }
  });

  it('is not refused for a difference that the round trip explains', async () => {
    hands.roundTripMs = 30_000;
    hands.localOffMs = 10_000;
    const clock = hands.clock();
    await clock.check();
    expect(isRight(clock)).to.equal(true);
  });

  it('notices a step with the next reading, and that it was taken back', async () => {
    const clock = hands.clock();
    await clock.check();
    hands.passedMs = 5_000;
    hands.localOffMs = -120_000;
    expect(isRight(clock)).to.equal(false);
    hands.localOffMs = 0;
    expect(isRight(clock)).to.equal(true);
  });

  it('goes by the last comparison while the database is away', async () => {
    const clock = hands.clock();
    await clock.check();
    const stop = clock.watch();
    hands.isAway = true;
    hands.passedMs = 3_600_000;
    expect(isRight(clock)).to.equal(true);
    hands.localOffMs = 5_000;
    expect(isRight(clock)).to.equal(false);
    await stop();
  });

  it('is right again by itself once the clock of the database is', async () => {
    hands.databaseOffMs = 60_000;
    const clock = hands.clock();
    await clock.check().catch(() => undefined);
    const stop = clock.watch();
    expect(isRight(clock)).to.equal(false);
    hands.databaseOffMs = 0;
    await waitUntil('the clock is right', () => isRight(clock), POLL_MAX_MS);
    await stop();
  });
});
