/**
 * Owns: that a reconciliation finds a healthy ledger equal in which everything has happened, and names whatever is
 * changed in it behind its back, with the triggers disabled.
 */
import { expect } from 'chai';
import { openEventfulTopics } from '../support/eventful-topics.js';
import { Forgery } from '../support/forgery.js';
import { briefly, type ReconcileWorld } from '../support/reconcile-world.js';

const NOTHING = {
  ...{ messages: 0, charged: 0, openings: 0, duplicates: 0, superseded: 0, skipped: 0, unpriced: 0, deadLetters: 0 },
  ...{ repaired: 0, acceptedGap: 0, missing: 0 },
};

describe('reconciling a ledger with its topics', function () {
  this.timeout(120_000);
  let world: ReconcileWorld;
  let forgery: Forgery;

  before(async () => {
    world = await openEventfulTopics();
    forgery = await Forgery.open(world.ledger.database);
  });
  after(async () => {
    await forgery.close();
    await world.close();
  });
  afterEach(() => forgery.restore());

  it('finds a ledger equal in which everything has happened that a message can become', async () => {
    const { state } = await world.expectEqual();
    expect(state.ranges.map(({ counts }) => counts)).to.deep.equal([
      { ...NOTHING, messages: 20, charged: 9, openings: 1, duplicates: 4, superseded: 4, skipped: 2, deadLetters: 1 },
      NOTHING,
      { ...NOTHING, messages: 35, charged: 12, duplicates: 8, skipped: 1, unpriced: 2, deadLetters: 12 },
      { ...NOTHING, messages: 2, charged: 1, deadLetters: 1 },
    ]);
    expect(state.ranges.map(({ range }) => range.notChargedYet)).to.deep.equal([
      ...[null, null],
      ...[{ from: 35n, to: 36n }, null],
    ]);
    expect(state.taken).to.deep.equal({
      ...{ refusals: 5, openingTerms: 1, eventTimes: 4, eventSizes: 1, priceBooks: 1 },
    });
  });

  const at = (kind: 'pending' | 'completed', kafkaOffset: number): string => {
    const { topic, partition } = world.source(kind);
    return `topic = '${topic}' AND partition = ${partition} AND kafka_offset = ${kafkaOffset}`;
  };
  const entry = (tenantId: string, traceId: string, status = 'COMMITTED'): string =>
    `tenant_id = '${tenantId}' AND trace_id = '${traceId}' AND status = '${status}'`;
  const batch = (kind: 'pending' | 'completed', batchNo: number): string => {
    const { topic, partition } = world.source(kind);
    return `topic = '${topic}' AND partition = ${partition} AND batch_no = ${batchNo}`;
  };
  const cursor = (): string => `topic = '${world.source('completed').topic}' AND partition = 0`;
  const set = (changes: string, where: string): string => `UPDATE ledger_entries SET ${changes} WHERE ${where}`;
  const copy = (where: string, changes: string): string =>
    `INSERT INTO ledger_entries SELECT (jsonb_populate_record(e, jsonb_build_object(${changes}))).*
     FROM ledger_entries e WHERE ${where}`;

  type Forged = readonly [what: string, statements: () => readonly string[], findings: readonly string[]];

  const FORGERIES: readonly Forged[] = [
    [
      'an amount changed, and every duplicate that conflicts with it now',
      () => [set('amount = amount + 1', entry('acme', 'a'))],
      ['different completed/0/0 amount', 'different completed/0/9', 'different completed/0/13'],
    ],
    [
      'an entry deleted',
      () => [`DELETE FROM ledger_entries WHERE ${entry('acme', 'b')}`],
      ['missing completed/0/1', 'counts completed/0/0-12'],
    ],
    [
      'an entry inserted with a plausible sequence',
      () => [copy(entry('acme', 'a'), `'trace_id', 'forged', 'seq', 1000`)],
      ['extra completed/0/0', 'counts completed/0/0-12'],
    ],
    [
      'an entry inserted at the position of a duplicate',
      () => [copy(entry('acme', 'a'), `'trace_id', 'forged', 'seq', 1000, 'source_offset', 9`)],
      ['extra completed/0/9', 'counts completed/0/0-12'],
    ],
    [
      'an entry inserted at a position that its batch does not cover',
      () => [copy(entry('acme', 'a'), `'trace_id', 'forged', 'seq', 1000, 'source_partition', 1, 'source_offset', 9`)],
      ['counts completed/0/0-12', 'extra completed/1/9'],
    ],
    [
      'the positions of two entries swapped',
      () => [
        set('source_offset = 1000', entry('acme', 'a')),
        set('source_offset = 0', entry('acme', 'b')),
        set('source_offset = 1', entry('acme', 'a')),
      ],
      ['different completed/0/0 trace_id,amount,balance_after,meters,price_version', 'extra completed/0/1'],
    ],
    [
      'an entry moved to another batch',
      () => [set('batch_id = batch_id + 1', entry('acme', 'a'))],
      [
        ...['missing completed/0/9', 'position completed/0/0'],
        ...['counts completed/0/0-12', 'counts completed/1/0-1'],
      ],
    ],
    [
      'a batch row removed',
      () => [`DELETE FROM ledger_batches WHERE ${batch('pending', 2)}`],
      ['unsealed pending/0/12-13'],
    ],
    [
      'the last batch row removed with its entries',
      () => [
        `DELETE FROM ledger_entries WHERE ${entry('acme', 'f', 'FAILED')}`,
        `DELETE FROM ledger_batches WHERE ${batch('completed', 6)}`,
      ],
      ['missing completed/0/34', 'unsealed completed/0/34-34'],
    ],
    [
      'the cursor moved past a message that was not charged',
      () => [`UPDATE stream_cursors SET next_offset = next_offset + 1 WHERE ${cursor()}`],
      ['missing completed/0/35', 'unsealed completed/0/35-35'],
    ],
    [
      'the amount of an entry that a redrive made',
      () => [set('amount = amount + 1', entry('acme', 'old-1'))],
      ['different ~redrive/13/0 amount'],
    ],
    [
      'an entry deleted that a redrive made',
      () => [`DELETE FROM ledger_entries WHERE ${entry('acme', 'old-1')}`],
      ['different completed/0/22'],
    ],
    [
      'the amount of an entry that a corrected copy made',
      () => [set('amount = amount + 1', entry('acme', 'euros'))],
      ['different ~redrive/13/2 amount'],
    ],
    [
      'the corrected copy of a dead letter changed',
      () => [`UPDATE dead_letter_actions SET amended_value = '{}' WHERE trace_id = 'euros'`],
      ['different completed/0/27'],
    ],
    [
      'a dead letter deleted',
      () => [`DELETE FROM dead_letters WHERE ${at('pending', 9)}`],
      ['missing pending/0/9', 'counts pending/0/0-11'],
    ],
    [
      'the bytes of a dead letter changed',
      () => [`UPDATE dead_letters SET message_value = 'x' WHERE ${at('pending', 9)}`],
      ['different pending/0/9'],
    ],
    [
      'the reason of a dead letter changed',
      () => [`UPDATE dead_letters SET reason = 'INVALID_UTF8' WHERE ${at('pending', 9)}`],
      ['different pending/0/9'],
    ],
    [
      'a skipped event deleted',
      () => [`DELETE FROM skipped_events WHERE ${at('pending', 10)}`],
      ['missing pending/0/10', 'counts pending/0/0-11'],
    ],
    [
      'the reason of a skipped event changed',
      () => [`UPDATE skipped_events SET reason = 'x' WHERE ${at('pending', 10)}`],
      ['different pending/0/10'],
    ],
    [
      'the duplicates that a batch counts changed',
      () => [`UPDATE ledger_batches SET duplicates = 0 WHERE ${batch('pending', 1)}`],
      ['counts pending/0/0-11'],
    ],
    [
      'the opening of an account deleted',
      () => [`DELETE FROM ledger_entries WHERE tenant_id = 'bolt' AND seq = 1`],
      ['counts pending/0/0-11'],
    ],
    [
      'parked usage deleted, and its repetitions that conflict with what it was charged as',
      () => [`DELETE FROM unpriced_usage WHERE trace_id = 'unpriced'`],
      [
        ...['missing completed/0/10', 'missing completed/0/11', 'counts completed/0/0-12'],
        ...['missing completed/0/14', 'counts completed/0/13-17', 'different completed/0/31'],
      ],
    ],
  ];

  for (const [what, statements, findings] of FORGERIES) {
    it(`names ${what}`, async () => {
      await forgery.forge(statements());
      expect(briefly(await world.findings()).sort()).to.deep.equal([...findings].sort());
    });
  }

  it('counts as not charged what the last batch covered, once it and its entries are gone and the cursor is turned back', async () => {
    await forgery.forge([
      `DELETE FROM ledger_entries WHERE ${entry('acme', 'f', 'FAILED')}`,
      `DELETE FROM ledger_batches WHERE ${batch('completed', 6)}`,
      `UPDATE stream_cursors SET next_offset = 34, batch_no = 5 WHERE ${cursor()}`,
    ]);
    const { state } = await world.compare();
    expect(state.findings).to.deep.equal([]);
    expect(state.ranges[2]?.range.notChargedYet).to.deep.equal({ from: 34n, to: 36n });
  });

  const FIELDS: readonly (readonly [changes: string, fields: string, traceId?: string])[] = [
    ['balance_after = 77', 'balance_after'],
    ['held_after = held_before', 'held_after'],
    ['requests = 0, counted_on = null', 'requests,counted_on', 'd'],
    ['counted_on = counted_on - 1', 'counted_on', 'd'],
    ['input_tokens = 1', 'input_tokens'],
    ['output_tokens = null', 'output_tokens'],
    ['input_price = 0.03', 'input_price'],
    ['output_price = null', 'output_price'],
    [`meters = jsonb_set(meters, '{requests,quantity}', '"2"')`, 'meters'],
    ["price_version = 'list@8'", 'price_version'],
    ["provider = 'anthropic'", 'provider'],
    ['model = null', 'model'],
    ["api_key_id = 'key'", 'api_key_id'],
    ["preset_item_id = 'item'", 'preset_item_id'],
    ['stream = false', 'stream'],
    ["outcome = 'failed'", 'outcome'],
    ['allow_negative = false', 'allow_negative'],
    ["price_class = 'batch'", 'price_class'],
    ["user_id = 'user'", 'user_id'],
    ["project_id = 'project'", 'project_id'],
    [`tags = '{"team": "other"}'`, 'tags'],
    ["description = 'x'", 'description'],
    ["detail = '{}'", 'detail'],
    ['reference_seq = 1', 'reference_seq'],
    ["actor = 'x'", 'actor'],
    ["occurred_at = occurred_at + interval '1 ms'", 'occurred_at'],
    ["currency = 'EUR'", 'currency'],
    ["type = 'ADJUSTMENT'", 'type'],
    ["status = 'FAILED'", 'status'],
  ];
  const OFFSETS: Readonly<Record<string, number>> = { b: 1, d: 3 };

  for (const [changes, fields, traceId = 'b'] of FIELDS) {
    it(`names the fields of an entry that differ: ${changes}`, async () => {
      await forgery.forge([set(changes, entry('acme', traceId))]);
      expect(briefly(await world.findings())).to.include(`different completed/0/${OFFSETS[traceId]} ${fields}`);
    });
  }
});
