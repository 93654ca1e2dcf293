/**
 * Owns: recomputing accounts from their entries on real servers: silent on what is right, also while it moves; every field
 * that somebody changed reported and put right, the hash with it; a ledger that contradicts itself named and left alone.
 */
import { expect } from 'chai';
import type pg from 'pg';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { type AccountDrift, type AccountRebuild, rebuildAccounts } from '../../src/reconciliation/rebuild-accounts.js';
import { expectAtRest } from '../support/at-rest.js';
import { TenantOfWorld } from '../support/command-samples.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { documentIn, manyTenants, repeatDuring, runIn, startIn } from '../support/rebuild-samples.js';
import { waitUntil } from '../support/wait-until.js';
import { wireCompleted } from '../support/wire-usage.js';

const ALL = { kind: 'all', after: '' } as const;

describe('rebuilding accounts', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let tenant: TenantOfWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  beforeEach(async () => {
    tenant = new TenantOfWorld(world);
    await world.credit(tenant.tenantId, '10');
    await tenant.completed('a', 4);
    await tenant.pending('b', 2);
    await world.project([tenant.tenantId]);
  });
  after(() => world.close());

  interface Findings extends AccountRebuild {
    readonly drifts: AccountDrift[];
    readonly problems: string[];
  }

  async function rebuild(isDryRun: boolean): Promise<Findings> {
    const drifts: AccountDrift[] = [];
    const problems: string[] = [];
    const result = await rebuildAccounts(world.pool, {
      ...{ scope: ALL, isDryRun },
      onDrift: (drift) => {
        drifts.push(drift);
        return Promise.resolve();
      },
      onProblem: (problem) => problems.push(problem),
    });
    return { ...result, drifts, problems };
  }

  function spoil(change: string): Promise<void> {
    return world.asOwner(`UPDATE accounts SET ${change} WHERE tenant_id = '${tenant.tenantId}'`);
  }

  const EDITS: readonly (readonly [string, readonly string[]])[] = [
    ['balance = 1000', ['balance is 1000.000000000; its entries up to 4 say 6.000000000']],
    ['held = 0', ['held is 0.000000000; its entries up to 4 say 2.000000000']],
    ['credit_limit = 5', ['credit_limit is 5.000000000; its entries up to 4 say 0.000000000']],
    [
      'daily_quota = 1, monthly_quota = 2',
      ['daily_quota is 1; its entries up to 4 say unlimited', 'monthly_quota is 2; its entries up to 4 say unlimited'],
    ],
    [
      `daily_used = 0, daily_date = '2026-03-14'`,
      ['daily_used is 0; its entries up to 4 say 2', 'daily_date is 2026-03-14; its entries up to 4 say 2026-03-15'],
    ],
    [
      `monthly_used = 9, monthly_month = '2026-02'`,
      ['monthly_used is 9; its entries up to 4 say 2', 'monthly_month is 2026-02; its entries up to 4 say 2026-03'],
    ],
    [`past_counts = '4,0,1|'`, ['past_counts is 4,0,1|; its entries up to 4 say |']],
    [
      `hold_policy = 'none', currency = 'EUR'`,
      ['currency is EUR; its entries up to 4 say USD', 'hold_policy is none; its entries up to 4 say estimate'],
    ],
    ['seq = 3', ['seq is 3; its entries up to 4 say 4']],
    ['seq = 9', ['seq is 9; its entries up to 4 say 4']],
  ];
  for (const [change, expected] of EDITS) {
    it(`reports an account with ${change} as a dry run without a change, and puts it right without`, async () => {
      const { tenantId } = tenant;
      await spoil(change);
      const edited = await world.account(tenantId);
      const { drifts } = await rebuild(true);
      const found = drifts.flatMap(({ seq, differences }) => differences.map((each) => ({ seq, ...each })));
      expect(
        found.map((each) => `${each.field} is ${each.found}; its entries up to ${each.seq} say ${each.expected}`),
      ).to.have.members([...expected]);
      expect(await world.account(tenantId)).to.deep.equal(edited);
      expect((await rebuild(false)).drifts).to.deep.equal(drifts);
      expect((await rebuild(true)).drifts).to.deep.equal([]);
      await expectAtRest(world, [tenantId]);
    });
  }

  it('on the command line shows what differs as a dry run, and sets the hash anew with the account without', async () => {
    const { tenantId } = tenant;
    await spoil('balance = 1000, daily_used = 0');
    await world.server.redis.del(quotaKeys(world.server.prefix, tenantId).quota);
    await world.project([tenantId]);
    const dry = await runIn(world, 'rebuild', '--tenant', tenantId, '--accounts', '--dry-run');
    expect(dry.exitCode, dry.stderr).to.equal(1);
    expect(dry.stdout).to.match(/^1 accounts recomputed from 4 entries in [\d.]+ s \(\d+\/s\): 1 differ$/m);
    expect(dry.stdout.split('\n').slice(0, -2)).to.have.members([
      `${tenantId}: balance is 1000.000000000; its entries up to 4 say 6.000000000`,
      `${tenantId}: daily_used is 0; its entries up to 4 say 2`,
    ]);
    expect(await world.hash(tenantId)).to.include({ balance: '1000000000000', daily_used: '0' });
    const { document, exitCode } = await documentIn(world, 'rebuild', '--tenant', tenantId, '--accounts');
    expect(exitCode).to.equal(0);
    expect(document).to.include({ dryRun: false, accounts: 1, entries: 4, differing: 1, mended: 1, unmendable: 0 });
    expect(await world.hash(tenantId)).to.include({ balance: '6000000000', daily_used: '2' });
    await expectAtRest(world, [tenantId]);
  });

  it('finds nothing in a ledger that is right, and tells how much it has folded', async () => {
    const proof = await proveAccounts(world.pool);
    const { accounts, entries, drifts, problems, next } = await rebuild(false);
    expect({ accounts, entries, drifts, problems, next }).to.deep.equal({
      ...{ accounts: proof.accounts, entries: proof.entries, drifts: [], problems: [], next: null },
    });
  });

  it('makes an account that is gone anew', async () => {
    const { tenantId } = tenant;
    const before = await world.account(tenantId);
    await world.asOwner(`DELETE FROM accounts WHERE tenant_id = '${tenantId}'`);
    const { stdout, exitCode } = await runIn(world, 'rebuild', '--all', '--accounts');
    expect(exitCode).to.equal(0);
    expect(stdout).to.include(`${tenantId}: account is missing; its entries up to 4 say the fold of 4 entries\n`);
    expect(await world.account(tenantId)).to.deep.equal(before);
    await tenant.completed('c', 1);
    await expectAtRest(world, [tenantId]);
  });

  it('names an account without entries, and entries that contradict themselves or each other, and leaves them alone', async () => {
    const { tenantId } = tenant;
    await world.asOwner(
      'ALTER TABLE ledger_entries DISABLE TRIGGER USER',
      `INSERT INTO accounts SELECT 'ghost', currency, 0, 0, 0, null, 0, daily_date, null, 0, monthly_month, hold_policy, 0
       FROM accounts WHERE tenant_id = '${tenantId}'`,
      `UPDATE ledger_entries SET amount = 5 WHERE tenant_id = '${tenantId}' AND seq = 3`,
    );
    const { stdout, exitCode } = await runIn(world, 'rebuild', '--all', '--accounts');
    expect(exitCode).to.equal(1);
    expect(stdout).to.include('account ghost has no entry it could come from\n');
    expect(stdout).to.include(
      `account ${tenantId} cannot be recomputed: entry ${tenantId}#3 moves the balance by -4.000000000, its amount says -5.000000000\n`,
    );
    await world.asOwner(`UPDATE ledger_entries SET amount = 4 WHERE tenant_id = '${tenantId}' AND seq = 3`);
    await world.asOwner(`DELETE FROM ledger_entries WHERE tenant_id = '${tenantId}' AND seq = 3`);
    const { problems, drifts } = await rebuild(false);
    expect(problems.find((problem) => problem.includes(tenantId))).to.include(
      `entry ${tenantId}#4 does not follow ${tenantId}#2`,
    );
    expect(drifts).to.deep.equal([]);
    await world.asOwner(
      `DELETE FROM open_holds WHERE tenant_id = '${tenantId}'`,
      `DELETE FROM ledger_entries WHERE tenant_id = '${tenantId}'`,
      `DELETE FROM accounts WHERE tenant_id IN ('ghost', '${tenantId}')`,
      'ALTER TABLE ledger_entries ENABLE TRIGGER USER',
    );
  });

  it('raises no false alarm and changes nothing while the accounts it folds are charged all the time', async () => {
    const tenantIds = await manyTenants(world, 'busy', 20);
    const charging = (async (): Promise<void> => {
      const stream = world.stream('completed');
      for (let round = 0; round < 80; round += 1) {
        const events = tenantIds.map((tenantId) =>
          wireCompleted({ tenantId, traceId: `r-${round}`, fields: { stream: true } }),
        );
        await world.protocol().charge(stream.chunk(events));
      }
    })();
    const rebuilds = await repeatDuring(charging, async () => {
      const { drifts, problems } = await rebuild(false);
      expect([drifts, problems]).to.deep.equal([[], []]);
    });
    expect(rebuilds).to.be.greaterThan(5);
    await expectAtRest(world, tenantIds);
  });

  it('waits for a writer of the tenant and compares at the entry it then finds', async () => {
    const { tenantId } = tenant;
    await spoil('monthly_used = 7');
    let running: Promise<Findings> | undefined;
    await withLocked(tenantId, async (client) => {
      running = rebuild(false);
      await untilSomebodyWaits();
      await client.query('UPDATE accounts SET monthly_used = 2 WHERE tenant_id = $1', [tenantId]);
    });
    expect((await running)?.drifts).to.deep.equal([]);
  });

  /** Does something while the account of a tenant is locked; what it changes there is committed. */
  async function withLocked(tenantId: string, work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
    const client = await world.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT FROM accounts WHERE tenant_id = $1 FOR UPDATE', [tenantId]);
      await work(client);
      await client.query('COMMIT');
    } finally {
      // Closed, so that nobody waits for the lock of a test that has failed.
      client.release(true);
    }
  }

  /** Since pg_stat_activity tells the application role nothing of others, their locks are looked at. */
  async function untilSomebodyWaits(): Promise<void> {
    await waitUntil('somebody waits for a lock', async () => {
      const waiting = await world.rows(
        `SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()`,
      );
      return waiting.length > 0;
    });
  }

  it('stopped by a signal finishes its page, says how to go on, and a second run does the rest', async () => {
    await manyTenants(world, 'crowd', 450);
    await world.asOwner(`UPDATE accounts SET daily_used = 9 WHERE tenant_id IN ('crowd-0000', 'crowd-0449')`);
    const command = startIn(world, 'rebuild', '--all', '--accounts');
    await withLocked('crowd-0000', async () => {
      await untilSomebodyWaits();
      command.kill('SIGINT');
    });
    const { exitCode, stdout, stderr } = await command.result;
    expect(exitCode).to.equal(1);
    expect(stdout).to.include('crowd-0000: daily_used is 9; its entries up to 2 say 1\n').and.not.include('crowd-0449');
    const [, last = ''] = /go on with: tollbook rebuild --all --after (\S+) --accounts\n/.exec(stderr) ?? [];
    expect(last, stderr).to.match(/^crowd-0\d+$/);
    const rest = await documentIn(world, 'rebuild', '--all', '--accounts', '--after', last);
    expect(rest.document).to.include({ differing: 1, mended: 1, complete: true });
    expect((await proveAccounts(world.pool)).problems).to.deep.equal([]);
  });

  it('of a tenant that has neither an account nor an entry is refused', async () => {
    const { exitCode, stderr } = await runIn(world, 'rebuild', '--tenant', 'nobody', '--accounts');
    expect(exitCode).to.equal(1);
    expect(stderr).to.include('ACCOUNT_UNKNOWN: tenant nobody has no account');
  });
});
