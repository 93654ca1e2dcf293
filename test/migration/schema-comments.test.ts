/** Owns: the proof that the schema explains itself: COMMENT ON tables, sequences, domains, indexes and their columns. */
import { expect } from 'chai';
import type pg from 'pg';
import { createTestDatabase, openOwnerPool, type TestDatabase } from '../support/test-database.js';

/** Columns whose name says all there is to say, or that the comment of their table explains. */
const OBVIOUS_COLUMNS = [
  ...['tenant_id', 'trace_id', 'topic', 'partition', 'kafka_offset', 'currency', 'reason', 'actor', 'event', 'name'],
  ...['type', 'status', 'amount', 'balance', 'credit_limit', 'provider', 'model', 'api_key_id', 'preset_item_id'],
  ...['balance_before', 'balance_after', 'held_before', 'held_after', 'stream', 'outcome', 'allow_negative', 'id'],
  ...[
    'input_tokens',
    'price_version',
    'source_topic',
    'source_partition',
    'message_key',
    'message_value',
    'hold_policy',
  ],
  ...['daily_used', 'daily_date', 'monthly_used', 'monthly_month', 'counted_on', 'expires_at', 'timestamp'],
  ...['batch_no', 'batch_id', 'first_offset', 'next_offset', 'from_offset', 'to_offset', 'prev_hash'],
  ...['duplicates', 'superseded', 'skipped', 'unpriced', 'dead_letters', 'sealed_at', 'recorded_at', 'accepted_at'],
];

describe('the comments of the schema', () => {
  let database: TestDatabase;
  let pool: pg.Pool;

  before(async () => {
    database = await createTestDatabase();
    pool = openOwnerPool(database);
  });

  after(async () => {
    await pool.end();
    await database.drop();
  });

  async function namesOf(query: string): Promise<string[]> {
    return (await pool.query<{ name: string }>(query)).rows.map(({ name }) => name);
  }

  it('every table has one', async () => {
    const silent = await namesOf(
      `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
         AND obj_description(oid, 'pg_class') IS NULL`,
    );
    expect(silent).to.deep.equal([]);
  });

  it('every index that is not made by a constraint names the query it serves', async () => {
    const indexes = `SELECT n.relname AS name FROM pg_index i JOIN pg_class n ON n.oid = i.indexrelid
      WHERE n.relnamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)`;
    expect(await namesOf(indexes)).to.not.deep.equal([]);
    const serving = `coalesce(obj_description(n.oid, 'pg_class'), '') LIKE 'Serves: %'`;
    expect(await namesOf(`${indexes} AND NOT ${serving}`)).to.deep.equal([]);
  });

  it('every sequence that is not made by a column, and every domain, has one', async () => {
    const silent = await namesOf(
      `SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S'
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i'))
         AND obj_description(c.oid, 'pg_class') IS NULL
       UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'd'
         AND obj_description(oid, 'pg_type') IS NULL`,
    );
    expect(silent).to.deep.equal([]);
  });

  it('every column has one, but those whose name says it all', async () => {
    const silent = await namesOf(
      `SELECT DISTINCT a.attname AS name FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
         AND col_description(c.oid, a.attnum) IS NULL`,
    );
    expect(silent.filter((name) => !OBVIOUS_COLUMNS.includes(name))).to.deep.equal([]);
  });
});
