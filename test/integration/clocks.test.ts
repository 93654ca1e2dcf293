/** Owns: that what is recorded keeps its order within a tenant, whichever clock the processes go by. */
import { expect } from 'chai';
import { environmentOf } from '../../src/runtime/config.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { ReconcileWorld } from '../support/reconcile-world.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completion } from '../support/usage-messages.js';

const AHEAD_MS = 4 * 60_000;

describe('processes whose clocks differ', function () {
  this.timeout(60_000);
  let world: ReconcileWorld;

  before(async () => {
    world = await ReconcileWorld.open();
  });

  after(() => world.close());

  it('record nothing of a tenant before what it has already, so that an export up to an instant stays what it was', async () => {
    const startedMs = Date.now();
    await world.publish('completed', [completion('acme', 'by-the-fast-clock')]);
    await world.charge({ nowMs: startedMs + AHEAD_MS });
    const until = new Date(startedMs + AHEAD_MS).toISOString();
    const before = await exported(until);
    await world.publish('completed', [completion('acme', 'by-the-right-clock'), completion('other', 'of-another')]);
    await world.charge({ nowMs: startedMs });
    await world.credit('acme', '5');
    await world.publish('completed', [completion('zeal', 'alone')]);
    await world.charge({ nowMs: startedMs });
    const recorded = await world.ledger.rows<{ tenant_id: string; recorded_ms: number }>(
      `SELECT tenant_id, (extract(epoch FROM recorded_at) * 1000)::float8 AS recorded_ms FROM ledger_entries
       ORDER BY tenant_id, seq`,
    );
    const aheadOf = (tenant: string): number[] =>
      recorded.filter((row) => row.tenant_id === tenant).map((row) => row.recorded_ms - startedMs);
    expect(aheadOf('acme')).to.deep.equal([AHEAD_MS, AHEAD_MS, AHEAD_MS, AHEAD_MS]);
    expect(aheadOf('zeal')).to.deep.equal([0, 0]);
    expect(await exported(until)).to.equal(before);
    const rows = await world.ledger.rows<{ equal: boolean }>(
      `SELECT bool_and(last_recorded_at = (SELECT max(recorded_at) FROM ledger_entries e WHERE e.tenant_id = a.tenant_id))
         AS equal FROM accounts a`,
    );
    expect(rows).to.deep.equal([{ equal: true }]);
    expect((await proveAccounts(world.ledger.pool)).problems).to.deep.equal([]);
    expect((await proveChains(world.ledger.pool)).problems).to.deep.equal([]);
  });

  /** The entries of acme before an instant. */
  async function exported(until: string): Promise<string> {
    const args = ['export', '--format', 'jsonl', '--tenant', 'acme', '--until', until];
    const { exitCode, stdout, stderr } = await runTollbook(args, environmentOf(world.ledger.config));
    expect(exitCode, stderr).to.equal(0);
    return stdout;
  }
});
