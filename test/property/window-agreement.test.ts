/**
 * Request windows at their boundaries: whoever is asked, the same events are refused with the same figures, whatever the order
 * of instants, expiries, projections and losses of Redis; and the scripts on a real Redis are as strict as the account.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { bookChunk } from '../../src/consumers/chunk-booking.js';
import { type PlannedItem, planChunk } from '../../src/consumers/chunk-plan.js';
import type { BillableEvent } from '../../src/consumers/intake.js';
import { LEDGER_ALONE, type QuotaGate, type QuotaQuestion, RedisQuotaGate } from '../../src/consumers/quota-gate.js';
import type { Account, HoldPolicy } from '../../src/ledger/account.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import { ZERO } from '../../src/ledger/money.js';
import { traceKey } from '../../src/ledger/ledger-store.js';
import { refusalOf } from '../../src/ledger/quota-rule.js';
import { monthOf, usedInMonth, usedOnDay } from '../../src/ledger/request-windows.js';
import { QuotaScripts } from '../../src/lua/quota-scripts.js';
import { dropsOf } from '../../src/projections/projection.js';
import { quotaHashOf } from '../../src/projections/quota-hash-of.js';
import { createLogger } from '../../src/runtime/logger.js';
import { propertySeed } from '../model/property-seed.js';
import { openTestRedis, type TestRedis } from '../model/test-redis.js';
import { billable, knowing } from '../unit/consumers/chunk-samples.js';
import { completed, ESTIMATES, NO_TOKENS, pending } from '../unit/ledger/usage-samples.js';
import { deliver, type MemoryLedger, openLedger, stateOf } from './memory-ledger.js';

const TENANT = 'tenant-1';
const DAY_MS = 24 * 3_600_000;
/** The first instant of a window: a day, the months after 28, 29, 30 and 31 days, a leap day, a year. */
const BOUNDARIES = [
  ...['2026-03-16', '2026-03-01', '2028-03-01', '2026-05-01', '2026-04-01', '2028-02-29', '2027-01-01'],
].map((day) => Date.parse(`${day}T00:00:00.000Z`));

type Happening =
  | {
      readonly kind: 'event';
      readonly what: 'pending' | 'completed' | 'cancelled';
      readonly trace: number;
      readonly offsetMs: number;
    }
  | { readonly kind: 'expire'; readonly trace: number }
  | { readonly kind: 'project' | 'loseRedis' };

const offsetMs = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(-1, 0, 1) },
  { weight: 1, arbitrary: fc.constantFrom(-DAY_MS - 1, -DAY_MS, DAY_MS - 1, DAY_MS) },
  { weight: 2, arbitrary: fc.integer({ min: -2 * DAY_MS, max: 2 * DAY_MS }) },
);
const trace = fc.integer({ min: 0, max: 5 });
const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('event'),
      what: fc.constantFrom('pending', 'completed', 'completed', 'cancelled'),
      trace,
      offsetMs,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire'), trace }) },
  { weight: 3, arbitrary: fc.constant<Happening>({ kind: 'project' }) },
  { weight: 1, arbitrary: fc.constant<Happening>({ kind: 'loseRedis' }) },
);
const history = fc.record({
  boundaryMs: fc.constantFrom(...BOUNDARIES),
  dailyQuota: fc.option(fc.integer({ min: 0, max: 3 }), { nil: null }),
  monthlyQuota: fc.option(fc.integer({ min: 0, max: 4 }), { nil: null }),
  holdPolicy: fc.constantFrom<HoldPolicy>('estimate', 'none'),
  happenings: fc.array(happening, { minLength: 1, maxLength: 16 }),
});

describe('request windows at their boundaries', function () {
  this.timeout(120_000);
  let test: TestRedis;
  let scripts: QuotaScripts;
  let gate: QuotaGate;
  let kafkaOffset = 0n;
  let isExpired = false;

  before(async () => {
    test = await openTestRedis();
    scripts = new QuotaScripts(test.redis, { prefix: test.prefix });
    const logger = createLogger({ level: 'silent' });
    gate = new RedisQuotaGate({ scripts, deadlineMs: 10_000, clock: { nowMs: () => 0 }, logger });
  });
  after(() => test.close());

  function open({ dailyQuota, monthlyQuota, holdPolicy }: Pick<Terms, keyof Terms>): MemoryLedger {
    return openLedger(TENANT, { creditLimitNano: ZERO, dailyQuota, monthlyQuota, holdPolicy }, 10n ** 15n);
  }

  /** Plans and books an event, asks the gate, books again: steps 4 to 6 of the charge protocol without a database. */
  async function charge(ledger: MemoryLedger, item: BillableEvent, asked: QuotaGate): Promise<void> {
    const accounts = new Map([[TENANT, ledger.account]]);
    const { traceId } = item.event;
    const traces = new Map([[traceKey({ tenantId: TENANT, traceId }), stateOf(ledger, traceId)]]);
    const planned = planChunk([item], knowing([ledger.account], { traces }), ESTIMATES);
    const input = { source: { topic: 'memory', partition: 0 }, planned, accounts };
    const booked = bookChunk({ ...input, others: new Map() });
    const { wanted } = booked;
    const readTraces: QuotaQuestion['readTraces'] = (keys) =>
      Promise.resolve(new Map(keys.map((key) => [traceKey(key), stateOf(ledger, key.traceId)])));
    const contest = await asked.reserve({ planned, accounts, wanted, readTraces });
    if (asked === gate && !isExpired) await expectAsStrict(planned, ledger.account);
    const again = contest === undefined ? booked : bookChunk({ ...input, others: contest.others });
    await contest?.settle(again.wanted);
    const expiresAt = '2030-01-01T00:00:00.000Z';
    const content = again.contentWith({ estimate: expiresAt, none: expiresAt });
    ledger.account = content.accounts[0] ?? ledger.account;
    ledger.entries.push(...content.entries);
  }

  /** What the account refuses, Redis refuses with the same figures, wherever it has a hash. */
  async function expectAsStrict(planned: readonly PlannedItem[], account: Account): Promise<void> {
    for (const entry of planned) {
      if (entry.kind !== 'entry' || entry.intent.refusedAs === null || !entry.intent.reserves) continue;
      const { delta, phase } = entry.intent;
      const refusal = refusalOf(account, delta);
      if (refusal === undefined) continue;
      const items = [{ traceId: entry.item.event.traceId, phase, delta }];
      const [reply] = await scripts.deduct([{ tenantId: TENANT, ledgerSeq: account.seq, items }], 0);
      if (reply?.kind !== 'decided') continue;
      expect(reply.items[0]).to.deep.equal({ kind: 'refused', refusal });
    }
  }

  async function project(ledger: MemoryLedger): Promise<void> {
    const [version = null] = await scripts.versions([TENANT]);
    const steps = ledger.entries.filter(({ seq, type }) => type === 'DEDUCT' && seq > (version ?? 0));
    const [reply] = await scripts.project([
      {
        tenantId: TENANT,
        expectedVersion: version,
        onlyIfNoInflight: false,
        hash: quotaHashOf(ledger.account),
        drop: dropsOf(steps),
      },
    ]);
    expect(reply?.kind).to.equal('projected');
  }

  it('refuse the same events with the same limit and used in Redis and in the ledger', async () => {
    const seed = propertySeed();
    const property = fc.asyncProperty(history, async ({ boundaryMs, happenings, ...terms }) => {
      await test.clear();
      isExpired = false;
      const [asking, alone] = [open(terms), open(terms)];
      for (const next of happenings) {
        kafkaOffset += 1n;
        if (next.kind === 'event') {
          const item = billable(kafkaOffset, eventOf(next, boundaryMs));
          await charge(asking, item, gate);
          await charge(alone, item, LEDGER_ALONE);
        } else if (next.kind === 'expire') {
          const expiry = { kind: 'expiry', tenantId: TENANT, traceId: `trace-${next.trace}` } as const;
          for (const ledger of [asking, alone]) deliver(ledger, expiry, kafkaOffset);
          isExpired = true; // until it is projected Redis counts the request, and refuses rather too much
        } else if (next.kind === 'project') await project(asking);
        else await test.clear();
        if (next.kind === 'project' || next.kind === 'loseRedis') isExpired = false;
        expect(asking.entries).to.deep.equal(alone.entries);
        expectWindows(alone, terms);
      }
      await project(asking);
      expect(await scripts.readQuota([TENANT])).to.deep.equal([quotaHashOf(alone.account)]);
      expect(await scripts.readInflight([TENANT])).to.deep.equal([[]]);
    });
    await fc.assert(property, { seed, numRuns: 400 });
  });
});

interface Terms {
  readonly dailyQuota: number | null;
  readonly monthlyQuota: number | null;
  readonly holdPolicy: HoldPolicy;
}

function eventOf({ what, trace: number, offsetMs: offset }: Happening & { kind: 'event' }, boundaryMs: number) {
  const shared = {
    tenantId: TENANT,
    traceId: `trace-${number}`,
    occurredAt: new Date(boundaryMs + offset).toISOString(),
  };
  if (what === 'pending') return pending(shared);
  return what === 'completed' ? completed(shared) : completed({ ...shared, outcome: 'cancelled', usage: NO_TOKENS });
}

/** Every day and month counts its own entries and nothing else; only what nobody could refuse goes beyond a quota. */
function expectWindows({ account, entries }: MemoryLedger, { dailyQuota, monthlyQuota }: Terms): void {
  const periods = [
    { quota: dailyQuota, windowOf: (day: string) => day, usedIn: usedOnDay },
    { quota: monthlyQuota, windowOf: monthOf, usedIn: usedInMonth },
  ];
  for (const { quota, windowOf, usedIn } of periods) {
    const days = entries.flatMap(({ countedOn }) => countedOn ?? []);
    for (const window of new Set(days.map(windowOf))) {
      const counted = entries.filter(({ countedOn }) => countedOn !== null && windowOf(countedOn) === window);
      const used = counted.reduce((sum, { requests }) => sum + requests, 0);
      expect(usedIn(account, window), window).to.equal(used);
      const late = counted.filter(({ description }) => description === 'late').length;
      if (quota !== null) expect(used - late, `${window} of ${quota}`).to.be.at.most(quota);
    }
  }
  for (const entry of entries) expectFigures(entry, { dailyQuota, monthlyQuota });
}

function expectFigures({ description, detail }: LedgerEntry, quotas: Omit<Terms, 'holdPolicy'>): void {
  if (description !== 'DAILY_QUOTA_EXCEEDED' && description !== 'MONTHLY_QUOTA_EXCEEDED') return;
  const limit = description === 'DAILY_QUOTA_EXCEEDED' ? quotas.dailyQuota : quotas.monthlyQuota;
  expect(Object.keys(detail ?? {}).filter((name) => name !== 'charge')).to.have.members(['limit', 'used']);
  expect(Number(detail?.['limit'])).to.equal(limit);
  expect(Number(detail?.['used'])).to.be.at.least(limit!);
}
