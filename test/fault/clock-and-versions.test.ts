/**
 * Owns: what is around a process and changes while it runs: the clock that steps, the schema that a newer version brings,
 * two migrators at once.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { uniqueTopic } from '../integration/kafka-topics.js';
import { useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import type { ConsumeChild } from '../support/consume-child.js';
import { createEmptyTestDatabase, openOwnerPool } from '../support/test-database.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { waitUntil } from '../support/wait-until.js';

const STEPPED_CLOCK = new URL('../support/stepped-clock.js', import.meta.url).href;
/** Within the five minutes that an event may be ahead of the ledger's clock. */
const STEP_SECONDS = 120;
const TOLD_MAX_MS = 60_000;
const SLOWLY = 'charge.decoded=delay:25';

function steppedClock(file: string): Record<string, string> {
  return { NODE_OPTIONS: `--import ${STEPPED_CLOCK}`, CLOCK_STEP_FILE: file };
}

async function told(child: ConsumeChild, words: string): Promise<void> {
  await waitUntil(`a process tells: ${words}`, () => child.log().includes(words), TOLD_MAX_MS);
}

describe('a process whose surroundings change', function () {
  this.timeout(180_000);
  let world: FaultWorld;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create();
  });

  after(() => world.close());

  it('charges exactly once while its clock steps back and forward by minutes', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'tollbook-clock-'));
    const file = path.join(folder, 'step');
    const settings = { ...steppedClock(file), TOLLBOOK_CLOCK_SKEW_MAX_MS: String(2 * STEP_SECONDS * 1_000) };
    await world.publish(150);
    const child = world.start({ faults: SLOWLY, settings });
    for (const step of [-STEP_SECONDS, STEP_SECONDS, 0]) {
      await world.batches(4);
      writeFileSync(file, String(step));
      child.kill('SIGUSR2');
    }
    await world.recover('the clock stepped', performance.now(), [child]);
    rmSync(folder, { recursive: true });
  });

  it('charges nothing while its clock is not that of PostgreSQL, from the start or later, and goes on when it is', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'tollbook-clock-'));
    const file = path.join(folder, 'step');
    const step = (child: ConsumeChild, seconds: number): void => {
      writeFileSync(file, String(seconds));
      child.kill('SIGUSR2');
    };
    await world.publish(100);
    writeFileSync(file, String(-5 * STEP_SECONDS));
    const before = await world.ledger.count('ledger_batches');
    const child = world.start({ faults: SLOWLY, settings: { ...steppedClock(file), CLOCK_STEPS_AT_START: '1' } });
    await told(child, 's behind that of PostgreSQL');
    expect(await world.ledger.count('ledger_batches')).to.equal(before);
    step(child, 0);
    await world.batches(3);
    step(child, 2 * STEP_SECONDS);
    await told(child, 's ahead of that of PostgreSQL');
    step(child, 0);
    await world.recover('the clock was wrong', performance.now(), [child]);
    rmSync(folder, { recursive: true });
    const early = `SELECT FROM ledger_entries WHERE recorded_at > now() + interval '30 seconds' AND tenant_id = ANY($1)`;
    const tenantIds = Object.keys(world.plans.at(-1)?.expectation.tenants ?? {});
    expect(tenantIds).to.have.length.above(0);
    expect(await world.ledger.rows(early, [tenantIds])).to.deep.equal([]);
  });

  it('charges beside a newer version that has added to the schema', async () => {
    await world.publish(100);
    const group = uniqueTopic('versions');
    const older = world.start({ group, faults: SLOWLY });
    await world.batches(3);
    const owner = openOwnerPool(world.ledger.database);
    await owner.query('ALTER TABLE ledger_entries ADD COLUMN of_a_newer_version text');
    await owner.query('ALTER TABLE accounts ADD COLUMN of_a_newer_version text');
    await owner.query(`INSERT INTO schema_migrations ("timestamp", name) VALUES (9999999999999, 'Newer9999999999999')`);
    await owner.end();
    const newer = world.start({ group, faults: SLOWLY });
    await world.recover('a newer version joined', performance.now(), [older, newer]);
  });

  it('has one schema when two migrators bring it at once', async () => {
    const database = await createEmptyTestDatabase();
    try {
      const settings = { DATABASE_URL: database.url, DATABASE_OWNER_URL: database.url };
      const migrators = await Promise.all([1, 2].map(() => runTollbook(['migrate'], settings)));
      for (const { exitCode, stderr } of migrators) expect(exitCode, stderr).to.equal(0);
      const pool = openOwnerPool(database);
      const { rows } = await pool.query(
        'SELECT name, count(*) FROM schema_migrations GROUP BY name HAVING count(*) > 1',
      );
      const { rowCount } = await pool.query('SELECT FROM schema_migrations');
      await pool.end();
      expect(rows).to.deep.equal([]);
      expect(rowCount).to.be.above(4);
    } finally {
      await database.drop();
    }
  });
});
