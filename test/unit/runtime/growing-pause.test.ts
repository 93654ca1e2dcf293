/** Pauses between attempts at what keeps failing. */
import { expect } from 'chai';
import { GrowingPause } from '../../../src/runtime/growing-pause.js';

const BOUNDS = { firstMs: 100, longestMs: 1_000 };

describe('a growing pause', () => {
  it('doubles with every failure up to its bound, and begins anew after a success', () => {
    const pause = new GrowingPause(BOUNDS, () => 0);
    expect(Array.from({ length: 6 }, () => pause.afterFailure())).to.deep.equal([100, 200, 400, 800, 1_000, 1_000]);
    pause.reset();
    expect(pause.afterFailure()).to.equal(100);
  });

  it('leaves out up to half of itself at random', () => {
    const pause = new GrowingPause(BOUNDS, () => 0.999);
    expect(Array.from({ length: 3 }, () => pause.afterFailure())).to.deep.equal([50, 100, 200]);
  });

  it('stays within its bound after any number of failures', () => {
    const pause = new GrowingPause(BOUNDS, () => 0);
    for (let failures = 0; failures < 5_000; failures += 1) pause.afterFailure();
    expect(pause.afterFailure()).to.equal(1_000);
  });
});
