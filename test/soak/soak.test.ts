/**
 * Owns: a short soak run as a test: the same faults, load and proofs as `make chaos`, in three minutes of load where
 * `make chaos` takes ten. It runs when nothing else does, since it asks for a rate.
 */
import { expect } from 'chai';
import { chaosText, isClean } from '../chaos/chaos-report.js';
import { runChaos } from '../chaos/chaos-run.js';
import { propertySeed } from '../model/property-seed.js';
import { useFaultStack } from '../support/fault-stack.js';

const LOAD_MS = Number(process.env['TOLLBOOK_CHAOS_SECONDS'] ?? 180) * 1_000;
const REST_MAX_MS = 400_000;

describe('charging while anything may break', function () {
  this.timeout(LOAD_MS * 3 + REST_MAX_MS);

  useFaultStack();

  it('loses nothing, charges nothing twice and ends with Redis equal to the ledger', async () => {
    const options = { seed: propertySeed(), durationMs: LOAD_MS, ratePerSecond: 2_000, consumers: 3 };
    const report = await runChaos(options, () => undefined);
    process.stdout.write(`\n${chaosText(report)}`);
    expect(isClean(report), chaosText(report)).to.equal(true);
    expect(report.events).to.be.at.least((LOAD_MS / 1_000) * options.ratePerSecond * 0.8);
    expect(report.recoveries.length).to.equal(report.faults.length).and.to.be.above(0);
  });
});
