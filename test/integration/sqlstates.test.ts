/**
 * Owns: the proof that no answer of PostgreSQL that passes stops charging: a real server gives each of them once.
 * How: a trigger raises the SQLSTATE that the tenant's name asks for, the first time that an entry of the tenant is written;
 * the numbers of a sequence are not taken back with the database transaction.
 */
import { expect } from 'chai';
import type pg from 'pg';
import { connectTo, withConnection } from '../../src/runtime/postgres.js';
import { failureOf } from '../support/command-samples.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { createTestDatabase, openApplicationPool, openOwnerPool } from '../support/test-database.js';
import { completion, messageOf, send } from '../support/usage-messages.js';

/** Each SQLSTATE with the condition that it stands for. */
const PASSING: Readonly<Record<string, string>> = {
  '08006': 'the connection broke',
  '0A000': 'a cached plan must not change its result',
  '22023': 'the role is not there',
  '23001': 'a guard refused',
  '23505': 'the key was written meanwhile',
  '25006': 'the database is read-only, as in a failover',
  '25P02': 'the transaction has failed already',
  '26000': 'a prepared statement is gone',
  '28000': 'the login is refused',
  '28P01': 'the password is wrong',
  '3D000': 'the database is not there',
  '3F000': 'the schema is not there',
  '40001': 'serialization failed',
  '40P01': 'deadlock',
  '42501': 'a right is missing',
  '42703': 'a column is missing',
  '42804': 'a column has another type',
  '42883': 'a function is missing',
  '42P01': 'a table is missing',
  '53100': 'the disk is full',
  '53200': 'out of memory',
  '53300': 'too many connections',
  '55P03': 'a lock is not free',
  '57014': 'the statement was cancelled',
  '57P01': 'an administrator cut the connection',
  '57P03': 'the server is starting',
  '58030': 'the disk gave an error',
  P0001: 'a function of somebody else raised an error',
  XX000: 'an error inside of PostgreSQL',
  XX001: 'data are damaged',
};

const RAISE_ONCE = `
  CREATE FUNCTION raise_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
  DECLARE state text := substr(NEW.tenant_id, 7);
  BEGIN
    IF NEW.tenant_id LIKE 'raise-%' AND nextval(('raised_' || state)::regclass) = 1 THEN
      RAISE EXCEPTION 'raised once' USING ERRCODE = state;
    END IF;
    RETURN NEW;
  END $$`;

describe('an outage that one connection meets', () => {
  it('closes those that were made before it, which may only read, and not those of other failures', async () => {
    const database = await createTestDatabase();
    const pool = openApplicationPool(database);
    try {
      const clients = await Promise.all(Array.from({ length: 4 }, () => connectTo(pool)));
      for (const client of clients) await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
      const before = new Set(await Promise.all(clients.map(processOf)));
      expect(before.size).to.equal(4);
      for (const client of clients) client.release();
      const failed = await failureOf(pool.query('SELECT no_such_function()'));
      expect(failed.code).to.equal('SCHEMA_OUT_OF_DATE');
      expect(before.has(await withConnection(pool, processOf))).to.equal(true);
      const write = (): Promise<unknown> =>
        pool.query(`INSERT INTO producer_gaps VALUES ('gateway-1', 1, 0, 0, 'ops', 'a test')`);
      expect((await failureOf(write())).code).to.equal('POSTGRES_UNAVAILABLE');
      await write();
      expect(before.has(await withConnection(pool, processOf))).to.equal(false);
    } finally {
      await pool.end();
      await database.drop();
    }
  });

  async function processOf(client: pg.ClientBase): Promise<number> {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return rows[0]?.pid ?? 0;
  }
});

describe('an answer of PostgreSQL that passes', function () {
  this.timeout(120_000);
  const states = Object.keys(PASSING);
  const tenantOf = (state: string): string => `raise-${state}`;
  let world: LedgerWorld;
  let owner: pg.Pool;

  before(async () => {
    world = await LedgerWorld.create({ partitions: states.length });
    owner = openOwnerPool(world.database);
    for (const state of states) await owner.query(`CREATE SEQUENCE raised_${state}`);
    await owner.query(RAISE_ONCE);
    await owner.query(
      'CREATE TRIGGER raise_once BEFORE INSERT ON ledger_entries FOR EACH ROW EXECUTE FUNCTION raise_once()',
    );
    await send(
      world.kafka,
      world.config.topicCompleted,
      states.map((state, partition) => messageOf(completion(tenantOf(state), `trace-${state}`), partition)),
    );
    const ledger = await world.start();
    await world.drain();
    await world.stop(ledger);
  });

  after(async () => {
    await owner.end();
    await world.close();
  });

  for (const [state, condition] of Object.entries(PASSING)) {
    it(`${state} (${condition}): the message is charged once it has passed`, async () => {
      const { rows } = await owner.query<{ attempts: string }>(`SELECT last_value AS attempts FROM raised_${state}`);
      expect(Number(rows[0]?.attempts), 'attempts to write the entry').to.be.greaterThan(1);
      const entries = await world.rows(
        `SELECT FROM ledger_entries WHERE tenant_id = '${tenantOf(state)}' AND type = 'DEDUCT'`,
      );
      expect(entries).to.have.length(1);
    });
  }

  it('leaves a ledger that is proven', async () => {
    await world.assertProven();
  });
});
