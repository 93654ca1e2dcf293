/** Owns: the proof that the database refuses what is no ledger fact, and keeps every digit of what is one. */
import { expect } from 'chai';
import type pg from 'pg';
import { DEAD_LETTER_REASONS } from '../../src/ledger/dead-letter.js';
import { formatAmount, parseAmount } from '../../src/ledger/money.js';
import { insertRow, refusalOf } from '../support/ledger-rows.js';
import { createTestDatabase, openApplicationPool, type TestDatabase } from '../support/test-database.js';

const CHECK_VIOLATED = '23514';
const UNIQUE_VIOLATED = '23505';
const NUMERIC_OVERFLOW = '22003';

describe('what the database checks of the ledger', () => {
  let database: TestDatabase;
  let pool: pg.Pool;

  before(async () => {
    database = await createTestDatabase();
    pool = openApplicationPool(database);
  });

  after(async () => {
    await pool.end();
    await database.drop();
  });

  it('accepts the largest and the smallest amount of an int64 and gives them back unchanged', async () => {
    for (const [seq, amount] of ['9223372036.854775807', '-9223372036.854775807'].entries()) {
      await insertRow(pool, 'ledger_entries', { tenant_id: 'edge', seq: seq + 1, trace_id: `edge-${seq}`, amount });
      const { rows } = await pool.query<{ amount: string }>(
        `SELECT amount FROM ledger_entries WHERE tenant_id = 'edge' AND seq = $1`,
        [seq + 1],
      );
      expect(rows[0]?.amount).to.equal(amount);
    }
  });

  for (const amount of ['9223372036.854775808', '-9223372036.854775808', 'NaN']) {
    it(`refuses an amount of ${amount}`, async () => {
      expect(await refusalOf(insertRow(pool, 'ledger_entries', { tenant_id: 'over', amount }))).to.equal(
        CHECK_VIOLATED,
      );
    });
  }

  it('refuses an infinite amount', async () => {
    const work = insertRow(pool, 'ledger_entries', { tenant_id: 'over', amount: 'Infinity' });
    expect(await refusalOf(work)).to.equal(NUMERIC_OVERFLOW);
  });

  it('keeps money of 19 significant digits and prices of 30 exactly', async () => {
    const amounts = ['1234567890.123456789', '9007199254.740993001', '0.000000001', '-8999999999.999999999'];
    const price = '0.000000000000000123456789012345';
    for (const [index, amount] of amounts.entries()) {
      const [seq, traceId] = [index + 1, `digits-${index}`];
      const values = { tenant_id: 'digits', seq, trace_id: traceId, amount, input_price: price };
      await insertRow(pool, 'ledger_entries', values);
    }
    const { rows } = await pool.query<{ amount: string; input_price: string }>(
      `SELECT amount, input_price FROM ledger_entries WHERE tenant_id = 'digits' ORDER BY seq`,
    );
    expect(rows.map((row) => formatAmount(parseAmount(row.amount)))).to.deep.equal(amounts);
    expect(new Set(rows.map((row) => row.input_price))).to.deep.equal(new Set([price]));
  });

  it('refuses a second entry of a trace in the same status, whatever its seq', async () => {
    const values = { tenant_id: 'once', trace_id: 'same' };
    await insertRow(pool, 'ledger_entries', { ...values, seq: 1, status: 'PENDING' });
    await insertRow(pool, 'ledger_entries', { ...values, seq: 2, status: 'COMMITTED' });
    const again = insertRow(pool, 'ledger_entries', { ...values, seq: 3, status: 'COMMITTED' });
    expect(await refusalOf(again)).to.equal(UNIQUE_VIOLATED);
  });

  it('accepts the same trace id of another tenant, but not a seq twice', async () => {
    await insertRow(pool, 'ledger_entries', { tenant_id: 'one', trace_id: 'shared' });
    await insertRow(pool, 'ledger_entries', { tenant_id: 'two', trace_id: 'shared' });
    const again = insertRow(pool, 'ledger_entries', { tenant_id: 'two', trace_id: 'other' });
    expect(await refusalOf(again)).to.equal(UNIQUE_VIOLATED);
  });

  it('tells tenants apart by their bytes, not by a language', async () => {
    await insertRow(pool, 'ledger_entries', { tenant_id: 'caf\u00e9' });
    await insertRow(pool, 'ledger_entries', { tenant_id: 'cafe\u0301' });
    const { rows } = await pool.query<{ tenant_id: string }>(
      `SELECT tenant_id FROM ledger_entries WHERE tenant_id LIKE 'caf%' ORDER BY tenant_id`,
    );
    expect(rows.map((row) => row.tenant_id)).to.deep.equal(['cafe\u0301', 'caf\u00e9']);
  });

  it('knows exactly the dead-letter reasons of the code', async () => {
    for (const [index, reason] of DEAD_LETTER_REASONS.entries()) {
      await insertRow(pool, 'dead_letters', { kafka_offset: 100 + index, reason });
    }
    const other = insertRow(pool, 'dead_letters', { kafka_offset: 200, reason: 'OTHER' });
    expect(await refusalOf(other)).to.equal(CHECK_VIOLATED);
    const { rows } = await pool.query<{ definition: string }>(
      `SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conname = 'dead_letters_reason_check'`,
    );
    const known = [...(rows[0]?.definition ?? '').matchAll(/'([A-Z0-9_]+)'/g)].map(([, reason]) => reason);
    expect(known).to.have.members([...DEAD_LETTER_REASONS]);
  });
});
