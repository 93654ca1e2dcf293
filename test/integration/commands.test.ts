/** Owns: every command on a real PostgreSQL: booked, sent again, with a reused key, many at once, and refused. */
import { expect } from 'chai';
import type { LedgerCommand } from '../../src/ledger/commands/command.js';
import { commandSource } from '../../src/ledger/commands/command-stream.js';
import { parseAmount } from '../../src/ledger/money.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { expectAtRest } from '../support/at-rest.js';
import { type CommandChoices, commandOf, failureOf, rowCounts, TenantOfWorld } from '../support/command-samples.js';
import { crashingBeforeCommit } from '../support/failing-store.js';
import { type EntryText, ProtocolWorld } from '../support/protocol-world.js';

const units = parseAmount;

interface Sample {
  readonly command: CommandChoices;
  /** What the tenant has before; nothing but an account with 10 units when absent. */
  readonly before?: (tenant: TenantOfWorld) => Promise<void>;
  readonly entry: Partial<EntryText>;
}

const failed = (tenant: TenantOfWorld): Promise<void> => tenant.completed('trace-1', 11);

/** Each command once, on a tenant with 10 units whose opening and credit are entries 1 and 2. */
const SAMPLES: readonly Sample[] = [
  {
    command: { kind: 'credit', amountNano: units('5') },
    entry: { type: 'CREDIT', status: 'COMMITTED', amount: '5.000000000', balance_after: '15.000000000' },
  },
  {
    command: { kind: 'adjust', amountNano: units('-12.5') },
    entry: { type: 'ADJUSTMENT', status: 'COMMITTED', amount: '-12.500000000', balance_after: '-2.500000000' },
  },
  {
    command: { kind: 'limits', terms: { dailyQuota: 5, monthlyQuota: null, creditLimitNano: units('1') } },
    entry: {
      type: 'LIMITS',
      detail: { credit_limit: '1.000000000', daily_quota: '5', monthly_quota: 'unlimited', hold_policy: 'estimate' },
    },
  },
  {
    command: { kind: 'refund', of: { traceId: 'trace-1' } },
    before: (tenant) => tenant.completed('trace-1', 4),
    entry: { type: 'REFUND', status: 'COMMITTED', amount: '4.000000000', balance_after: '10.000000000', requests: -1 },
  },
  {
    command: { kind: 'refund', of: { seq: 3 }, amountNano: units('1.5') },
    before: (tenant) => tenant.completed('trace-1', 4),
    entry: { type: 'REFUND', status: 'COMMITTED', amount: '1.500000000', balance_after: '7.500000000', requests: 0 },
  },
  {
    command: { kind: 'collect', traceId: 'trace-1', allowNegative: true },
    before: failed,
    entry: {
      ...{ type: 'DEDUCT', status: 'COMMITTED', trace_id: 'trace-1' },
      ...{ amount: '11.000000000', balance_after: '-1.000000000', requests: 1, counted_on: '2026-03-15' },
    },
  },
  {
    command: { kind: 'void', traceId: 'trace-1' },
    before: (tenant) => tenant.pending('trace-1', 4),
    entry: {
      ...{ type: 'DEDUCT', status: 'VOIDED', trace_id: 'trace-1', amount: '4.000000000', held_after: '0.000000000' },
      ...{ requests: -1, counted_on: '2026-03-15' },
    },
  },
];

describe('the commands of the ledger', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  async function funded({ before }: Pick<Sample, 'before'> = {}): Promise<TenantOfWorld> {
    const tenant = new TenantOfWorld(world);
    await tenant.book({ kind: 'credit', amountNano: units('10') });
    await before?.(tenant);
    return tenant;
  }

  for (const sample of SAMPLES) {
    const name = `${sample.command.kind} (${Object.keys(sample.command).slice(1).join(', ')})`;

    it(`${name} becomes one entry, sealed and projected like usage`, async () => {
      const tenant = await funded(sample);
      const { outcome, entry } = await tenant.book(sample.command);
      const last = (await world.entries(tenant.tenantId)).at(-1);
      expect(outcome).to.equal('booked');
      expect(last).to.deep.include({ ...sample.entry, seq: String(entry.seq), description: 'by hand' });
      expect(entry.source).to.deep.include(commandSource(tenant.tenantId));
      await expectAtRest(world, [tenant.tenantId]);
    });

    it(`${name} sent again returns the first entry and writes nothing`, async () => {
      const tenant = await funded(sample);
      const command = commandOf(tenant.tenantId, sample.command);
      const first = await world.command(command);
      await tenant.book({ kind: 'credit', amountNano: units('1') });
      const before = await rowCounts(world);
      expect(await world.command(command)).to.deep.equal({ outcome: 'repeated', entry: first.entry });
      expect(await rowCounts(world)).to.deep.equal(before);
    });

    it(`${name} with a key that another command has used is refused and writes nothing`, async () => {
      const tenant = await funded(sample);
      await tenant.book({ kind: 'credit', amountNano: units('1') }, 'taken');
      const before = await rowCounts(world);
      const error = await failureOf(tenant.book(sample.command, 'taken'));
      expect(error.code).to.equal('IDEMPOTENCY_KEY_REUSED');
      expect(error.message).to.include(sample.command.kind === 'credit' ? 'amount was' : 'kind was "credit"');
      expect(await rowCounts(world)).to.deep.equal(before);
    });

    it(`${name} sent by eight callers at once becomes one entry`, async () => {
      const tenant = await funded(sample);
      const before = (await world.entries(tenant.tenantId)).length;
      const command = commandOf(tenant.tenantId, sample.command);
      const results = await Promise.all(Array.from({ length: 8 }, () => world.command(command)));
      expect(results.filter(({ outcome }) => outcome === 'booked')).to.have.length(1);
      expect(new Set(results.map(({ entry }) => entry.seq)).size).to.equal(1);
      expect(await world.entries(tenant.tenantId)).to.have.length(before + 1);
      await expectAtRest(world, [tenant.tenantId]);
    });

    it(`${name} that dies before its commit leaves nothing, and is booked when it is sent again`, async () => {
      const tenant = await funded(sample);
      const before = await rowCounts(world);
      const command = commandOf(tenant.tenantId, sample.command);
      const error = await failureOf(world.command(command, { store: crashingBeforeCommit(world.store, () => true) }));
      expect(error.code).to.equal('POSTGRES_UNAVAILABLE');
      expect(await rowCounts(world)).to.deep.equal(before);
      expect((await world.command(command)).outcome).to.equal('booked');
    });
  }

  const NEED_AN_ACCOUNT = SAMPLES.filter(({ command }) => command.kind !== 'credit');
  for (const { command } of NEED_AN_ACCOUNT) {
    it(`${command.kind} (${Object.keys(command).slice(1).join(', ')}) of an unknown tenant is refused`, async () => {
      const before = await rowCounts(world);
      const error = await failureOf(world.command(commandOf('nobody', command)));
      expect(error.code).to.equal('ACCOUNT_UNKNOWN');
      expect(error.message).to.include('tenant nobody has no account');
      expect(await rowCounts(world)).to.deep.equal(before);
    });
  }

  it('open-account opens the account with the currency and the terms it names, as its first entry', async () => {
    const tenant = new TenantOfWorld(world);
    const open: CommandChoices = { kind: 'open-account', currency: 'EUR', terms: { monthlyQuota: 7 } };
    const { entry } = await tenant.book(open, 'open');
    expect(entry).to.include({ seq: 1, type: 'LIMITS', traceId: '~~open', currency: 'EUR', actor: 'ops' });
    expect(await world.account(tenant.tenantId)).to.include({ currency: 'EUR', monthlyQuota: 7, dailyQuota: null });
    expect(await tenant.book(open, 'open')).to.deep.equal({ outcome: 'repeated', entry });
    const before = await rowCounts(world);
    expect((await failureOf(tenant.book(open))).code).to.equal('ACCOUNT_EXISTS');
    expect(await rowCounts(world)).to.deep.equal(before);
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('open-account by eight callers with keys of their own opens the account once', async () => {
    const tenant = new TenantOfWorld(world);
    const work = Array.from({ length: 8 }, () => tenant.book({ kind: 'open-account', terms: {} }));
    const results = await Promise.allSettled(work);
    expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
    expect(await world.entries(tenant.tenantId)).to.have.length(1);
  });

  it('the entry of a command is found by its key, with its kind, its actor and its content', async () => {
    const tenant = await funded();
    await tenant.book({ kind: 'adjust', amountNano: units('1') }, 'fix-1');
    const rows = await world.rows<object>(
      `SELECT c.kind, c.actor, c.content, c.seq, c.recorded_at = b.sealed_at AS sealed FROM ledger_commands c
       JOIN ledger_batches b ON b.batch_id = c.batch_id WHERE c.tenant_id = $1 AND c.key = 'fix-1'`,
      [tenant.tenantId],
    );
    const content = { amount: '1.000000000', currency: 'USD', reason: 'by hand' };
    expect(rows).to.deep.equal([{ kind: 'adjust', actor: 'ops', content, seq: '3', sealed: true }]);
  });

  it('different commands of one tenant at once, beside its usage, are each booked exactly once', async () => {
    const tenant = await funded();
    const usage = async (): Promise<void> => {
      for (let index = 0; index < 10; index += 1) await tenant.completed(`t-${index}`, 1, { stream: true });
    };
    const commands: LedgerCommand[] = Array.from({ length: 20 }, (_none, index) =>
      commandOf(tenant.tenantId, { kind: 'adjust', amountNano: units(index % 2 === 0 ? '2' : '-1') }),
    );
    await Promise.all([usage(), ...[...commands, ...commands].map((command) => world.command(command))]);
    expect(await world.account(tenant.tenantId)).to.include({ balanceNano: units('10'), seq: 32 });
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('commands of many tenants share chains that no proof finds fault with', async () => {
    const tenants = await Promise.all(Array.from({ length: 24 }, () => funded()));
    await Promise.all(tenants.map((tenant) => tenant.book({ kind: 'limits', terms: { dailyQuota: 9 } })));
    expect((await proveChains(world.pool)).problems).to.deep.equal([]);
    expect((await proveAccounts(world.pool)).problems).to.deep.equal([]);
  });
});
