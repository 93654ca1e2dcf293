/** Owns: `tollbook account show | list`, `entries list` and `trace show` as a person and a script call them. */
import { expect } from 'chai';
import { parseAmount } from '../../src/ledger/money.js';
import { ENTRY_COLUMNS } from '../../src/ledger/postgres/rows.js';
import { TenantOfWorld } from '../support/command-samples.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';

/** A port that nothing listens on. */
const NO_REDIS = { REDIS_URL: 'redis://127.0.0.1:1' };

describe('the commands that read the ledger', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let tenant: TenantOfWorld;
  let served: string;

  before(async () => {
    world = await ProtocolWorld.open();
    tenant = new TenantOfWorld(world);
    await tenant.book({ kind: 'credit', amountNano: parseAmount('10') }, 'first');
    await tenant.pending('stream', 4, { stream: true });
    await tenant.completed('stream', 3, { stream: true });
    await tenant.pending('open', 2);
    served = tenant.tenantId;
    await world.project([served]);
  });
  after(() => world.close());

  function run(args: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<CliResult> {
    const own = { DATABASE_URL: world.database.url, TOLLBOOK_REDIS_PREFIX: world.server.prefix };
    return runTollbook(args, { ...own, ...settings });
  }

  async function json(args: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const { exitCode, stdout, stderr } = await run([...args, '--json'], settings);
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' });
    expect(stdout.split('\n'), 'one line, one document').to.have.length(2);
    return JSON.parse(stdout);
  }

  it('account show prints the account and that Redis equals it', async () => {
    const position = {
      balance: '7.000000000',
      held: '2.000000000',
      creditLimit: '0.000000000',
      available: '5.000000000',
    };
    const windows = {
      daily: { quota: 'unlimited', used: 2, window: '2026-03-15' },
      monthly: { quota: 'unlimited', used: 2, window: '2026-03' },
    };
    expect(await json(['account', 'show', served])).to.deep.equal({
      ...{ tenantId: served, currency: 'USD', ...position, ...windows, holdPolicy: 'estimate', seq: 5, at: null },
      recordedAt: new Date(world.clock.atMs).toISOString(),
      openHolds: { count: 1, oldestExpiresAt: new Date(world.clock.atMs + 60_000).toISOString() },
      redis: {
        ...{ state: 'equal', version: 5, behindBy: 0, differing: [], available: '5.000000000', reason: null },
        quota: { ...position, ...windows },
        inFlight: { items: 0, available: '0.000000000', oldestAt: null },
      },
    });
    const { stdout } = await run(['account', 'show', served]);
    expect(stdout)
      .to.match(/balance +│ 7\.00 /)
      .and.to.include('equal to the ledger at version 5');
  });

  it('account show goes on without Redis, and says that it is away', async () => {
    const { redis, ...rest } = (await json(['account', 'show', served], NO_REDIS)) as Record<string, unknown>;
    expect(redis).to.include({ state: 'away', version: null, inFlight: null });
    expect(rest).to.include({ balance: '7.000000000', seq: 5 });
    const { exitCode, stdout } = await run(['account', 'show', served], NO_REDIS);
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(/redis +│ away: Redis is unavailable: connect ECONNREFUSED/);
  });

  it('account show tells how far Redis is behind, and what is in flight there', async () => {
    const other = new TenantOfWorld(world);
    await other.book({ kind: 'credit', amountNano: parseAmount('10') });
    expect(await json(['account', 'show', other.tenantId])).to.deep.include.keys('redis');
    await world.project([other.tenantId]);
    await other.book({ kind: 'adjust', amountNano: parseAmount('-1') });
    const hold = { tenantId: other.tenantId, traceId: 'gateway', amountNano: parseAmount('2'), day: '2026-03-15' };
    await world.scripts.hold({ ...hold, checkBalance: true, checkQuota: true }, world.clock.atMs);
    const { redis } = (await json(['account', 'show', other.tenantId])) as { redis: object };
    expect(redis).to.deep.include({ state: 'behind', version: 2, behindBy: 1, available: '8.000000000' });
    expect(redis).to.have.nested.property('inFlight.items', 1);
    const trace = (await json(['trace', 'show', 'gateway', '--tenant', other.tenantId])) as Record<string, unknown>;
    expect(trace).to.deep.include({ state: 'IN_FLIGHT', entries: [], charged: '0.000000000', currency: null });
    expect(trace).to.have.nested.property('redis.inFlight[0].phase', 'hold');
  });

  it('account show of a hash that no script wrote says that it is unreadable, and goes on', async () => {
    const other = new TenantOfWorld(world);
    await other.book({ kind: 'credit', amountNano: parseAmount('10') });
    await world.project([other.tenantId]);
    const [key = ''] = (await world.server.redis.keys(`${world.server.prefix}:*:${other.tenantId}:quota`)).slice(0, 1);
    await world.server.redis.hset(key, 'balance', 'a lot');
    const { redis } = (await json(['account', 'show', other.tenantId])) as { redis: Record<string, unknown> };
    expect(redis['state']).to.equal('unreadable');
    expect(redis['reason']).to.match(/holds "a lot", which no script of Tollbook writes/);
  });

  it('account show --at prints the account as it was, without Redis', async () => {
    const other = new TenantOfWorld(world);
    const openedAt = new Date(world.clock.atMs).toISOString();
    await other.book({ kind: 'credit', amountNano: parseAmount('10') });
    world.clock.atMs += 1_000;
    await other.book({ kind: 'adjust', amountNano: parseAmount('-1') });
    const show = ['account', 'show', other.tenantId, '--at'];
    const past = { at: openedAt, seq: 2, balance: '10.000000000', openHolds: null, redis: null, recordedAt: openedAt };
    expect(await json([...show, openedAt], NO_REDIS)).to.deep.include(past);
    const { exitCode, stderr } = await run([...show, '2020-01-01T00:00:00Z']);
    expect(exitCode).to.equal(1);
    expect(stderr).to.include(`ACCOUNT_UNKNOWN: tenant ${other.tenantId} had no account at 2020-01-01T00:00:00.000Z`);
  });

  it('account list pages by tenant id, and tells on stderr how to go on', async () => {
    const [first, second] = (await world.reader.pageAccounts('', 2)).map(({ tenantId }) => tenantId);
    const page = (await json(['account', 'list', '--limit', '1'])) as {
      accounts: { tenantId: string }[];
      next: string;
    };
    expect(page.accounts.map(({ tenantId }) => tenantId)).to.deep.equal([first]);
    expect(page.next).to.equal(first);
    const { stdout, stderr } = await run(['account', 'list', '--limit', '1', '--after', page.next]);
    expect(stdout).to.include(second).and.not.include(`${first} `);
    expect(stderr).to.equal(`more: --after ${second}\n`);
    expect((await run(['account', 'list', '--below', '-100'])).stdout).to.equal('no account\n');
  });

  it('entries list prints every column as JSON, and where to go on', async () => {
    const list = ['entries', 'list', '--tenant', served, '--limit', '1', '--status', 'PENDING'];
    const page = (await json([...list, '--reverse'])) as { entries: Record<string, unknown>[] };
    expect(page).to.deep.include({ tenantId: served, next: 5, lastSeq: 5 });
    const names = ENTRY_COLUMNS.map((column) =>
      column.replace(/_(.)/g, (_all, letter: string) => letter.toUpperCase()),
    );
    expect(Object.keys(page.entries[0] ?? {})).to.deep.equal(names);
    expect(page.entries[0]).to.include({ seq: 5, traceId: 'open', amount: '2.000000000', heldAfter: '2.000000000' });
    const { stdout, stderr } = await run(list);
    expect(stdout).to.match(/ 3 .* stream .* PENDING .* 4\.00 /);
    expect(stderr).to.equal('more, up to entry 5: --after 3\n');
  });

  it('entries list prints CSV with a head and a line an entry', async () => {
    const { exitCode, stdout } = await run(['entries', 'list', '--tenant', served, '--csv', '--type', 'DEDUCT']);
    const lines = stdout.split('\r\n');
    expect({ exitCode, lines: lines.length }).to.deep.equal({ exitCode: 0, lines: 5 });
    expect(lines[0]).to.equal(ENTRY_COLUMNS.join(','));
    expect(lines[2]).to.match(new RegExp(`^${served},4,stream,DEDUCT,COMMITTED,3\\.000000000,10\\.000000000,7\\.000`));
  });

  it('trace show prints the whole life of a stream as one document, and as text', async () => {
    const show = ['trace', 'show', 'stream', '--tenant', served];
    const trace = (await json(show)) as { entries: Record<string, unknown>[] };
    expect(trace).to.deep.include({
      ...{ tenantId: served, traceId: 'stream', state: 'COMMITTED', currency: 'USD', hold: null, parked: null },
      ...{ charged: '3.000000000', refunded: '0.000000000', net: '3.000000000', skipped: [], deadLetters: [] },
      redis: { state: 'read', inFlight: [], reason: null },
    });
    expect(trace.entries.map(({ status }) => status)).to.deep.equal(['PENDING', 'COMMITTED']);
    expect(trace.entries[1]).to.deep.include({
      ...{ relation: 'own', balanceBefore: '10.000000000', balanceAfter: '7.000000000' },
      ...{ heldBefore: '4.000000000', heldAfter: '0.000000000' },
    });
    expect(trace.entries[1]).to.have.nested.property('cost.total', '3.000000000');
    expect(trace.entries[1]).to.have.nested.property('batch.batchNo', 1);
    const { stdout } = await run(show);
    expect(stdout).to.include(`trace stream of ${served}: COMMITTED; charged 3.00 USD\n`);
    expect(stdout).to.include('  balance 10.00 → 7.00, held 4.00 → 0.00\n');
  });

  it('trace show names the open hold, and goes on without Redis', async () => {
    const { exitCode, stdout } = await run(['trace', 'show', 'open', '--tenant', served], NO_REDIS);
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(/: PENDING; charged 0\.00 USD; hold open until 2026-03-15T12:/);
    expect(stdout).to.include('redis is away: Redis is unavailable');
    const credit = await run(['trace', 'show', '~first', '--tenant', served]);
    expect(credit.stdout).to.match(/: COMMITTED\n\nentry 2: CREDIT COMMITTED 10\.00 USD \(by hand\)\n/);
  });

  const REFUSALS: readonly (readonly [exitCode: 1 | 2, args: string, message: RegExp])[] = [
    [1, 'account show nobody', /ACCOUNT_UNKNOWN: tenant nobody has no account\n/],
    [1, 'entries list --tenant nobody', /ACCOUNT_UNKNOWN: tenant nobody has no account\n/],
    [1, 'trace show none --tenant nobody', /TRACE_UNKNOWN: tenant nobody has no trace none: no entry, nothing parked/],
    [2, 'entries list', /required option '--tenant <id>' not specified/],
    [2, 'account show tenant-1 --at yesterday', /'--at <time>' argument 'yesterday'.*allowed: an RFC 3339 time/],
  ];
  for (const [exitCode, args, message] of REFUSALS) {
    it(`${args} ends with exit code ${exitCode} and says what is wrong`, async () => {
      const result = await run(args.split(' '));
      expect(result).to.include({ exitCode, stdout: '' });
      expect(result.stderr).to.match(message);
    });
  }
});
