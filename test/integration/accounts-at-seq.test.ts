/**
 * Owns: that an account read as it was at a seq is the fold of its entries up to there, at every seq of random histories.
 * Random: when and how late everything happens, across days and months; commands and ends of holds included.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { type Account, emptyAccount, evolve, termsOf } from '../../src/ledger/account.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import { parseAmount } from '../../src/ledger/money.js';
import { pageEntries } from '../../src/ledger/postgres/proof-rows.js';
import { PostgresLedgerHistory } from '../../src/ledger/postgres/postgres-ledger-history.js';
import { dayOf } from '../../src/ledger/trace.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { propertySeed } from '../model/property-seed.js';
import { TenantOfWorld } from '../support/command-samples.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { NOON } from '../support/wire-usage.js';

const START_MS = Date.parse('2028-02-27T22:00:00.000Z');
const [MINUTE_MS, HOUR_MS, DAY_MS] = [60_000, 3_600_000, 86_400_000];
const RUNS = 15;

/** One thing that happens, so long after the last one; an event occurred so long before it arrives. */
interface Happening {
  readonly afterMs: number;
  readonly lateMs: number;
  readonly what:
    'pending' | 'completed' | 'streamed' | 'expiry' | 'credit' | 'adjust' | 'limits' | 'refund' | 'collect';
  readonly traceId: string;
  readonly units: number;
}

const happenings: fc.Arbitrary<Happening[]> = fc.array(
  fc.record({
    afterMs: fc.constantFrom(0, 0, 0, 1, MINUTE_MS, HOUR_MS, DAY_MS, 35 * DAY_MS),
    lateMs: fc.constantFrom(-4 * MINUTE_MS, 0, 0, 0, 2 * HOUR_MS, DAY_MS, 38 * DAY_MS),
    what: fc.constantFrom<Happening['what'][]>(
      ...(['pending', 'pending', 'completed', 'completed', 'streamed', 'streamed'] as const),
      ...(['expiry', 'credit', 'adjust', 'limits', 'refund', 'collect'] as const),
    ),
    traceId: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    units: fc.integer({ min: 1, max: 6 }),
  }),
  { minLength: 10, maxLength: 30 },
);

describe('an account at a seq', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let history: PostgresLedgerHistory;

  before(async () => {
    world = await ProtocolWorld.open();
    history = new PostgresLedgerHistory(world.pool);
  });
  beforeEach(() => void (world.clock.atMs = Date.parse(NOON) + 1_000));
  after(() => world.close());

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
      case 'adjust':
        return tenant.book({ kind: what, amountNano: parseAmount(String(units)) });
      case 'limits':
        return tenant.book({ kind: 'limits', terms: { dailyQuota: units * 10 } });
      case 'refund':
        return tenant.book({ kind: 'refund', of: { traceId } });
      case 'collect':
        return tenant.book({ kind: 'collect', traceId, allowNegative: true });
    }
  }

  async function recordHistory(happened: readonly Happening[]): Promise<LedgerEntry[]> {
    const tenant = new TenantOfWorld(world);
    world.clock.atMs = START_MS;
    await tenant.book({ kind: 'credit', amountNano: parseAmount('8') });
    for (const happening of happened) {
      world.clock.atMs += happening.afterMs;
      await happen(tenant, happening).catch(ignoreRefusal);
    }
    return entriesOf(tenant.tenantId);
  }

  async function entriesOf(tenantId: string): Promise<LedgerEntry[]> {
    const page = await pageEntries(world.pool, { tenantId, seq: 0 }, 1_000);
    return page.map(({ entry }) => entry).filter((entry) => entry.tenantId === tenantId);
  }

  function foldsOf(entries: readonly LedgerEntry[]): Account[] {
    const [first] = entries;
    const { tenantId, currency, occurredAt, detail } = first!;
    const folds = [emptyAccount({ tenantId, currency, day: dayOf(occurredAt) }, termsOf(detail!))];
    for (const entry of entries) folds.push(evolve(folds[folds.length - 1]!, entry));
    return folds;
  }

  it('is the fold of the entries up to it, from the opening to the last', async () => {
    const seed = propertySeed();
    const property = fc.asyncProperty(happenings, async (happened) => {
      const folds = foldsOf(await recordHistory(happened));
      for (const fold of folds) {
        const { tenantId, seq } = fold;
        const standing = (await history.readStandings([{ tenantId, seq }])).get(tenantId);
        expect(standing?.then, `at ${seq} of ${folds.length - 1}`).to.deep.equal(fold);
        expect(standing?.account).to.deep.equal(folds[folds.length - 1]);
        expect(standing?.corrupt).to.equal(null);
      }
    });
    await fc.assert(property, { seed, numRuns: RUNS, interruptAfterTimeLimit: 100_000, markInterruptAsFailure: true });
  });

  it('is read for many tenants at once, and is not known beyond the ledger or for a tenant without an account', async () => {
    const tenants = await Promise.all(
      [3, 5].map(async (units) => {
        const tenant = new TenantOfWorld(world);
        await tenant.book({ kind: 'credit', amountNano: parseAmount(String(units)) });
        await tenant.completed('a', 1);
        return tenant.tenantId;
      }),
    );
    const [one = '', other = ''] = tenants;
    const standings = await history.readStandings([
      { tenantId: one, seq: 2 },
      { tenantId: other, seq: 4 },
      { tenantId: 'nobody', seq: 1 },
    ]);
    expect([...standings.keys()].sort()).to.deep.equal([one, other].sort());
    expect(standings.get(one)?.then).to.include({ seq: 2, balanceNano: 3_000_000_000n });
    expect(standings.get(one)?.nextRecordedAt).to.equal(new Date(world.clock.atMs).toISOString());
    expect(standings.get(other)).to.include({ then: null, nextRecordedAt: null });
  });

  it('is not known where an entry is missing, and the reason is told', async () => {
    const tenant = new TenantOfWorld(world);
    await tenant.book({ kind: 'credit', amountNano: parseAmount('5') });
    for (const traceId of ['a', 'b']) await tenant.completed(traceId, 1);
    const { tenantId } = tenant;
    await world.asOwner(`ALTER TABLE ledger_entries DISABLE TRIGGER USER`);
    await world.asOwner(`DELETE FROM ledger_entries WHERE tenant_id = '${tenantId}' AND seq = 3`);
    const standing = (await history.readStandings([{ tenantId, seq: 3 }])).get(tenantId);
    expect(standing).to.include({ then: null, corrupt: `entry ${tenantId}#3 is missing` });
  });
});

function ignoreRefusal(error: unknown): void {
  if (!isTollbookError(error) || error.disposition !== 'abandon') throw error;
}
