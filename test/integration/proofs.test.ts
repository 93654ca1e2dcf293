/** The proofs on real servers: silent on a healthy ledger, and each fault named, whoever made it. */
import { expect } from 'chai';
import type pg from 'pg';
import { entryHash } from '../../src/ledger/entry.js';
import { PostgresLedgerReader } from '../../src/ledger/postgres/postgres-ledger-reader.js';
import { pageEntries } from '../../src/ledger/postgres/proof-rows.js';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { proveProjections } from '../../src/reconciliation/projection-proof.js';
import { createPostgresPool } from '../../src/runtime/postgres.js';
import { expectAtRest } from '../support/at-rest.js';
import { batchOf, ProtocolWorld, type TestStream } from '../support/protocol-world.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

const TENANTS = ['acme', 'bolt'];

describe('the proofs', () => {
  let world: ProtocolWorld;
  /** Acts as the owner of the tables, on one connection, so that what a test forges is rolled back after it. */
  let owner: pg.Pool;
  let completions: TestStream;

  before(async () => {
    world = await ProtocolWorld.open();
    owner = createPostgresPool({ url: world.database.url, role: '', applicationName: 'forger', connectionsMax: 1 });
    completions = world.stream('completed');
    const pendings = world.stream('pending');
    for (const tenantId of TENANTS) await world.credit(tenantId, '100');
    for (const traceId of ['a', 'b', 'c']) {
      await world
        .protocol()
        .charge(pendings.chunk(TENANTS.map((tenantId) => wirePending({ tenantId, traceId, units: 9 }))));
    }
    for (const [index, traceId] of ['a', 'b', 'd'].entries()) {
      const events = TENANTS.map((tenantId) => wireCompleted({ tenantId, traceId, units: index + 1 }));
      batchOf(await world.protocol().charge(completions.chunk(events)));
    }
    await expectAtRest(world, TENANTS);
  });
  after(async () => {
    await owner.end();
    await world.close();
  });

  async function problems(): Promise<string[]> {
    const reader = new PostgresLedgerReader(owner);
    return [
      ...(await proveChains(owner)).problems,
      ...(await proveAccounts(owner)).problems,
      ...(await proveProjections(reader, world.scripts)).problems,
    ];
  }

  /** What the proofs find after the owner has switched the triggers off and run some statements. */
  async function problemsAfter(...statements: string[]): Promise<string[]> {
    await owner.query('BEGIN');
    try {
      for (const table of ['ledger_entries', 'ledger_batches'])
        await owner.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
      for (const statement of statements) expect((await owner.query(statement)).rowCount, statement).to.be.at.least(1);
      return await problems();
    } finally {
      await owner.query('ROLLBACK');
    }
  }

  const batchName = (batchNo: number): string => `batch usage.completed/${completions.source.partition}#${batchNo}`;
  const ofCompletions = (batchNo: number): string =>
    `topic = 'usage.completed' AND partition = ${completions.source.partition} AND batch_no = ${batchNo}`;
  const entriesOfCompletions = (batchNo: number): string =>
    `batch_id = (SELECT batch_id FROM ledger_batches WHERE ${ofCompletions(batchNo)})`;

  it('are silent on a healthy ledger and tell how much they have looked at', async () => {
    expect(await proveChains(world.pool)).to.deep.include({ batches: 8, entries: 16, problems: [] });
    expect(await proveAccounts(world.pool)).to.deep.equal({
      accounts: 2,
      entries: 16,
      ledgerTotal: '12.000000000',
      problems: [],
    });
    const projections = await proveProjections(world.reader, world.scripts);
    expect(projections).to.deep.equal({ hashes: 2, drift: 0, inFlight: 0, problems: [] });
  });

  type Forgery = readonly [fault: string, statements: () => readonly string[], findings: () => readonly string[]];

  const FORGERIES: readonly Forgery[] = [
    [
      'a changed amount',
      () => [`UPDATE ledger_entries SET amount = amount + 1 WHERE tenant_id = 'acme' AND seq = 6`],
      () => [
        'entry acme#6 does not have the hash of its content',
        'entry acme#6 moves the balance by',
        `${batchName(1)} has another Merkle root`,
      ],
    ],
    [
      'a changed price, which moves no balance',
      () => [`UPDATE ledger_entries SET input_price = 7 WHERE tenant_id = 'acme' AND seq = 6`],
      () => ['entry acme#6 does not have the hash of its content'],
    ],
    [
      'a deleted entry',
      () => [`DELETE FROM ledger_entries WHERE tenant_id = 'acme' AND seq = 6`],
      () => [`${batchName(1)} sealed 2 entries, the ledger has 1`, 'entry acme#7 does not follow acme#5'],
    ],
    [
      'a deleted last entry',
      () => [`DELETE FROM ledger_entries WHERE tenant_id = 'acme' AND seq = 8`],
      () => [`${batchName(3)} sealed 2 entries, the ledger has 1`, 'account acme: seq is 8, its entries say 7'],
    ],
    [
      'an inserted entry',
      () => [copyOfLast('batch_id'), `UPDATE accounts SET seq = 9, balance = balance - 3 WHERE tenant_id = 'acme'`],
      () => [
        `${batchName(3)} sealed 2 entries, the ledger has 3`,
        'entry acme#9 does not have the hash of its content',
      ],
    ],
    [
      'an inserted entry that claims to be of a batch there is not, with its account brought in line',
      () => [copyOfLast('99999'), `UPDATE accounts SET seq = 9, balance = balance - 3 WHERE tenant_id = 'acme'`],
      () => ['entry acme#9 is in no sealed batch'],
    ],
    [
      'two entries swapped',
      () => [renumber(6, 9), renumber(7, 6), renumber(9, 7)],
      () => ['entry acme#6 does not have the hash of its content', 'entry acme#6 does not follow acme#5'],
    ],
    [
      'a batch removed from the middle of a chain',
      () => [`DELETE FROM ledger_batches WHERE ${ofCompletions(2)}`],
      () => [`${batchName(3)} follows batch 1: a batch is missing`, 'entry acme#7 is in no sealed batch'],
    ],
    [
      'the last batch removed with its entries, and the accounts brought in line',
      () => [
        `DELETE FROM ledger_entries WHERE ${entriesOfCompletions(3)}`,
        `DELETE FROM ledger_batches WHERE ${ofCompletions(3)}`,
        `UPDATE accounts SET seq = 7, balance = balance + 3, daily_used = daily_used - 1, monthly_used = monthly_used - 1`,
      ],
      () => [
        `the cursor of usage.completed/${completions.source.partition} counts 3 batches, the chain has 2`,
        `the cursor of usage.completed/${completions.source.partition} names another head`,
      ],
    ],
    [
      'a chain removed with its cursor',
      () => [
        `DELETE FROM stream_cursors WHERE topic = 'usage.completed'`,
        `DELETE FROM ledger_batches WHERE topic = 'usage.completed'`,
      ],
      () => ['entry acme#6 is in no sealed batch', 'entry bolt#8 is in no sealed batch'],
    ],
    [
      'changed counts of a batch',
      () => [`UPDATE ledger_batches SET duplicates = 5 WHERE ${ofCompletions(2)}`],
      () => [`${batchName(2)} does not have the hash of its content`],
    ],
    [
      'an edited balance',
      () => [`UPDATE accounts SET balance = balance + 0.000000001 WHERE tenant_id = 'bolt'`],
      () => [
        'account bolt: balanceNano is 94000000001, its entries say 94000000000',
        'quota hash of bolt differs from its account in balanceNano',
      ],
    ],
    [
      'an edited quota',
      () => [`UPDATE accounts SET daily_quota = 5 WHERE tenant_id = 'bolt'`],
      () => ['account bolt: dailyQuota is 5, its entries say null'],
    ],
    [
      'a forgotten hold',
      () => [`DELETE FROM open_holds WHERE tenant_id = 'acme'`],
      () => ['account acme holds 9.000000000, its open holds add up to 0'],
    ],
    [
      'an account without entries',
      () => [
        `INSERT INTO accounts SELECT 'ghost', currency, 0, 0, credit_limit, daily_quota, 0, daily_date, monthly_quota, 0, monthly_month, hold_policy, 0 FROM accounts WHERE tenant_id = 'acme'`,
      ],
      () => ['account ghost has no entry'],
    ],
  ];

  function copyOfLast(batchId: string): string {
    return `INSERT INTO ledger_entries SELECT (jsonb_populate_record(e, jsonb_build_object('seq', 9, 'trace_id', 'forged',
      'batch_id', ${batchId}, 'requests', 0, 'counted_on', null, 'balance_before', e.balance_after,
      'balance_after', e.balance_after - e.amount))).* FROM ledger_entries e WHERE tenant_id = 'acme' AND seq = 8`;
  }

  function renumber(from: number, to: number): string {
    return `UPDATE ledger_entries SET seq = ${to} WHERE tenant_id = 'acme' AND seq = ${from}`;
  }

  for (const [fault, statements, findings] of FORGERIES) {
    it(`name ${fault}`, async () => {
      const found = await problemsAfter(...statements());
      for (const finding of findings())
        expect(
          found.filter((problem) => problem.includes(finding)),
          found.join('\n'),
        ).to.have.length(1);
      expect(await problems(), 'and nothing once it is undone').to.deep.equal([]);
    });
  }

  it('name the batch of an entry that was changed together with its hash', async () => {
    const [stored] = await pageEntries(owner, { tenantId: 'acme', seq: 5 }, 1);
    const forged = { ...stored!.entry, description: 'forged' };
    const hash = entryHash(forged);
    const found = await problemsAfter(
      `UPDATE ledger_entries SET description = 'forged', entry_hash = '\\x${hash}' WHERE tenant_id = 'acme' AND seq = 6`,
    );
    expect(found).to.deep.equal([`${batchName(1)} has another Merkle root than its entries`]);
  });

  it('name an edited, a half-deleted and a missing quota hash', async () => {
    const { quota } = quotaKeys(world.server.prefix, 'acme');
    await world.server.redis.hincrby(quota, 'balance', 1);
    expect(await problems()).to.deep.equal(['quota hash of acme differs from its account in balanceNano']);
    await world.server.redis.hset(quota, { held: '0', daily_used: '99' });
    expect(await problems()).to.deep.equal([
      'quota hash of acme differs from its account in balanceNano, heldNano, dailyUsed',
    ]);
    await world.server.redis.del(quota);
    expect(await problems()).to.deep.equal([
      'quota hash of acme differs from its account in everything: it is missing',
    ]);
    await expectAtRest(world, TENANTS);
  });

  it('name an item forged into flight', async () => {
    const delta = {
      availableNano: 5n,
      checkBalance: false,
      requests: 0 as const,
      checkQuota: false,
      day: '2026-03-15',
    };
    const seq = (await world.account('acme'))!.seq;
    const forged = { tenantId: 'acme', ledgerSeq: seq, items: [{ traceId: 'forged', phase: 'c' as const, delta }] };
    await world.scripts.deduct([forged], world.clock.nowMs());
    expect(await problems()).to.deep.equal(['1 items are still in flight']);
    await world.server.redis.del(quotaKeys(world.server.prefix, 'acme').inflight);
  });
});
