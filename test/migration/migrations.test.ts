/** Owns: the proof that migrations run once, together or alone, can be taken back, and make the committed schema. */
import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { isTollbookError, TollbookError } from '../../src/runtime/errors.js';
import {
  assertSchemaCurrent,
  migrate,
  migrationStatus,
  pendingMigrations,
  revertLastMigration,
} from '../../src/runtime/migrations.js';
import { createPostgresPool } from '../../src/runtime/postgres.js';
import { dumpSchema, SCHEMA_DUMP_FILE } from '../../src/runtime/schema-dump.js';
import { insertRow } from '../support/ledger-rows.js';
import {
  createEmptyTestDatabase,
  openApplicationPool,
  openOwnerPool,
  type TestDatabase,
} from '../support/test-database.js';

const LAST = 'CreateLedger1767225600000';

async function failureOf(work: Promise<unknown>): Promise<TollbookError> {
  try {
    await work;
  } catch (error) {
    if (isTollbookError(error)) return error;
    throw error;
  }
  throw new TollbookError('INVARIANT_BROKEN', 'the work was expected to fail');
}

describe('the migrations', () => {
  let database: TestDatabase;
  let ownerUrl: string;

  beforeEach(async () => {
    database = await createEmptyTestDatabase();
    ownerUrl = database.url;
  });

  afterEach(async () => {
    await database.drop();
  });

  it('bring an empty database to the current schema, and a second run finds nothing to do', async () => {
    const pending = await pendingMigrations({ ownerUrl });
    expect(pending.at(-1)).to.equal(LAST);
    expect((await migrate({ ownerUrl })).applied).to.deep.equal(pending);
    expect((await migrate({ ownerUrl })).applied).to.deep.equal([]);
    expect(await migrationStatus({ ownerUrl })).to.deep.equal({ applied: pending, pending: [], unknown: [] });
  });

  it('looking at what is pending creates nothing', async () => {
    const before = await dumpSchema(ownerUrl);
    await pendingMigrations({ ownerUrl });
    expect(await dumpSchema(ownerUrl)).to.equal(before);
  });

  it('are applied once when several migrators start at the same moment', async () => {
    const pending = await pendingMigrations({ ownerUrl });
    const results = await Promise.all([1, 2, 3, 4].map(() => migrate({ ownerUrl })));
    expect(results.flatMap(({ applied }) => applied)).to.deep.equal(pending);
  });

  it('a migrator that comes second says that it waits', async () => {
    const lines: string[] = [];
    const pool = openOwnerPool(database);
    const holder = await pool.connect();
    await holder.query('SELECT pg_advisory_lock($1, $2)', [0x746f6c6c, 0x6d696772]);
    let release: Promise<unknown> | undefined;
    const report = (line: string): void => {
      lines.push(line);
      release ??= holder.query('SELECT pg_advisory_unlock_all()');
    };
    const { applied } = await migrate({ ownerUrl, report });
    await release;
    holder.release();
    await pool.end();
    expect(lines[0]).to.equal('another migration of this database is running; waiting for it');
    expect(lines.slice(1)).to.deep.equal(applied.map((name) => `applied ${name}`));
  });

  it('run beside those of other databases of the same server', async () => {
    const others = await Promise.all([1, 2, 3].map(() => createEmptyTestDatabase()));
    try {
      const results = await Promise.all([database, ...others].map(({ url }) => migrate({ ownerUrl: url })));
      expect(results.map(({ applied }) => applied.at(-1))).to.deep.equal([LAST, LAST, LAST, LAST]);
    } finally {
      for (const other of others) await other.drop();
    }
  });

  it('taking back the last one leaves nothing behind, and it can be applied again', async () => {
    await migrate({ ownerUrl });
    const full = await dumpSchema(ownerUrl);
    expect(await revertLastMigration({ ownerUrl })).to.equal(LAST);
    const rest = await dumpSchema(ownerUrl);
    expect(rest.match(/^[A-Z][A-Z ]+ \w+/gm)).to.deep.equal([
      'SEQUENCE schema_migrations_id_seq',
      'TABLE schema_migrations',
    ]);
    expect(rest).to.not.match(/privilege|comment/);
    expect(await revertLastMigration({ ownerUrl })).to.equal(undefined);
    await migrate({ ownerUrl });
    expect(await dumpSchema(ownerUrl)).to.equal(full);
  });

  for (const table of ['ledger_batches', 'ledger_entries'] as const) {
    it(`the ledger is not taken back once ${table} has a row`, async () => {
      await migrate({ ownerUrl });
      const pool = openOwnerPool(database);
      await insertRow(pool, table);
      const error = await failureOf(revertLastMigration({ ownerUrl }));
      expect(error.code).to.equal('POSTGRES_FAILED');
      expect(error.message).to.include('the ledger has been written to');
      expect((await pool.query(`SELECT FROM ${table}`)).rowCount).to.equal(1);
      await pool.end();
      expect(await pendingMigrations({ ownerUrl })).to.deep.equal([]);
    });
  }

  it('a migration of a newer version is told apart and is not taken back', async () => {
    await migrate({ ownerUrl });
    const pool = openOwnerPool(database);
    await pool.query(`INSERT INTO schema_migrations (timestamp, name) VALUES (1999999999999, 'Later1999999999999')`);
    await pool.end();
    expect((await migrationStatus({ ownerUrl })).unknown).to.deep.equal(['Later1999999999999']);
    expect((await failureOf(revertLastMigration({ ownerUrl }))).code).to.equal('USAGE_INVALID');
  });

  it(`make the schema that is committed as ${SCHEMA_DUMP_FILE}`, async () => {
    await migrate({ ownerUrl });
    const committed = await readFile(SCHEMA_DUMP_FILE, 'utf8').catch(() => '');
    const hint = `the schema changed: run "tollbook migrate && tollbook schema dump --out ${SCHEMA_DUMP_FILE}"`;
    expect(await dumpSchema(ownerUrl), hint).to.equal(committed);
  });

  it('report a server that is away, and a password that is wrong, as errors of this project', async () => {
    expect((await failureOf(migrate({ ownerUrl: 'postgres://nobody@127.0.0.1:1/none' }))).code).to.equal(
      'POSTGRES_UNAVAILABLE',
    );
    const wrong = new URL(ownerUrl);
    wrong.password = 'wrong';
    const error = await failureOf(dumpSchema(wrong.href));
    expect(error.code).to.equal('POSTGRES_FAILED');
    expect(error.message).to.not.include(new URL(ownerUrl).password);
  });
});

describe('the check of the schema at start', () => {
  let database: TestDatabase;

  before(async () => {
    database = await createEmptyTestDatabase();
  });

  after(async () => {
    await database.drop();
  });

  it('names what an empty database lacks, and passes as the application role once it is migrated', async () => {
    const pool = openApplicationPool(database);
    const error = await failureOf(assertSchemaCurrent(pool));
    expect(error.code).to.equal('SCHEMA_OUT_OF_DATE');
    expect(error.message).to.include(LAST).and.include('tollbook migrate');
    expect(error.context['missing']).to.deep.equal([LAST]);
    await migrate({ ownerUrl: database.url });
    await assertSchemaCurrent(pool);
    await revertLastMigration({ ownerUrl: database.url });
    expect((await failureOf(assertSchemaCurrent(pool))).code).to.equal('SCHEMA_OUT_OF_DATE');
    await pool.end();
  });

  it('says so when the role of the application does not exist', async () => {
    const options = { applicationName: 'tollbook-test', connectionsMax: 1 };
    const pool = createPostgresPool({ ...options, url: database.url, role: 'no_such_role' });
    const error = await failureOf(assertSchemaCurrent(pool));
    expect(error.code).to.equal('SCHEMA_OUT_OF_DATE');
    expect(error.message).to.include('"no_such_role" does not exist').and.include('tollbook migrate');
    await pool.end();
  });
});
