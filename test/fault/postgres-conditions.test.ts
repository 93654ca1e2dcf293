/**
 * Owns: conditions of PostgreSQL that pass, while the ledger is charged: a failover that leaves it read-only, tables that
 * change under prepared statements, a password that is being changed, a pooler that is restarted. Each test names its row of
 * docs/failure-windows.md.
 */
import { expect } from 'chai';
import { asSuperuser, cutConnections, reviveServer, useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { startPgBouncer } from '../support/pgbouncer.js';
import { waitUntil } from '../support/wait-until.js';

/** So slow, and so much to charge, that the backlog lasts until the condition has come. */
const SLOWLY = 'database.before-commit=delay:300';
const REQUESTS = 240;
const TOLD_MAX_MS = 60_000;

describe('charging goes on by itself after PostgreSQL', function () {
  this.timeout(240_000);
  let world: FaultWorld;

  useFaultStack();

  beforeEach(async () => {
    world = await FaultWorld.create();
  });

  afterEach(async () => {
    await reviveServer('postgres');
    await world.close();
  });

  function databaseName(): string {
    return new URL(world.ledger.database.url).pathname.slice(1);
  }

  it('was read-only, as in a failover', async () => {
    await world.publish(REQUESTS);
    const child = world.start({ faults: SLOWLY });
    await world.batches(2);
    try {
      await asSuperuser('ALTER SYSTEM SET default_transaction_read_only = on');
      await asSuperuser('SELECT pg_reload_conf()');
      await waitUntil('writes are refused', () => child.log().includes('in a read-only transaction'), TOLD_MAX_MS);
    } finally {
      await asSuperuser('ALTER SYSTEM RESET default_transaction_read_only');
      await asSuperuser('SELECT pg_reload_conf()');
    }
    await world.recover('PostgreSQL was read-only', performance.now(), [child]);
  });

  it('had tables changed under prepared statements', async () => {
    await world.publish(REQUESTS);
    const child = world.start({ faults: SLOWLY });
    await world.batches(2);
    const change = (type: string): Promise<void> =>
      asSuperuser(`ALTER TABLE accounts ALTER COLUMN daily_used TYPE ${type}`, databaseName());
    await change('numeric');
    await waitUntil('a plan is of the past', () => child.log().includes('cached plan must not change'), TOLD_MAX_MS);
    await change('bigint');
    await world.recover('PostgreSQL tables were changed', performance.now(), [child]);
  });

  it('refused the login while the password was changed', async () => {
    const { username, password } = new URL(world.ledger.database.url);
    await world.publish(REQUESTS);
    const child = world.start({ faults: SLOWLY });
    await world.batches(2);
    try {
      await asSuperuser(`ALTER ROLE ${username} PASSWORD 'another'`);
      await cutConnections(world.ledger.database.url);
      await waitUntil('the login is refused', () => child.log().includes('28P01'), TOLD_MAX_MS);
    } finally {
      await asSuperuser(`ALTER ROLE ${username} PASSWORD '${decodeURIComponent(password)}'`);
    }
    await world.recover('PostgreSQL refused the login', performance.now(), [child]);
  });

  it('had its pooler killed and started again under load', async () => {
    const bouncer = await startPgBouncer(world.ledger.database.url);
    try {
      await world.publish(REQUESTS);
      const through = { DATABASE_URL: bouncer.through(world.ledger.database.url) };
      const child = world.start({ faults: SLOWLY, settings: through });
      for (let time = 1; time <= 2; time += 1) {
        await world.batches(2);
        await bouncer.restart();
      }
      await world.recover('PgBouncer was killed', performance.now(), [child]);
      expect(child.log()).to.include('POSTGRES_UNAVAILABLE');
    } finally {
      await bouncer.close();
    }
  });
});
