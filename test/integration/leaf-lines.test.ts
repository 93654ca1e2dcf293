/** Owns: that an entry read back as PostgreSQL writes it hashes to what it was stored with, whatever its texts hold. */
import { expect } from 'chai';
import fc from 'fast-check';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import { fieldText, leafLines, type LeafLine } from '../../src/ledger/postgres/leaf-lines.js';
import { leafStatement } from '../../src/ledger/postgres/proof-scope.js';
import { withProofSnapshot } from '../../src/ledger/postgres/proof-snapshot.js';
import { ENTRY_COLUMNS } from '../../src/ledger/postgres/rows.js';
import { rowsText } from '../support/rows-text.js';
import { formatAmount } from '../../src/ledger/money.js';
import { propertySeed } from '../model/property-seed.js';
import { anyEntry } from '../property/any-entries.js';
import { createTestDatabase, openOwnerPool, type TestDatabase } from '../support/test-database.js';

const ENTRIES = 400;
const TENANT = 'tenant';

/** By the least that there is, towards zero, so that it stays in range. */
function nudged(column: string): string {
  return `CASE WHEN ${column} > 0 THEN ${column} - 0.000000001 ELSE ${column} + 0.000000001 END`;
}

describe('an entry as the proofs read it', function () {
  this.timeout(120_000);
  let database: TestDatabase;
  let owner: pg.Pool;
  let entries: readonly LedgerEntry[];

  before(async () => {
    database = await createTestDatabase();
    owner = openOwnerPool(database);
    await owner.query('ALTER TABLE ledger_entries DISABLE TRIGGER USER');
    entries = fc
      .sample(anyEntry, { numRuns: ENTRIES, seed: propertySeed() })
      .map((entry, index) => ({ ...entry, tenantId: TENANT, seq: index + 1, traceId: `trace-${index}` }));
    await store(entries);
  });
  after(async () => {
    await owner.end();
    await database.drop();
  });

  async function store(rows: readonly LedgerEntry[]): Promise<void> {
    const text = rowsText(rows, { sealedAt: '2026-03-15T10:00:01.000Z', batchId: 1 });
    const client = await owner.connect();
    try {
      const stream = client.query(copyFrom(`COPY ledger_entries (${ENTRY_COLUMNS.join(', ')}) FROM STDIN`));
      await pipeline(Readable.from([Buffer.from(text)]), stream);
    } finally {
      client.release();
    }
  }

  async function lines(): Promise<LeafLine[]> {
    return withProofSnapshot(owner, async (snapshot) => {
      const found: LeafLine[] = [];
      for await (const block of snapshot.lines(leafStatement({ kind: 'tenant', tenantId: TENANT }))) {
        found.push(...leafLines(block));
      }
      return found;
    });
  }

  it('is genuine, and says what the entry says', async () => {
    const found = await lines();
    expect(found).to.have.length(entries.length);
    for (const [index, entry] of entries.entries()) {
      const line = found[index]!;
      expect(
        line.isGenuine,
        JSON.stringify(entry, (_, value: unknown) => String(value)),
      ).to.equal(true);
      expect({ ...line, tenantId: fieldText(line.tenantId), countedOn: fieldText(line.countedOn) }).to.deep.include({
        ...{ tenantId: TENANT, seq: String(entry.seq), traceId: entry.traceId, type: entry.type, status: entry.status },
        ...{ amount: formatAmount(entry.amountNano), balanceBefore: formatAmount(entry.balanceBeforeNano) },
        ...{ balanceAfter: formatAmount(entry.balanceAfterNano), heldBefore: formatAmount(entry.heldBeforeNano) },
        ...{ heldAfter: formatAmount(entry.heldAfterNano), currency: entry.currency, requests: String(entry.requests) },
        ...{ countedOn: entry.countedOn ?? '', occurredOn: entry.occurredAt.slice(0, 10), detail: entry.detail },
      });
    }
  });

  const EDITS: readonly (readonly [column: string, value: string])[] = [
    ['trace_id', `trace_id || 'x'`],
    ['type', `CASE type WHEN 'CREDIT' THEN 'REFUND'::entry_type ELSE 'CREDIT' END`],
    ['status', `CASE status WHEN 'FAILED' THEN 'VOIDED'::entry_status ELSE 'FAILED' END`],
    ['amount', nudged('amount')],
    ['balance_before', nudged('balance_before')],
    ['balance_after', nudged('balance_after')],
    ['held_before', nudged('held_before')],
    ['held_after', nudged('held_after')],
    ['currency', `currency || 'X'`],
    ['requests', 'requests + 1'],
    ['counted_on', `coalesce(counted_on, '2026-01-01') + 1`],
    ['input_tokens', 'coalesce(input_tokens, 0) / 2 + 1'],
    ['output_tokens', 'CASE WHEN output_tokens IS NULL THEN 0 END'],
    ['input_price', 'CASE WHEN input_price IS NULL THEN 0 ELSE input_price * 1.0 END'],
    ['output_price', 'coalesce(output_price, 0) + 1'],
    ['meters', `coalesce(meters, '{}') || '{"forged": {"quantity": 1, "price": "1"}}'`],
    ['meters', `(SELECT jsonb_object_agg(k, v || '{"forged": 1}') FROM jsonb_each(meters) AS m(k, v))`],
    ['price_version', `coalesce(price_version, '') || 'x'`],
    ['provider', `CASE WHEN provider IS NULL THEN '' END`],
    ['model', `coalesce(model, '') || 'x'`],
    ['api_key_id', `coalesce(api_key_id, '') || 'x'`],
    ['preset_item_id', `coalesce(preset_item_id, '') || 'x'`],
    ['stream', 'CASE WHEN stream IS NULL THEN true WHEN NOT stream THEN true END'],
    ['outcome', `CASE WHEN outcome IS NULL THEN 'failed'::usage_outcome END`],
    ['allow_negative', 'CASE WHEN allow_negative IS NULL THEN false WHEN allow_negative THEN false END'],
    ['price_class', `coalesce(price_class, '') || 'x'`],
    ['user_id', `coalesce(user_id, '') || 'x'`],
    ['project_id', `coalesce(project_id, '') || 'x'`],
    ['tags', `coalesce(tags, '{}') || '{"forged": "1"}'`],
    ['tags', `coalesce(tags, '{}') || '{"forged": 1}'`],
    ['description', `coalesce(description, '') || ' '`],
    ['detail', `coalesce(detail, '{}') || '{"forged": "1"}'`],
    ['detail', `coalesce(detail, '{}') || '{"forged": 1}'`],
    ['reference_seq', 'coalesce(reference_seq, 0) / 2 + 1'],
    ['actor', `coalesce(actor, '') || 'x'`],
    ['source_topic', `source_topic || 'x'`],
    ['source_partition', 'source_partition / 2 + 1'],
    ['source_offset', 'source_offset / 2 + 1'],
    ['occurred_at', `occurred_at + interval '1 millisecond'`],
    ['entry_hash', `substr(entry_hash, 1, 31)`],
    ['entry_hash', `sha256(entry_hash)`],
  ];

  for (const [column, value] of EDITS) {
    it(`is not genuine once ${column} is edited: ${value}`, async () => {
      await owner.query('CREATE TABLE before_edit AS SELECT * FROM ledger_entries');
      try {
        await owner.query(`UPDATE ledger_entries SET ${column} = ${value} WHERE ${column} IS DISTINCT FROM (${value})`);
        const edited = await owner.query<{ seq: string }>(
          `SELECT e.seq FROM ledger_entries e JOIN before_edit b USING (tenant_id, seq)
           WHERE e.${column}::text IS DISTINCT FROM b.${column}::text ORDER BY e.seq`,
        );
        expect(edited.rows).to.have.length.greaterThan(ENTRIES / 10);
        const forged = (await lines()).filter(({ isGenuine }) => !isGenuine).map(({ seq }) => seq);
        expect(forged).to.deep.equal(edited.rows.map(({ seq }) => seq));
      } finally {
        await owner.query('TRUNCATE ledger_entries');
        await owner.query('INSERT INTO ledger_entries SELECT * FROM before_edit');
        await owner.query('DROP TABLE before_edit');
      }
    });
  }
});
