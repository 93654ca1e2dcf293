/**
 * Owns: the proof that a ledger works through a pooler that shares sessions between transactions, with its defaults: the
 * money path, commands, verify and reconcile through a real PgBouncer.
 */
import { expect } from 'chai';
import type pg from 'pg';
import { createPostgresPool } from '../../src/runtime/postgres.js';
import { planSimulation } from '../../src/simulator/simulate.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { type PgBouncer, startPgBouncer } from '../support/pgbouncer.js';
import { assertTenantsAsPlanned } from '../support/planned-tenants.js';
import { runTollbook } from '../support/tollbook-cli.js';

describe('through PgBouncer in transaction pooling', function () {
  this.timeout(180_000);
  let world: LedgerWorld;
  let bouncer: PgBouncer;
  let url: string;
  let pool: pg.Pool;

  before(async () => {
    world = await LedgerWorld.create();
    bouncer = await startPgBouncer(world.database.url);
    url = bouncer.through(world.database.url);
    pool = createPostgresPool({ url, role: 'tollbook_app', applicationName: 'tollbook-test', connectionsMax: 4 });
  });

  after(async () => {
    await pool.end();
    await bouncer.close();
    await world.close();
  });

  async function tollbook(...args: string[]): Promise<string> {
    const settings = { ...(world.environment as Record<string, string>), DATABASE_URL: url };
    const { exitCode, stdout, stderr } = await runTollbook(args, settings);
    expect(exitCode, stderr + stdout).to.equal(0);
    return stdout;
  }

  it('every statement acts as the application role, with its time-outs and plans, and nothing is left in the session', async () => {
    const shown = `SELECT current_user AS role, current_setting('statement_timeout') AS statement,
      current_setting('lock_timeout') AS lock, current_setting('enable_seqscan') AS scans`;
    const { rows } = await pool.query<object>(shown);
    expect(rows).to.deep.equal([{ role: 'tollbook_app', statement: '1min', lock: '20s', scans: 'off' }]);
    const client = await pool.connect();
    const left = await client.query<{ role: string; statement: string }>(shown);
    client.release();
    expect(left.rows[0]?.role).to.equal(new URL(url).username);
    expect(left.rows[0]?.statement).to.equal('0');
  });

  it('charges, books commands, proves and reconciles', async () => {
    const plan = await planSimulation({ seed: 1, requests: 120, tenants: 6, duplicates: 0.1 });
    await world.credit(plan);
    await world.publish(plan);
    const ledger = await world.start({ config: { databaseUrl: url } });
    await world.drain();
    await assertTenantsAsPlanned(world, plan.expectation);
    await world.assertProven();
    const credit = ['--amount', '5', '--key', 'pooled', '--actor', 'ops', '--reason', 'test'];
    await tollbook('credit', 'pooled-extra', ...credit);
    await tollbook('verify');
    await tollbook('reconcile');
    await world.stop(ledger);
  });
});
