/** Owns: the row that an entry becomes: one value per column, each in its own column. */
import { expect } from 'chai';
import { entryHash } from '../../../src/ledger/canonical-entry.js';
import type { LedgerEntry } from '../../../src/ledger/entry.js';
import { ENTRY_COLUMNS } from '../../../src/ledger/postgres/rows.js';
import { rowsText } from '../../support/rows-text.js';
import { charge } from './usage-samples.js';

function rowOf(changes: Partial<LedgerEntry> = {}): Record<string, string | null | undefined> {
  const row = rowsText([charge(changes)], { sealedAt: '2026-03-15T10:00:01.000Z', batchId: 17 });
  expect(row.endsWith('\n')).to.equal(true);
  const values = row.slice(0, -1).split('\t').map(fieldOf);
  expect(values).to.have.lengthOf(ENTRY_COLUMNS.length);
  return Object.fromEntries(ENTRY_COLUMNS.map((column, index) => [column, values[index]]));
}

/** Reads a COPY field as PostgreSQL does. */
function fieldOf(field: string): string | null {
  if (field === '\\N') return null;
  return field.replace(/\\(.)/g, (_escape, letter: string) => ({ t: '\t', n: '\n', r: '\r' })[letter] ?? letter);
}

describe('the row of an entry', () => {
  it('has the value of each column in its place, as text or null', () => {
    expect(rowOf({ description: 'late', actor: 'ops', referenceSeq: 3 })).to.deep.equal({
      tenant_id: 'tenant-1',
      seq: '8',
      trace_id: 'trace-1',
      type: 'DEDUCT',
      status: 'COMMITTED',
      amount: '0.018000000',
      balance_before: '10.000000000',
      balance_after: '9.982000000',
      held_before: '0.000000000',
      held_after: '0.000000000',
      currency: 'USD',
      requests: '1',
      counted_on: '2026-03-15',
      input_tokens: '1000',
      output_tokens: '1000',
      input_price: '0.003',
      output_price: '0.015',
      meters: null,
      price_version: 'v1',
      provider: 'anthropic',
      model: 'claude-sonnet-4',
      api_key_id: 'key-1',
      preset_item_id: 'preset-1',
      stream: 'false',
      outcome: 'succeeded',
      allow_negative: 'false',
      price_class: null,
      user_id: null,
      project_id: null,
      tags: null,
      description: 'late',
      detail: null,
      reference_seq: '3',
      actor: 'ops',
      command_hash: null,
      source_topic: 'usage.completed',
      source_partition: '3',
      source_offset: '41',
      occurred_at: '2026-03-15T10:00:00.000Z',
      recorded_at: '2026-03-15T10:00:01.000Z',
      batch_id: '17',
      entry_hash: `\\x${entryHash(charge({ description: 'late', actor: 'ops', referenceSeq: 3 }))}`,
    });
  });

  it('has price class, user and project in their places, and tags as a JSON object', () => {
    const usage = {
      ...charge().usage,
      priceClass: 'batch',
      userId: 'auth0|7',
      projectId: 'p',
      tags: { b: 'x "y"', a: '1' },
    };
    const found = { price_class: 'batch', user_id: 'auth0|7', project_id: 'p', tags: '{"a":"1","b":"x \\"y\\""}' };
    expect(rowOf({ usage })).to.include(found);
  });

  it('stores meters and detail as JSON objects', () => {
    const meters = { requests: { quantity: 1, price: '10' } };
    const row = rowOf({ usage: { ...charge().usage, meters }, detail: { limit: '5', used: '5' } });
    expect(row).to.include({
      meters: '{"requests":{"quantity":1,"price":"10"}}',
      detail: '{"limit":"5","used":"5"}',
    });
  });

  for (const description of ['tab\there, \\N, "quoted",\nnew line', '\\N', '', '\r\n', 'null', 'naïve ✓ 𝕏', '\\\\t']) {
    it(`keeps the text ${JSON.stringify(description)} as it is`, () => {
      expect(rowOf({ description })).to.include({ description, actor: null });
    });
  }

  it('escapes the backslashes of JSON, so that a detail is read as it was written', () => {
    const detail = { note: 'a "b" \\ c\nd' };
    expect(JSON.parse(rowOf({ detail })['detail'] ?? '')).to.deep.equal(detail);
  });
});
