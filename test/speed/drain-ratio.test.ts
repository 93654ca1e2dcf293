/**
 * Owns: the guard against a slow release: the drain rate as a share of the append ceiling of the same minutes, on the same
 * servers and rows. A ratio, since absolute figures say more about the machine than about the code.
 * The bound is wide on purpose: a run this short is half warm-up, and a shared machine is uneven. `make bench` measures.
 */
import { expect } from 'chai';
import { measureDrain } from '../../bench/drain.js';
import { WORKLOADS } from '../../bench/workloads.js';

const REQUESTS = 40_000;
const PARTITIONS = 4;
/** On an idle machine a run of this size is at 0.12 to 0.20. */
const RATIO_MIN = 0.03;

describe('draining a backlog', function () {
  this.timeout(240_000);

  it('keeps a fair share of the rate at which PostgreSQL alone accepts the same rows', async () => {
    const { drainRate, copyRate, messages, cpuSecondsPerMillion, rssPeakBytes } = await measureDrain({
      workload: WORKLOADS.spread,
      size: { requests: REQUESTS, duplicates: 0 },
      partitions: PARTITIONS,
      references: ['copy'],
      report: () => undefined,
    });
    const ratio = drainRate / (copyRate ?? Number.NaN);
    const { node, postgres, redis, kafka } = cpuSecondsPerMillion;
    process.stdout.write(
      `\n    drain ${Math.round(drainRate)}/s of a COPY ceiling of ${Math.round(copyRate ?? 0)}/s: ` +
        `ratio ${ratio.toFixed(3)}, allowed from ${RATIO_MIN}; CPU seconds a million: ` +
        `node ${node.toFixed(0)}, postgres ${postgres.toFixed(0)}, redis ${redis.toFixed(0)}, kafka ${kafka.toFixed(0)}; ` +
        `peak ${Math.round(rssPeakBytes / 2 ** 20)} MB; ${messages} messages\n`,
    );
    expect(messages).to.be.above(REQUESTS);
    expect(ratio).to.be.at.least(RATIO_MIN);
  });
});
