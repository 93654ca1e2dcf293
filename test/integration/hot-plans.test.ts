/** The plans of the statements that look keys up for a chunk, where the statistics speak for another plan. */
import { expect } from 'chai';
import type pg from 'pg';
import { CLOSE_HOLDS } from '../../src/ledger/postgres/append-writes.js';
import { inLedgerTransaction, queryInIndexOrder } from '../../src/ledger/postgres/database-transaction.js';
import { READ_TRACES } from '../../src/ledger/postgres/postgres-ledger-store.js';
import { createTestDatabase, openApplicationPool, openOwnerPool, type TestDatabase } from '../support/test-database.js';

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly 'Join Filter'?: string;
  readonly Plans?: readonly PlanNode[];
}

interface PlanRow {
  readonly 'QUERY PLAN': readonly [{ readonly Plan: PlanNode }];
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

const FEW_ENTRIES_A_TENANT = `
  INSERT INTO ledger_entries (tenant_id, seq, trace_id, type, status, amount, balance_before, balance_after, held_before,
    held_after, currency, requests, source_topic, source_partition, source_offset, occurred_at, recorded_at, batch_id, entry_hash)
  SELECT 'tenant-' || tenant, seq, 'trace-' || seq, 'DEDUCT', 'PENDING', 1, 0, 0, 0, 0, 'USD', 0, 'topic', 0, 0, now(), now(), 1, ''
  FROM generate_series(1, 2000) AS tenant, generate_series(1, 3) AS seq`;

describe('the plans of the hot path', function () {
  this.timeout(60_000);
  let database: TestDatabase;
  let owner: pg.Pool;
  let pool: pg.Pool;

  before(async () => {
    database = await createTestDatabase();
    [owner, pool] = [openOwnerPool(database), openApplicationPool(database)];
  });
  after(async () => {
    await Promise.all([owner.end(), pool.end()]);
    await database.drop();
  });

  /** VACUUM runs in no transaction, and a pool runs nothing outside of one. */
  async function vacuum(table: string): Promise<void> {
    const client = await owner.connect();
    await client.query(`VACUUM (ANALYZE) ${table}`).finally(() => client.release());
  }

  function explained(text: string): string {
    return `EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${text}`;
  }

  function nodesOfResult({ rows: [row] }: pg.QueryResult<PlanRow>): PlanNode[] {
    return row === undefined ? [] : nodesOf(row['QUERY PLAN'][0].Plan);
  }

  it('traces are found by their index where all entries of a tenant seem cheaper to read', async () => {
    await owner.query(FEW_ENTRIES_A_TENANT);
    await owner.query('ANALYZE ledger_entries');
    const nodes = await inLedgerTransaction(pool, async (client) =>
      nodesOfResult(await queryInIndexOrder<PlanRow>(client, { text: explained(READ_TRACES) })),
    );
    const byIndex = nodes.filter((node) => node['Index Name'] !== undefined);
    expect(byIndex.map((node) => node['Index Name'])).to.deep.equal(['ledger_entries_tenant_id_trace_id_status_key']);
    expect(byIndex[0]?.['Index Cond']).to.match(/tenant_id = .*trace_id = ANY/);
  });

  it('holds are closed by their key though none was open when the table was vacuumed', async () => {
    await owner.query(
      `INSERT INTO open_holds SELECT 'tenant', 'trace-' || n, 1, NULL, now() FROM generate_series(1, 1000) AS n`,
    );
    await owner.query('DELETE FROM open_holds');
    await vacuum('open_holds');
    const nodes = await inLedgerTransaction(pool, async (client) =>
      nodesOfResult(await client.query<PlanRow>(explained(CLOSE_HOLDS))),
    );
    const byIndex = nodes.filter((node) => node['Index Name'] !== undefined);
    expect(byIndex.map((node) => node['Index Name'])).to.deep.equal(['open_holds_pkey']);
    expect(byIndex[0]?.['Index Cond']).to.match(/tenant_id = .*trace_id = ANY/);
    expect(nodes.filter((node) => node['Join Filter'] !== undefined)).to.deep.equal([]);
  });
});
