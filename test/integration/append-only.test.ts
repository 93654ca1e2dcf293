/** Owns: the proof that the database itself keeps the ledger append-only, against the application and its owner. */
import { expect } from 'chai';
import type pg from 'pg';
import { APPEND_ONLY_TABLES, insertRow, refusalOf } from '../support/ledger-rows.js';
import { createTestDatabase, openApplicationPool, openOwnerPool, type TestDatabase } from '../support/test-database.js';

const PERMISSION_DENIED = '42501';
const TRIGGER_REFUSED = '23001';
const CHECK_VIOLATED = '23514';

/** For each table a column to change. */
const CHANGE: Readonly<Record<(typeof APPEND_ONLY_TABLES)[number], string>> = {
  ledger_entries: 'amount = 0',
  ledger_batches: 'charged = 0',
  stream_gaps: `reason = ''`,
  producer_gaps: `reason = ''`,
  dead_letters: `detail = ''`,
  dead_letter_actions: `actor = ''`,
  skipped_events: `reason = ''`,
  unpriced_usage: `event = '[]'`,
  ledger_commands: `actor = ''`,
  reconciliation_runs: `actor = ''`,
  repaired_messages: `reason = ''`,
};

describe('the append-only tables', () => {
  let database: TestDatabase;
  let application: pg.Pool;
  let owner: pg.Pool;

  before(async () => {
    database = await createTestDatabase();
    application = openApplicationPool(database);
    owner = openOwnerPool(database);
    for (const table of APPEND_ONLY_TABLES) await insertRow(application, table);
  });

  after(async () => {
    await application.end();
    await owner.end();
    await database.drop();
  });

  for (const table of APPEND_ONLY_TABLES) {
    it(`the application may add to ${table} and read it, but not change, delete or truncate`, async () => {
      expect((await application.query(`SELECT FROM ${table}`)).rowCount).to.equal(1);
      for (const statement of [`UPDATE ${table} SET ${CHANGE[table]}`, `DELETE FROM ${table}`, `TRUNCATE ${table}`]) {
        expect(await refusalOf(application.query(statement)), statement).to.equal(PERMISSION_DENIED);
      }
    });

    it(`a trigger refuses to let even the owner change, delete or truncate ${table}`, async () => {
      for (const statement of [`UPDATE ${table} SET ${CHANGE[table]}`, `DELETE FROM ${table}`, `TRUNCATE ${table}`]) {
        expect(await refusalOf(owner.query(statement)), statement).to.equal(TRIGGER_REFUSED);
      }
      expect((await owner.query(`SELECT FROM ${table}`)).rowCount).to.equal(1);
    });
  }

  it('redrive_state is the one column of a dead letter that the application may change, once, to what is recorded', async () => {
    expect(await refusalOf(application.query(`UPDATE dead_letters SET redrive_state = 'discarded'`))).to.equal(
      TRIGGER_REFUSED,
    );
    expect(await refusalOf(application.query(`UPDATE dead_letters SET redrive_state = 'redriven'`))).to.equal(
      'accepted',
    );
    for (const state of ['open', 'discarded', 'redriven']) {
      const again = `UPDATE dead_letters SET redrive_state = '${state}'`;
      expect(await refusalOf(application.query(again)), again).to.equal(TRIGGER_REFUSED);
      expect(await refusalOf(owner.query(again)), again).to.equal(TRIGGER_REFUSED);
    }
    const both = `UPDATE dead_letters SET redrive_state = 'open', detail = 'other'`;
    expect(await refusalOf(application.query(both))).to.equal(PERMISSION_DENIED);
    expect(await refusalOf(owner.query(both))).to.equal(TRIGGER_REFUSED);
    const { rows } = await owner.query<object>('SELECT redrive_state, detail FROM dead_letters');
    expect(rows).to.deep.equal([{ redrive_state: 'redriven', detail: 'unexpected end' }]);
  });

  it('nothing is recorded of a dead letter that there is not, or that is no longer open', async () => {
    expect(await refusalOf(insertRow(application, 'dead_letter_actions', { kafka_offset: 8 }))).to.equal(
      TRIGGER_REFUSED,
    );
    await insertRow(application, 'dead_letters', { kafka_offset: 9 });
    await insertRow(application, 'dead_letter_actions', { kafka_offset: 9 });
    await application.query(`UPDATE dead_letters SET redrive_state = 'redriven' WHERE kafka_offset = 9`);
    expect(await refusalOf(insertRow(application, 'dead_letter_actions', { kafka_offset: 9 }))).to.equal(
      TRIGGER_REFUSED,
    );
  });

  it('a discard without a reason is not recorded, nor a redrive without what it came to', async () => {
    const nothing = { outcome: null, source_topic: null, source_partition: null, source_offset: null, batch_id: null };
    await insertRow(application, 'dead_letters', { kafka_offset: 10 });
    for (const values of [{ action: 'discarded', ...nothing }, { action: 'discarded', reason: 'why' }, nothing]) {
      const insert = insertRow(application, 'dead_letter_actions', { kafka_offset: 10, ...values });
      expect(await refusalOf(insert)).to.equal(CHECK_VIOLATED);
    }
    await insertRow(application, 'dead_letter_actions', {
      ...{ kafka_offset: 10, action: 'discarded', reason: 'why' },
      ...nothing,
    });
  });
});

describe('the guards of the append-only tables', () => {
  let database: TestDatabase;
  let application: pg.Pool;
  let owner: pg.Pool;

  before(async () => {
    database = await createTestDatabase();
    application = openApplicationPool(database);
    owner = openOwnerPool(database);
  });

  after(async () => {
    await application.end();
    await owner.end();
    await database.drop();
  });

  const ACTION = `INSERT INTO public.dead_letter_actions (topic, partition, kafka_offset, action, actor, reason, acted_at)
    VALUES ('usage.completed', 0, 77, 'discarded', 'ops', 'none', now())`;
  const OPEN_LETTER = `AS SELECT 'usage.completed' AS topic, 0 AS partition, 77::bigint AS kafka_offset, 'open' AS redrive_state`;

  it('ask the real table, whatever table of its name a schema has that comes first in the search path', async () => {
    await owner.query('CREATE SCHEMA astray; GRANT USAGE ON SCHEMA astray TO PUBLIC');
    await owner.query(`CREATE TABLE astray.dead_letters ${OPEN_LETTER}; GRANT SELECT ON astray.dead_letters TO PUBLIC`);
    const astray = `SET LOCAL search_path = astray, public; ${ACTION}`;
    expect(await refusalOf(application.query(astray))).to.equal(TRIGGER_REFUSED);
  });

  it('ask the real table when the owner has a temporary one of its name', async () => {
    const shadowed = `CREATE TEMPORARY TABLE dead_letters ON COMMIT DROP ${OPEN_LETTER}; ${ACTION}`;
    expect(await refusalOf(owner.query(shadowed))).to.equal(TRIGGER_REFUSED);
  });

  it('temporary tables are refused to the application', async () => {
    expect(await refusalOf(application.query('CREATE TEMPORARY TABLE dead_letters (topic text)'))).to.equal(
      PERMISSION_DENIED,
    );
  });
});

describe('the application role', () => {
  let database: TestDatabase;
  let application: pg.Pool;

  before(async () => {
    database = await createTestDatabase();
    application = openApplicationPool(database);
  });

  after(async () => {
    await application.end();
    await database.drop();
  });

  it('is the role that a runtime connection acts as, and it has no special right', async () => {
    const { rows } = await application.query<object>(
      `SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles
       WHERE rolname = current_user`,
    );
    const none = {
      rolsuper: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolreplication: false,
      rolbypassrls: false,
    };
    expect(rows).to.deep.equal([{ rolname: 'tollbook_app', ...none }]);
  });

  it('owns nothing and is a member of nothing', async () => {
    const owned = await application.query(
      `SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = current_user::regrole AND deptype = 'o'`,
    );
    const memberships = await application.query('SELECT FROM pg_auth_members WHERE member = current_user::regrole');
    expect([owned.rowCount, memberships.rowCount]).to.deep.equal([0, 0]);
  });

  for (const statement of [
    'DROP TABLE ledger_entries',
    'ALTER TABLE ledger_entries ADD COLUMN extra text',
    'ALTER TABLE ledger_entries DISABLE TRIGGER append_only',
    'DROP TRIGGER append_only ON ledger_entries',
    'ALTER TABLE ledger_entries OWNER TO tollbook_app',
    'CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$',
    'DROP FUNCTION refuse_change() CASCADE',
    'ALTER DOMAIN amount_nano DROP CONSTRAINT amount_nano_check',
    'ALTER SEQUENCE ledger_batch_id RESTART',
    `SELECT setval('ledger_batch_id', 1)`,
    'CREATE TABLE own_table ()',
    'DELETE FROM schema_migrations',
    'DELETE FROM accounts',
    'DELETE FROM stream_cursors',
    'SET session_replication_role = replica',
  ]) {
    it(`is refused: ${statement.slice(0, 60)}`, async () => {
      expect(await refusalOf(application.query(statement))).to.equal(PERMISSION_DENIED);
    });
  }

  it('cannot hand out a right that it has or has not', async () => {
    await application.query('GRANT SELECT, DELETE ON ledger_entries TO PUBLIC');
    const { rows } = await application.query<object>(
      `SELECT has_table_privilege('public', 'ledger_entries', 'SELECT, DELETE') AS everyone`,
    );
    expect(rows).to.deep.equal([{ everyone: false }]);
  });
});
