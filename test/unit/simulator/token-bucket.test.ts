/** Owns: that the rate of publishing is kept. */
import { expect } from 'chai';
import { TokenBucket } from '../../../src/simulator/token-bucket.js';

describe('token bucket', () => {
  it('lets a burst through at once and then keeps the rate', () => {
    let nowMs = 0;
    const bucket = new TokenBucket({ ratePerSecond: 100, burst: 10, clock: { nowMs: () => nowMs } });
    expect(bucket.take(10)).to.equal(0);
    expect(bucket.take(10)).to.equal(100);
    nowMs = 100;
    expect(bucket.take(10)).to.equal(100);
    nowMs = 10_000;
    expect(bucket.take(10), 'the bucket is full again, and no fuller').to.equal(0);
    expect(bucket.take(1)).to.equal(10);
  });

  it('does not lose tokens when the clock goes back', () => {
    let nowMs = 1_000;
    const bucket = new TokenBucket({ ratePerSecond: 10, burst: 1, clock: { nowMs: () => nowMs } });
    nowMs = 0;
    expect(bucket.take(1)).to.equal(0);
  });
});
