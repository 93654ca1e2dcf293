/** Owns: pages of entries and of accounts on a real PostgreSQL: filters, cursors, and what is appended between two pages. */
import { expect } from 'chai';
import type { EntryFilter, EntryListing, EntryPage, RecordedEntry } from '../../src/ledger/ledger-queries.js';
import { parseAmount } from '../../src/ledger/money.js';
import { PostgresLedgerQueries } from '../../src/ledger/postgres/postgres-ledger-queries.js';
import { ENTRY_COLUMNS } from '../../src/ledger/postgres/rows.js';
import { TenantOfWorld } from '../support/command-samples.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { NOON } from '../support/wire-usage.js';

const ALL: EntryFilter = { by: 'recorded' };
const HOUR_MS = 3_600_000;

describe('pages of a tenant’s entries', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let queries: PostgresLedgerQueries;

  before(async () => {
    world = await ProtocolWorld.open();
    queries = new PostgresLedgerQueries(world.pool);
  });
  beforeEach(() => {
    world.clock.atMs = Date.parse(NOON);
  });
  after(() => world.close());

  async function page(tenantId: string, choices: Partial<EntryListing> = {}): Promise<EntryPage> {
    const listing = { tenantId, filter: ALL, limit: 7, order: 'oldestFirst', ...choices } as const;
    const found = await queries.listEntries(listing);
    return found ?? expect.fail(`${tenantId} has no account`);
  }

  /** Walks from page to page until nothing is left; `between` runs before each further page. */
  async function walk(
    tenantId: string,
    choices: Partial<EntryListing> = {},
    between: () => Promise<void> = () => Promise.resolve(),
  ): Promise<RecordedEntry[]> {
    const entries: RecordedEntry[] = [];
    for (let after = choices.after; ;) {
      const found = await page(tenantId, { ...choices, ...(after === undefined ? {} : { after }) });
      entries.push(...found.entries);
      if (found.next === null) return entries;
      expect(found.next).not.to.equal(after);
      after = found.next;
      await between();
    }
  }

  const seqsOf = (entries: readonly RecordedEntry[]): number[] => entries.map(({ entry }) => entry.seq);
  const countTo = (last: number): number[] => Array.from({ length: last }, (_none, index) => index + 1);

  /** A tenant with a credit and these completions, an hour apart. */
  async function served(count: number): Promise<TenantOfWorld> {
    const tenant = new TenantOfWorld(world);
    await tenant.book({ kind: 'credit', amountNano: parseAmount('1000') });
    for (let index = 0; index < count; index += 1) {
      world.clock.atMs += HOUR_MS;
      const model = index % 3 === 0 ? 'large' : 'small';
      const occurred = new Date(world.clock.atMs).toISOString();
      await tenant.completed(`trace-${index}`, 1, { model, api_key_id: `key-${index % 2}`, occurred_at: occurred });
    }
    return tenant;
  }

  it('neither skip nor repeat an entry while new ones are appended, oldest first', async () => {
    const tenant = await served(20);
    let appended = 0;
    const between = async (): Promise<void> => {
      for (let index = 0; index < 3; index += 1) await tenant.completed(`more-${appended++}`, 1);
    };
    const seqs = seqsOf(await walk(tenant.tenantId, {}, between));
    expect(appended).to.be.above(7);
    expect(seqs).to.deep.equal(countTo(22 + appended));
  });

  it('neither skip nor repeat an entry while writers run beside them, and a follower sees every one', async () => {
    const tenant = await served(0);
    const writing = Promise.all(
      ['x', 'y', 'z'].map(async (writer) => {
        for (let index = 0; index < 30; index += 1) await tenant.completed(`${writer}-${index}`, 1);
      }),
    );
    const writers = { areDone: false };
    void writing.then(() => (writers.areDone = true));
    const seqs: number[] = [];
    for (let last = false; !last;) {
      last = writers.areDone;
      seqs.push(...seqsOf(await walk(tenant.tenantId, { after: seqs[seqs.length - 1] ?? 0 })));
    }
    await writing;
    expect(seqs).to.deep.equal(countTo(92));
  });

  it('list what there was at the first page, newest first, whatever is appended meanwhile', async () => {
    const tenant = await served(20);
    let appended = 0;
    const between = (): Promise<void> => tenant.completed(`more-${appended++}`, 1);
    const seqs = seqsOf(await walk(tenant.tenantId, { order: 'newestFirst' }, between));
    expect(appended).to.equal(3);
    expect(seqs).to.deep.equal(countTo(22).reverse());
  });

  const FILTERS: readonly (readonly [string, EntryFilter, (entry: RecordedEntry) => boolean])[] = [
    ['type', { ...ALL, type: 'CREDIT' }, ({ entry }) => entry.type === 'CREDIT'],
    ['status', { ...ALL, status: 'FAILED' }, () => false],
    ['model', { ...ALL, model: 'large' }, ({ entry }) => entry.usage.model === 'large'],
    ['provider', { ...ALL, provider: 'anthropic' }, ({ entry }) => entry.usage.provider !== null],
    ['API key', { ...ALL, apiKeyId: 'key-1' }, ({ entry }) => entry.usage.apiKeyId === 'key-1'],
    [
      'two things at once',
      { ...ALL, model: 'large', apiKeyId: 'key-1' },
      ({ entry }) => entry.usage.model === 'large' && entry.usage.apiKeyId === 'key-1',
    ],
    [
      'the time recorded, from included to not included',
      { ...ALL, since: '2026-03-15T15:00:00.000Z', until: '2026-03-15T21:00:00.000Z' },
      ({ recordedAt }) => recordedAt >= '2026-03-15T15:00:00.000Z' && recordedAt < '2026-03-15T21:00:00.000Z',
    ],
    [
      'the time it occurred, late events included',
      { by: 'occurred', since: '2026-03-15T15:00:00.000Z', until: '2026-03-15T21:00:00.000Z' },
      ({ entry }) => entry.occurredAt >= '2026-03-15T15:00:00.000Z' && entry.occurredAt < '2026-03-15T21:00:00.000Z',
    ],
  ];
  for (const [what, filter, keeps] of FILTERS) {
    it(`filter by ${what}, the same in both orders`, async () => {
      const tenant = await served(18);
      await tenant.completed('late', 1, { occurred_at: '2026-03-15T16:00:00.000Z' });
      const expected = seqsOf((await walk(tenant.tenantId)).filter(keeps));
      expect(seqsOf(await walk(tenant.tenantId, { filter, limit: 2 }))).to.deep.equal(expected);
      const reversed = await walk(tenant.tenantId, { filter, limit: 2, order: 'newestFirst' });
      expect(seqsOf(reversed)).to.deep.equal([...expected].reverse());
    });
  }

  it('end with the entries recorded by an instant, also page by page and with a filter', async () => {
    const tenant = await served(20);
    const at = '2026-03-15T21:00:00.000Z';
    expect(seqsOf(await walk(tenant.tenantId, { at }))).to.deep.equal(countTo(11));
    expect(seqsOf(await walk(tenant.tenantId, { at, order: 'newestFirst' }))).to.deep.equal(countTo(11).reverse());
    const large = await walk(tenant.tenantId, { at, filter: { ...ALL, model: 'large' }, limit: 1 });
    expect(seqsOf(large)).to.deep.equal([3, 6, 9]);
    expect(await page(tenant.tenantId, { at: '2026-03-01T00:00:00.000Z' })).to.include({ next: null, lastSeq: 0 });
  });

  it('say that nothing is left when a page ends exactly with the last entry, and after it', async () => {
    const { tenantId } = await served(5);
    expect(await page(tenantId)).to.include({ next: null, lastSeq: 7 });
    expect(await page(tenantId, { limit: 6 })).to.include({ next: 6 });
    expect(await page(tenantId, { after: 7 })).to.deep.equal({ entries: [], next: null, lastSeq: 7 });
    expect(await page(tenantId, { after: 1, order: 'newestFirst' })).to.deep.include({ entries: [], next: null });
  });

  it('know no tenant without an account', async () => {
    const listing = { tenantId: 'nobody', filter: ALL, limit: 7, order: 'oldestFirst' } as const;
    expect(await queries.listEntries(listing)).to.equal(undefined);
  });

  it('look at 100,000 entries at most, and tell where to go on when none of them matches', async () => {
    const { tenantId } = await served(1);
    const own = { seq: 'n', trace_id: `'copy-' || n`, model: `CASE n WHEN 100002 THEN 'rare' END` };
    const values = ENTRY_COLUMNS.map((column) => (column in own ? own[column as keyof typeof own] : `e.${column}`));
    await world.pool.query(
      `INSERT INTO ledger_entries (${ENTRY_COLUMNS.join(', ')}) SELECT ${values.join(', ')}
       FROM ledger_entries e, generate_series(4, 100003) n WHERE e.tenant_id = $1 AND e.seq = 3`,
      [tenantId],
    );
    await world.pool.query('UPDATE accounts SET seq = 100003 WHERE tenant_id = $1', [tenantId]);
    const filter: EntryFilter = { ...ALL, model: 'rare' };
    expect(await page(tenantId, { filter })).to.deep.equal({ entries: [], next: 100_000, lastSeq: 100_003 });
    expect(seqsOf(await walk(tenantId, { filter }))).to.deep.equal([100_002]);
    const back = await page(tenantId, { filter: { ...ALL, type: 'LIMITS' }, order: 'newestFirst' });
    expect(back).to.include({ next: 4 });
    expect(seqsOf(await walk(tenantId, { filter: { ...ALL, type: 'LIMITS' }, order: 'newestFirst' }))).to.deep.equal([
      1,
    ]);
  });
});

describe('pages of accounts', () => {
  let world: ProtocolWorld;
  let queries: PostgresLedgerQueries;
  const credits = ['30', '5', '20', '1', '10'];

  before(async () => {
    world = await ProtocolWorld.open();
    queries = new PostgresLedgerQueries(world.pool);
    for (const [index, units] of credits.entries()) await world.credit(`account-${index}`, units);
    const tenant = new TenantOfWorld(world, 'account-0');
    await tenant.book({ kind: 'limits', terms: { creditLimitNano: parseAmount('2') } });
    await tenant.pending('held', 25);
  });
  after(() => world.close());

  async function walk(limit: number, below?: string): Promise<string[]> {
    const tenantIds: string[] = [];
    for (let afterTenantId = ''; ;) {
      const availableBelow = below === undefined ? {} : { availableBelowNano: parseAmount(below) };
      const { accounts, next } = await queries.listAccounts({ afterTenantId, limit, ...availableBelow });
      tenantIds.push(...accounts.map((account) => account.tenantId));
      if (next === null) return tenantIds;
      afterTenantId = next;
    }
  }

  it('list every account once, by tenant id, whatever the size of a page', async () => {
    const expected = credits.map((_units, index) => `account-${index}`);
    for (const limit of [1, 2, 5, 1_000]) expect(await walk(limit)).to.deep.equal(expected);
    expect((await queries.listAccounts({ afterTenantId: '', limit: 5 })).next).to.equal(null);
    expect((await queries.listAccounts({ afterTenantId: '', limit: 4 })).next).to.equal('account-3');
    expect((await queries.listAccounts({ afterTenantId: 'account-4', limit: 4 })).accounts).to.deep.equal([]);
  });

  it('with a bound list those with less available: balance and credit limit less what is held', async () => {
    expect(await walk(2, '10')).to.deep.equal(['account-0', 'account-1', 'account-3']);
    expect(await walk(1, '7')).to.deep.equal(['account-1', 'account-3']);
    expect(await walk(10, '-1')).to.deep.equal([]);
  });
});
