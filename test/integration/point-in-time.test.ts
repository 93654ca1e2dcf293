/**
 * Owns: that an account or a list at a past instant is the fold of the entries recorded by then, on random histories.
 * Random: when and how late everything happens, across days, months and a leap day; commands and ends of holds included.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { type Account, emptyAccount, evolve, termsOf } from '../../src/ledger/account.js';
import type { RecordedEntry } from '../../src/ledger/ledger-queries.js';
import { parseAmount } from '../../src/ledger/money.js';
import { PostgresLedgerQueries } from '../../src/ledger/postgres/postgres-ledger-queries.js';
import { dayOf } from '../../src/ledger/trace.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { propertySeed } from '../model/property-seed.js';
import { type CommandChoices, TenantOfWorld } from '../support/command-samples.js';
import { ProtocolWorld } from '../support/protocol-world.js';

const START_MS = Date.parse('2028-02-27T22:00:00.000Z');
const [MINUTE_MS, HOUR_MS, DAY_MS] = [60_000, 3_600_000, 86_400_000];
const RUNS = 12;

/** One thing that happens, so long after the last one; an event occurred so long before it arrives. */
interface Happening {
  readonly afterMs: number;
  readonly lateMs: number;
  readonly what: 'pending' | 'completed' | 'streamed' | 'expiry' | 'credit' | 'limits' | 'refund' | 'collect' | 'void';
  readonly traceId: string;
  readonly units: number;
}

const happenings: fc.Arbitrary<Happening[]> = fc.array(
  fc.record({
    afterMs: fc.constantFrom(0, 0, 1, MINUTE_MS, HOUR_MS, DAY_MS, 3 * DAY_MS, 35 * DAY_MS),
    lateMs: fc.constantFrom(-4 * MINUTE_MS, 0, 0, 0, 2 * HOUR_MS, DAY_MS, 38 * DAY_MS),
    what: fc.constantFrom<Happening['what'][]>(
      ...(['pending', 'pending', 'completed', 'completed', 'streamed'] as const),
      ...(['expiry', 'credit', 'limits', 'refund', 'collect', 'void'] as const),
    ),
    traceId: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    units: fc.integer({ min: 1, max: 6 }),
  }),
  { minLength: 8, maxLength: 30 },
);

describe('an account at a past instant', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let queries: PostgresLedgerQueries;

  before(async () => {
    world = await ProtocolWorld.open();
    queries = new PostgresLedgerQueries(world.pool);
  });
  after(() => world.close());

  /** Lets everything happen to a tenant of its own; returns its entries. */
  async function recordHistory(history: readonly Happening[]): Promise<RecordedEntry[]> {
    const tenant = new TenantOfWorld(world);
    world.clock.atMs = START_MS;
    await tenant.book({ kind: 'credit', amountNano: parseAmount('8') });
    for (const happening of history) {
      world.clock.atMs += happening.afterMs;
      await happen(tenant, happening).catch(ignoreRefusal);
    }
    return entriesOf(tenant.tenantId);
  }

  async function happen(tenant: TenantOfWorld, { what, traceId, units, lateMs }: Happening): Promise<unknown> {
    const fields = { occurred_at: new Date(world.clock.atMs - lateMs).toISOString() };
    switch (what) {
      case 'pending':
        return tenant.pending(traceId, units, fields);
      case 'completed':
        return tenant.completed(traceId, units, fields);
      case 'streamed':
        return tenant.completed(traceId, units, { ...fields, stream: true });
      case 'expiry':
        return world.expireHolds();
      case 'credit':
      case 'limits':
      case 'refund':
      case 'collect':
      case 'void':
        return tenant.book(commandFor(what, traceId, units));
    }
  }

  async function entriesOf(tenantId: string, at?: string): Promise<RecordedEntry[]> {
    const page = await queries.listEntries({
      ...{ tenantId, filter: { by: 'recorded' }, limit: 1_000, order: 'oldestFirst' },
      ...(at === undefined ? {} : { at }),
    });
    expect(page?.next).to.equal(null);
    return [...(page?.entries ?? [])];
  }

  async function expectFoldAt(entries: readonly RecordedEntry[], at: string): Promise<void> {
    const tenantId = entries[0]!.entry.tenantId;
    const known = entries.filter(({ recordedAt }) => recordedAt <= at);
    expect(await entriesOf(tenantId, at), `the entries at ${at}`).to.deep.equal(known);
    const answer = await queries.readAccount(tenantId, at);
    const last = known[known.length - 1];
    if (last === undefined) {
      expect(answer).to.deep.equal({ kind: 'notYet', firstRecordedAt: entries[0]?.recordedAt });
      return;
    }
    const view = { account: foldOf(known), recordedAt: last.recordedAt, openHolds: null };
    expect(answer, `the account at ${at}`).to.deep.equal({ kind: 'found', view });
  }

  it('is the fold of the entries recorded by then, just before, at and after each of them', async () => {
    const property = fc.asyncProperty(happenings, async (history) => {
      const entries = await recordHistory(history);
      const cuts = new Set(entries.flatMap(({ recordedAt }) => [-1, 0, 1].map((ms) => Date.parse(recordedAt) + ms)));
      for (const cut of [START_MS - DAY_MS, ...cuts, world.clock.atMs + 90 * DAY_MS]) {
        await expectFoldAt(entries, new Date(cut).toISOString());
      }
      const stored = await world.account(entries[0]!.entry.tenantId);
      expect(foldOf(entries)).to.deep.equal(stored);
    });
    await fc.assert(property, { numRuns: RUNS, seed: propertySeed(), endOnFailure: true });
  });

  it('keeps the windows of the last month that counted a request, however long ago', async () => {
    const tenant = new TenantOfWorld(world);
    world.clock.atMs = START_MS;
    await tenant.book({ kind: 'credit', amountNano: parseAmount('8') });
    await tenant.completed('a', 1, { occurred_at: new Date(START_MS).toISOString() });
    for (const months of [3, 7]) {
      world.clock.atMs = START_MS + months * 31 * DAY_MS;
      await tenant.book({ kind: 'credit', amountNano: parseAmount('1') });
    }
    const entries = await entriesOf(tenant.tenantId);
    await expectFoldAt(entries, new Date(world.clock.atMs).toISOString());
    expect(foldOf(entries)).to.include({ dailyDate: '2028-02-27', dailyUsed: 1, monthlyMonth: '2028-02' });
  });

  it('counts an event in its month though it was recorded minutes before that month began', async () => {
    const tenant = new TenantOfWorld(world);
    world.clock.atMs = Date.parse('2028-02-29T23:58:00.000Z');
    await tenant.completed('early', 1, { stream: true, occurred_at: '2028-03-01T00:01:00.000Z' });
    world.clock.atMs = Date.parse('2028-03-02T12:00:00.000Z');
    await tenant.completed('later', 1, { stream: true, occurred_at: '2028-03-02T12:00:00.000Z' });
    const entries = await entriesOf(tenant.tenantId);
    await expectFoldAt(entries, '2028-03-02T12:00:00.000Z');
    expect(foldOf(entries)).to.include({ monthlyMonth: '2028-03', monthlyUsed: 2 });
  });

  it('stays the same as the ledger grows, also where one writer’s clock was behind', async () => {
    const tenant = new TenantOfWorld(world);
    const secondsAfterStart = [0, 10, 5, 20, 12, 30];
    for (const [index, seconds] of secondsAfterStart.entries()) {
      world.clock.atMs = START_MS + seconds * 1_000;
      await tenant.completed(`trace-${index}`, 1, { stream: true, occurred_at: new Date(START_MS).toISOString() });
    }
    const seqAt = async (seconds: number): Promise<number> => {
      const answer = await queries.readAccount(tenant.tenantId, new Date(START_MS + seconds * 1_000).toISOString());
      return answer.kind === 'found' ? answer.view.account.seq : expect.fail(answer.kind);
    };
    const readAll = (): Promise<number[]> => Promise.all(secondsAfterStart.map(seqAt));
    const answers = await readAll();
    world.clock.atMs = START_MS + HOUR_MS;
    for (let index = 0; index < 20; index += 1) {
      await tenant.completed(`more-${index}`, 1, { stream: true, occurred_at: new Date(START_MS).toISOString() });
      expect(await readAll()).to.deep.equal(answers);
    }
  });

  it('is unknown for a tenant without an account', async () => {
    expect(await queries.readAccount('nobody', new Date(START_MS).toISOString())).to.deep.equal({ kind: 'unknown' });
    expect(await queries.readAccount('nobody')).to.deep.equal({ kind: 'unknown' });
  });

  it('fails with LEDGER_CORRUPT instead of an answer when an entry is missing', async () => {
    const tenant = new TenantOfWorld(world);
    await tenant.book({ kind: 'credit', amountNano: parseAmount('8') });
    await world.pool.query('UPDATE accounts SET seq = 9 WHERE tenant_id = $1', [tenant.tenantId]);
    const answer = queries.readAccount(tenant.tenantId, new Date(world.clock.atMs).toISOString());
    const problem: unknown = await answer.catch((error: unknown) => error);
    expect(isTollbookError(problem, 'LEDGER_CORRUPT') && problem.message).to.match(/entry tenant-\d+#\d is missing/);
  });
});

function commandFor(
  what: 'credit' | 'limits' | 'refund' | 'collect' | 'void',
  traceId: string,
  units: number,
): CommandChoices {
  const amountNano = parseAmount(String(units));
  switch (what) {
    case 'credit':
      return { kind: what, amountNano };
    case 'limits':
      return { kind: what, terms: { dailyQuota: units, creditLimitNano: amountNano } };
    case 'refund':
      return { kind: what, of: { traceId } };
    case 'collect':
      return { kind: what, traceId, allowNegative: true };
    case 'void':
      return { kind: what, traceId };
  }
}

/** A command that the state of its trace does not allow is part of a random history. */
function ignoreRefusal(error: unknown): void {
  if (!isTollbookError(error) || error.disposition !== 'abandon') throw error;
}

/** The account that entries from the first one on come to, as the proof of the accounts folds them. */
function foldOf(entries: readonly RecordedEntry[]): Account {
  const { tenantId, currency, occurredAt, detail } = entries[0]!.entry;
  const opening = emptyAccount({ tenantId, currency, day: dayOf(occurredAt) }, termsOf(detail ?? {}));
  return entries.reduce((account, { entry }) => evolve(account, entry), opening);
}
