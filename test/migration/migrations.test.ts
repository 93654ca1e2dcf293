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

const FIRST = 'CreateLedger1767225600000';
const COMMANDS = 'LedgerCommands1767312000000';
const PRICE_BOOKS = 'PriceBooks1767398400000';
const DEAD_LETTERS = 'DeadLetterRedrive1767484800000';
const SET_ASIDE_HASHES = 'SetAsideHashes1768262400000';

/** The digits that order the migrations. */
function timestampsOf(names: readonly string[]): string[] {
  return names.map((name) => name.slice(-13));
}

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

  /** Takes back, the last one first, every migration after the one named, or all of them; returns their names. */
  async function revertAfter(name: string | undefined): Promise<string[]> {
    const reverted: string[] = [];
    for (;;) {
      const last = (await migrationStatus({ ownerUrl })).applied.at(-1);
      if (last === undefined || last === name) return reverted;
      reverted.push((await revertLastMigration({ ownerUrl })) ?? 'nothing');
    }
  }

  it('bring an empty database to the current schema, and a second run finds nothing to do', async () => {
    const pending = await pendingMigrations({ ownerUrl });
    expect(pending[0]).to.equal(FIRST);
    expect(timestampsOf(pending)).to.deep.equal(timestampsOf(pending).sort());
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
      const pending = await pendingMigrations({ ownerUrl });
      const results = await Promise.all([database, ...others].map(({ url }) => migrate({ ownerUrl: url })));
      expect(results.map(({ applied }) => applied)).to.deep.equal([pending, pending, pending, pending]);
    } finally {
      for (const other of others) await other.drop();
    }
  });

  it('taking all back, the last one first, leaves nothing behind, and they can be applied again', async () => {
    const { applied } = await migrate({ ownerUrl });
    const full = await dumpSchema(ownerUrl);
    expect(await revertAfter(undefined)).to.deep.equal([...applied].reverse());
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

  it('the table of commands is not taken back once it has a row', async () => {
    await migrate({ ownerUrl });
    await revertAfter(COMMANDS);
    const pool = openOwnerPool(database);
    await insertRow(pool, 'ledger_commands');
    await pool.end();
    const error = await failureOf(revertLastMigration({ ownerUrl }));
    expect(error.code).to.equal('POSTGRES_FAILED');
    expect(error.message).to.include('ledger_commands has been written to');
  });

  it('price books are not taken back once one has been imported', async () => {
    await migrate({ ownerUrl });
    await revertAfter(PRICE_BOOKS);
    const pool = openApplicationPool(database);
    await pool.query(
      `INSERT INTO price_book_versions (book, version, effective_from, currency, models, source_digest, actor, imported_at)
       VALUES ('list', 1, now(), 'USD', 1, $1, 'ops', now())`,
      [Buffer.alloc(32)],
    );
    await pool.end();
    const error = await failureOf(revertLastMigration({ ownerUrl }));
    expect(error.code).to.equal('POSTGRES_FAILED');
    expect(error.message).to.include('price books have been imported');
  });

  it('the record of what became of dead letters is not taken back once it has a row, and is where it has none', async () => {
    await migrate({ ownerUrl });
    await revertAfter(DEAD_LETTERS);
    expect(await revertLastMigration({ ownerUrl })).to.equal(DEAD_LETTERS);
    await migrate({ ownerUrl });
    await revertAfter(DEAD_LETTERS);
    const pool = openApplicationPool(database);
    await insertRow(pool, 'dead_letters');
    await insertRow(pool, 'dead_letter_actions');
    await pool.end();
    const error = await failureOf(revertLastMigration({ ownerUrl }));
    expect(error.code).to.equal('POSTGRES_FAILED');
    expect(error.message).to.include('dead letters have been redriven or discarded');
  });

  it('the hashes of what is set aside are not taken back once a batch is sealed over them', async () => {
    await migrate({ ownerUrl });
    await revertAfter(SET_ASIDE_HASHES);
    const pool = openApplicationPool(database);
    await insertRow(pool, 'ledger_batches');
    await pool.end();
    const error = await failureOf(revertLastMigration({ ownerUrl }));
    expect(error.code).to.equal('POSTGRES_FAILED');
    expect(error.message).to.include('batches have been sealed over what they set aside');
  });

  it('carry the credits of an earlier version over, so that their keys stay taken', async () => {
    await migrate({ ownerUrl });
    await revertAfter(FIRST);
    const pool = openOwnerPool(database);
    const credit = {
      type: 'CREDIT',
      trace_id: '~invoice-7',
      seq: 2,
      amount: '12.5',
      actor: 'ops',
      description: 'paid',
    };
    await insertRow(pool, 'ledger_entries', { type: 'LIMITS', trace_id: '~~open', amount: '0' });
    await insertRow(pool, 'ledger_entries', credit);
    await insertRow(pool, 'ledger_entries', { seq: 3, trace_id: 'invoice-7' });
    await migrate({ ownerUrl });
    const { rows } = await pool.query<object>('SELECT tenant_id, key, kind, content, seq, actor FROM ledger_commands');
    await pool.end();
    const content = { amount: '12.500000000', currency: 'USD', reason: 'paid' };
    expect(rows).to.deep.equal([
      { tenant_id: 'acme', key: 'invoice-7', kind: 'credit', content, seq: '2', actor: 'ops' },
    ]);
  });

  for (const table of ['ledger_batches', 'ledger_entries'] as const) {
    it(`the ledger is not taken back once ${table} has a row`, async () => {
      await migrate({ ownerUrl });
      await revertAfter(FIRST);
      const pool = openOwnerPool(database);
      await insertRow(pool, table);
      const error = await failureOf(revertLastMigration({ ownerUrl }));
      expect(error.code).to.equal('POSTGRES_FAILED');
      expect(error.message).to.include('the ledger has been written to');
      expect((await pool.query(`SELECT FROM ${table}`)).rowCount).to.equal(1);
      await pool.end();
      expect((await migrationStatus({ ownerUrl })).applied).to.deep.equal([FIRST]);
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
    expect(error).to.include({ code: 'POSTGRES_UNAVAILABLE' });
    expect(error.context).to.deep.equal({ sqlState: '28P01' });
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
    const missing = await pendingMigrations({ ownerUrl: database.url });
    expect(error.message).to.include(FIRST).and.include('tollbook migrate');
    expect(error.context['missing']).to.deep.equal(missing);
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
