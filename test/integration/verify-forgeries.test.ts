/**
 * Owns: that whatever is changed in a real ledger behind its back, with the triggers disabled, is named; and that a
 * healthy ledger in which everything has happened is found clean.
 */
import { expect } from 'chai';
import { entryHash } from '../../src/ledger/canonical-entry.js';
import type { ProofScope } from '../../src/ledger/postgres/proof-scope.js';
import { pageEntries } from '../../src/ledger/postgres/proof-rows.js';
import { verifyLedger, type VerifyReport } from '../../src/reconciliation/verify-ledger.js';
import { type EventfulLedger, openEventfulLedger } from '../support/eventful-ledger.js';
import { Forgery } from '../support/forgery.js';

const FULL: ProofScope = { kind: 'full' };
const HASH = 'does not have the hash of its content';

describe('verifying a ledger', function () {
  this.timeout(120_000);
  let ledger: EventfulLedger;
  let forgery: Forgery;

  before(async () => {
    ledger = await openEventfulLedger();
    forgery = await Forgery.open(ledger.redrive.world.database);
  });
  after(async () => {
    await forgery.close();
    await ledger.redrive.close();
  });
  afterEach(() => forgery.restore());

  function verify(scope: ProofScope = FULL, problemsMax = 100): Promise<VerifyReport> {
    return verifyLedger(ledger.redrive.world.pool, { scope, problemsMax });
  }

  const messagesOf = ({ problems }: VerifyReport): string[] => problems.map(({ message }) => message);
  const completed = (): string => `usage.completed/${ledger.completions.source.partition}`;
  const batchOfCompletions = (batchNo: number): string =>
    `topic = 'usage.completed' AND partition = ${ledger.completions.source.partition} AND batch_no = ${batchNo}`;
  const entriesOfCompletions = (batchNo: number): string =>
    `batch_id = (SELECT batch_id FROM ledger_batches WHERE ${batchOfCompletions(batchNo)})`;
  const entry = (tenantId: string, seq: number): string => `tenant_id = '${tenantId}' AND seq = ${seq}`;

  it('finds nothing in one in which everything has happened, and tells how much it has looked at', async () => {
    expect(await verify()).to.deep.equal({
      ...{ entries: 33, accounts: 3, chains: 7, batches: 19, anchors: undefined },
      ...{ problemCount: 0, problems: [], firstBadEntry: undefined },
    });
  });

  it('finds nothing in any part of it', async () => {
    for (const tenantId of ['acme', 'bolt', 'corp']) {
      expect(await verify({ kind: 'tenant', tenantId })).to.include({ accounts: 1, problemCount: 0 });
    }
    const topics = { 'usage.completed': 8, 'usage.pending': 11, '~commands': 12, '~redrive': 2 };
    for (const [topic, entries] of Object.entries(topics)) {
      const report = await verify({ kind: 'source', topic, partition: undefined });
      expect(report, topic).to.include({ entries, problemCount: 0 });
    }
  });

  type Forged = readonly [what: string, statements: () => readonly string[], findings: () => readonly string[]];

  function copyOf(of: [string, number], changes: string): string {
    return `INSERT INTO ledger_entries SELECT (jsonb_populate_record(e, jsonb_build_object(${changes}))).*
      FROM ledger_entries e WHERE ${entry(...of)}`;
  }

  /** A twenty-first entry of acme that takes 2 more, and its account brought in line. */
  const insertion = (batchId: string): string[] => [
    copyOf(
      ['acme', 20],
      `'seq', 21, 'trace_id', 'forged', 'batch_id', ${batchId}, 'requests', 0, 'counted_on', null,
       'balance_before', e.balance_after, 'balance_after', e.balance_after - e.amount`,
    ),
    `UPDATE accounts SET seq = 21, balance = balance - 2 WHERE tenant_id = 'acme'`,
  ];
  const renumber = (from: number, to: number): string =>
    `UPDATE ledger_entries SET seq = ${to} WHERE ${entry('acme', from)}`;

  const FORGERIES: readonly Forged[] = [
    [
      'an amount changed',
      () => [`UPDATE ledger_entries SET amount = amount + 1 WHERE ${entry('acme', 8)}`],
      () => [`entry acme#8 ${HASH}`, 'entry acme#8 moves the balance by -3.000000000, its amount says -4.000000000'],
    ],
    [
      'a price changed, which moves no balance',
      () => [`UPDATE ledger_entries SET input_price = 7 WHERE ${entry('acme', 8)}`],
      () => [`entry acme#8 ${HASH}`],
    ],
    [
      'a further meter changed',
      () => [`UPDATE ledger_entries SET meters = meters - 'requests' WHERE ${entry('acme', 9)}`],
      () => [`entry acme#9 ${HASH}`],
    ],
    [
      'an entry deleted',
      () => [`DELETE FROM ledger_entries WHERE ${entry('acme', 9)}`],
      () => [
        'entry acme#9 is missing: #10 does not follow #8',
        `batch ${completed()}#1 sealed 5 entries, the ledger has 4`,
        'hold b of acme (entry #4) has not ended, and is missing from open_holds',
      ],
    ],
    [
      'the last entry of a tenant deleted',
      () => [`DELETE FROM ledger_entries WHERE ${entry('bolt', 7)}`],
      () => [
        'account bolt: balance is -12.000000000, its entries say -10.000000000',
        'account bolt: seq is 7, its entries say 6',
        'batch ~redrive/7#1 sealed 2 entries, the ledger has 1',
        'dead letter usage.completed/',
      ],
    ],
    [
      'an entry inserted with a plausible sequence',
      () => insertion('e.batch_id'),
      () => [`entry acme#21 ${HASH}`, `batch ${completed()}#4 sealed 2 entries, the ledger has 3`],
    ],
    [
      'an entry inserted that claims a batch there is not',
      () => insertion('99999'),
      () => [`entry acme#21 ${HASH}`, 'entry acme#21 is in no sealed batch: there is none with id 99999'],
    ],
    [
      'two entries swapped',
      () => [renumber(8, 99), renumber(9, 8), renumber(99, 9)],
      () => [
        `entry acme#8 ${HASH}`,
        'entry acme#8 starts from balance 97.000000000, the entry before it left 100.000000000',
        `entry acme#9 ${HASH}`,
        'entry acme#10 starts from balance 92.200000000, the entry before it left 97.000000000',
      ],
    ],
    [
      'two entries of a batch moved to each other’s positions',
      () => [
        `UPDATE ledger_entries SET source_offset = 7 - source_offset WHERE ${entry('acme', 19)} OR ${entry('acme', 20)}`,
        `UPDATE ledger_entries SET source_offset = source_offset + 24 WHERE ${entry('acme', 19)} OR ${entry('acme', 20)}`,
      ],
      () => [`entry acme#19 ${HASH}`, `entry acme#20 ${HASH}`, `batch ${completed()}#4 has another Merkle root`],
    ],
    [
      'an entry moved to another batch',
      () => [`UPDATE ledger_entries SET batch_id = 18 WHERE ${entry('acme', 20)}`],
      () => [
        'batch usage.pending/2#2 sealed 2 entries, the ledger has 3',
        `batch ${completed()}#4 sealed 2 entries, the ledger has 1`,
        'entry acme#20 does not have the source, position or time of batch usage.pending/2#2',
      ],
    ],
    [
      'an entry said to be recorded at another time',
      () => [`UPDATE ledger_entries SET recorded_at = recorded_at - interval '1 day' WHERE ${entry('acme', 20)}`],
      () => [`entry acme#20 does not have the source, position or time of batch ${completed()}#4`],
    ],
    [
      'a batch removed from the middle of a chain',
      () => [`DELETE FROM ledger_batches WHERE ${batchOfCompletions(2)}`],
      () => [
        `batch ${completed()}#3 follows batch 1: a batch is missing`,
        `batch ${completed()}#3 starts at offset 9, and nobody accepted the loss from 8 on`,
        'entry bolt#4 is in no sealed batch: there is none with id 6',
      ],
    ],
    [
      'the last batch removed with its entries, and the accounts brought in line',
      () => [
        `DELETE FROM ledger_entries WHERE ${entriesOfCompletions(4)}`,
        `DELETE FROM ledger_batches WHERE ${batchOfCompletions(4)}`,
        `UPDATE accounts SET seq = 18, balance = balance + 4, daily_used = daily_used - 2, monthly_used = monthly_used - 2
         WHERE tenant_id = 'acme'`,
      ],
      () => [
        `the cursor of ${completed()} counts 4 batches, the chain has 3`,
        `the cursor of ${completed()} names another head than the last batch of the chain`,
        `the cursor of ${completed()} is at 17, the last batch ends at 10`,
      ],
    ],
    [
      'a chain removed with its cursor',
      () => [
        `DELETE FROM stream_cursors WHERE topic = '~redrive'`,
        `DELETE FROM ledger_batches WHERE topic = '~redrive'`,
      ],
      () => [
        'entry bolt#6 is in no sealed batch: there is none with id 15',
        'entry bolt#7 is in no sealed batch: there is none with id 15',
        'was redriven as ~redrive/7/0, which no batch covers',
      ],
    ],
    [
      'a cursor removed',
      () => [`DELETE FROM stream_cursors WHERE topic = '~redrive'`],
      () => ['chain ~redrive/7 has 1 batches and no cursor'],
    ],
    [
      'a cursor moved on',
      () => [`UPDATE stream_cursors SET next_offset = 500 WHERE topic = 'usage.completed' AND next_offset = 17`],
      () => [`the cursor of ${completed()} is at 500, the last batch ends at 17`],
    ],
    [
      'the record of an accepted loss removed',
      () => [`DELETE FROM stream_gaps`],
      () => [`batch ${completed()}#4 starts at offset 15, and nobody accepted the loss from 10 on`],
    ],
    [
      'the counts of a batch changed',
      () => [`UPDATE ledger_batches SET duplicates = 5 WHERE ${batchOfCompletions(3)}`],
      () => [`batch ${completed()}#3 ${HASH}`, `batch ${completed()}#3 counts 5 messages between offsets 9 and 10`],
    ],
    [
      'a balance edited',
      () => [`UPDATE accounts SET balance = balance + 0.000000001 WHERE tenant_id = 'bolt'`],
      () => ['account bolt: balance is -11.999999999, its entries say -12.000000000'],
    ],
    [
      'a quota edited',
      () => [`UPDATE accounts SET daily_quota = 5 WHERE tenant_id = 'bolt'`],
      () => ['account bolt: daily_quota is 5, its entries say unlimited'],
    ],
    [
      'a request count edited',
      () => [`UPDATE accounts SET monthly_used = 0 WHERE tenant_id = 'acme'`],
      () => ['account acme: monthly_used is 0, its entries say'],
    ],
    [
      'an account removed',
      () => [`DELETE FROM accounts WHERE tenant_id = 'corp'`],
      () => ['account corp is missing, and has 6 entries'],
    ],
    [
      'an account without entries',
      () => [
        `INSERT INTO accounts SELECT 'ghost', currency, 0, 0, credit_limit, daily_quota, 0, daily_date, monthly_quota, 0,
           monthly_month, hold_policy, 0 FROM accounts WHERE tenant_id = 'acme'`,
      ],
      () => ['account ghost has no entry'],
    ],
    [
      'a hold forgotten',
      () => [`DELETE FROM open_holds WHERE trace_id = 'f'`],
      () => ['hold f of acme (entry #17) has not ended, and is missing from open_holds'],
    ],
    [
      'a hold edited',
      () => [`UPDATE open_holds SET amount = 0.5, counted_on = NULL WHERE trace_id = 'f'`],
      () => [
        'hold f of acme is 0.500000000 in open_holds, its entry #17 holds 1.000000000',
        'hold f of acme counts on null in open_holds, its entry #17 on 2026-03-15',
      ],
    ],
    [
      'a hold invented',
      () => [
        `INSERT INTO open_holds SELECT 'acme', 'forged', amount, counted_on, expires_at FROM open_holds WHERE trace_id = 'f'`,
        `INSERT INTO open_holds SELECT 'ghost', 'forged', amount, counted_on, expires_at FROM open_holds WHERE trace_id = 'f'`,
      ],
      () => [
        'hold forged of acme is in open_holds, but no entry holds it open',
        'open_holds has holds of ghost, which has no entry',
      ],
    ],
    [
      'a command removed',
      () => [`DELETE FROM ledger_commands WHERE key = 'refund'`],
      () => ['entry acme#11 names an actor, and no command made it'],
    ],
    [
      'a command turned to an entry there is not, and another to somebody else',
      () => [
        `UPDATE ledger_commands SET seq = 77 WHERE key = 'refund'`,
        `UPDATE ledger_commands SET actor = 'nobody' WHERE key = 'adjust'`,
      ],
      () => [
        'command refund of acme names entry #77, which does not exist',
        'command adjust of acme differs from its entry #12 in actor, batch or time',
        'entry acme#11 names an actor, and no command made it',
      ],
    ],
    [
      'a dead letter, a skipped event and a parked completion removed',
      () => [
        `DELETE FROM dead_letters WHERE reason = 'INVALID_JSON'`,
        `DELETE FROM skipped_events`,
        `DELETE FROM unpriced_usage`,
      ],
      () => [
        `batch ${completed()}#1 counts dead letters: 1, the ledger has 0`,
        `batch ${completed()}#1 counts skipped events: 1, the ledger has 0`,
        `batch ${completed()}#1 counts parked completions: 1, the ledger has 0`,
      ],
    ],
    [
      'a skipped event moved to another offset',
      () => [`UPDATE skipped_events SET kafka_offset = 400`],
      () => [`skipped event ${completed()}/400 does not have the source, position or time of its batch`],
    ],
    [
      'a discarded dead letter opened again, and the record of a redrive changed',
      () => [
        `UPDATE dead_letters SET redrive_state = 'open' WHERE redrive_state = 'discarded'`,
        `UPDATE dead_letter_actions SET trace_id = 'forged' WHERE trace_id = 'bolt-0'`,
      ],
      () => [
        'is open, its record says discarded',
        'was redriven and charged, and trace forged of bolt has no such entry',
      ],
    ],
    [
      'the tokens of a parked completion changed before it is priced',
      () => [`UPDATE unpriced_usage SET event = jsonb_set(event, '{usage,outputTokens}', '2')`],
      () => [`parked completion ${completed()}/7 (trace parked of acme) ${HASH}`],
    ],
    [
      'the meters of a parked completion changed',
      () => [`UPDATE unpriced_usage SET meters = '{requests}'`],
      () => [`parked completion ${completed()}/7 (trace parked of acme) ${HASH}`],
    ],
    [
      'the bytes, the key, the headers and the reason of a dead letter changed, one by one',
      () => [
        `UPDATE dead_letters SET message_value = 'another' WHERE reason = 'INVALID_JSON'`,
        `UPDATE dead_letters SET message_key = 'another' WHERE kafka_offset = 1 AND reason = 'OCCURRED_AT_TOO_OLD'`,
        `UPDATE dead_letters SET headers = '{"x":[]}' WHERE kafka_offset = 2 AND reason = 'OCCURRED_AT_TOO_OLD'`,
        `UPDATE dead_letters SET detail = 'another' WHERE kafka_offset = 0 AND reason = 'OCCURRED_AT_TOO_OLD'`,
      ],
      () => [
        `dead letter ${completed()}/5 ${HASH}`,
        '/1 (trace bolt-1 of bolt)',
        '/2 (trace bolt-2 of bolt)',
        '/0 (trace',
      ],
    ],
    [
      'the event and the reason of a skipped event changed',
      () => [`UPDATE skipped_events SET event = event || '{"model":"another"}', reason = 'internal'`],
      () => [`skipped event ${completed()}/6 (trace internal of acme) ${HASH}`],
    ],
    [
      'a parked completion changed together with its hash',
      () => [`UPDATE unpriced_usage SET meters = '{requests}', row_hash = sha256('another')`],
      () => [`batch ${completed()}#1 has another root than the hashes of what it set aside`],
    ],
    [
      'a root over what a batch never set aside',
      () => [`UPDATE ledger_batches SET aside_root = sha256('another') WHERE ${batchOfCompletions(2)}`],
      () => [`batch ${completed()}#2 set nothing aside, and has a root over something`],
    ],
    [
      'the key of a command, and the content of another changed',
      () => [
        `UPDATE ledger_commands SET key = 'another' WHERE key = 'refund'`,
        `UPDATE ledger_commands SET content = content || '{"amount":"9.000000000"}' WHERE key = 'adjust'`,
        `UPDATE ledger_commands SET kind = 'credit' WHERE key = 'limits'`,
      ],
      () => [
        'command another of acme is not the one that its entry #11 covers',
        'command adjust of acme is not the one that its entry #12 covers',
        'command limits of acme is not the one that its entry #13 covers',
      ],
    ],
  ];

  for (const [what, statements, findings] of FORGERIES) {
    it(`names ${what}`, async () => {
      await forgery.forge(statements());
      const report = await verify();
      const messages = messagesOf(report);
      for (const finding of findings()) {
        expect(
          messages.filter((message) => message.includes(finding)),
          `${finding}\n\n${messages.join('\n')}`,
        ).to.not.be.empty;
      }
      expect(report.problemCount).to.equal(messages.length);
      await forgery.restore();
      expect((await verify()).problemCount, 'and nothing once it is undone').to.equal(0);
    });
  }

  it('names the batch of an entry that was changed together with its hash', async () => {
    const [stored] = await pageEntries(ledger.redrive.world.pool, { tenantId: 'acme', seq: 7 }, 1);
    const hash = entryHash({ ...stored!.entry, description: 'forged' });
    await forgery.forge([
      `UPDATE ledger_entries SET description = 'forged', entry_hash = '\\x${hash}' WHERE ${entry('acme', 8)}`,
    ]);
    expect(messagesOf(await verify())).to.deep.equal([
      `batch ${completed()}#1 has another Merkle root than its entries`,
    ]);
  });

  it('names the first bad entry by tenant and seq, keeps as many findings as asked, and counts all', async () => {
    await forgery.forge([`UPDATE ledger_entries SET description = 'forged' WHERE seq > 2`]);
    const report = await verify(FULL, 3);
    expect(report.firstBadEntry).to.deep.equal({ tenantId: 'acme', seq: 3 });
    expect(messagesOf(report)).to.deep.equal([3, 4, 5].map((seq) => `entry acme#${seq} ${HASH}`));
    expect(report.problemCount).to.equal(18 + 5 + 4);
  });

  it('of a tenant names what was changed of the tenant, in its entries, its batches and its chains', async () => {
    await forgery.forge([
      `UPDATE ledger_entries SET amount = 9 WHERE ${entry('acme', 20)}`,
      `UPDATE ledger_batches SET sealed_at = sealed_at + interval '1 second' WHERE ${batchOfCompletions(2)}`,
    ]);
    expect(messagesOf(await verify({ kind: 'tenant', tenantId: 'acme' }))).to.include.members([
      `entry acme#20 ${HASH}`,
      `batch ${completed()}#2 ${HASH}`,
    ]);
    expect(await verify({ kind: 'tenant', tenantId: 'corp' })).to.deep.include({
      entries: 6,
      firstBadEntry: undefined,
    });
  });

  it('of a source names what was changed of the source, and what claims to come from it', async () => {
    await forgery.forge([
      `UPDATE ledger_entries SET amount = 9 WHERE ${entry('acme', 20)}`,
      copyOf(['acme', 3], `'seq', 30, 'trace_id', 'forged', 'batch_id', 777`),
    ]);
    const { partition } = ledger.completions.source;
    expect(messagesOf(await verify({ kind: 'source', topic: 'usage.completed', partition }))).to.deep.equal([
      `entry acme#20 ${HASH}`,
    ]);
    expect(messagesOf(await verify({ kind: 'source', topic: 'usage.pending', partition: undefined }))).to.deep.equal([
      `entry acme#30 ${HASH}`,
      'entry acme#30 is in no sealed batch: there is none with id 777',
    ]);
  });

  it('waits for no lock but that of someone who changes the tables themselves', async () => {
    const client = await forgery.owner.connect();
    try {
      await client.query('BEGIN');
      await client.query(
        'LOCK TABLE ledger_entries, ledger_batches, accounts, open_holds, stream_cursors IN EXCLUSIVE MODE',
      );
      expect(await verify()).to.include({ entries: 33, problemCount: 0 });
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  });
});
