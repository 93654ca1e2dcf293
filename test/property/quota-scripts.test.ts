/** The quota scripts on a real Redis equal their TypeScript model: every reply, and the whole state after each step. */
import { expect } from 'chai';
import fc from 'fast-check';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import {
  type DropSpec,
  type HoldRequest,
  type OverlayItem,
  type QuotaHash,
  QuotaScripts,
  type TenantDeltas,
  type TenantProjection,
} from '../../src/lua/quota-scripts.js';
import { propertySeed } from '../model/property-seed.js';
import { QuotaScriptsModel, type RedisState } from '../model/quota-scripts-model.js';
import { type TestRedis, keysUnder, openTestRedis } from '../model/test-redis.js';

/** tenant-2, tenant-64 and tenant-131 share bucket 44, so that one call serves several tenants. */
const TENANTS = ['tenant-1', 'tenant-2', 'tenant-64', 'tenant-131', 'auth0|a+b@c.d', '%d*&=:inflight'];
const TRACES = ['a', 'b:c', 'b', '9:p', 'trace-0e1', 'A.b_c:p:c', '_V1St-9|1|2', '-1', 'Root=1-5e:%s', '*$1+/='];
const PHASES = ['p', 'c', 'v', 'x'] as const;
const DAYS = ['2023-12-30', '2023-12-31', '2024-02-28', '2024-02-29', '2024-03-01', '2024-12-31', '2025-01-01'];
const AMOUNT_MAX = 2n ** 63n - 1n;

/** What one step does; `current` as the expected version means whatever the hash has. */
type Step =
  | { readonly kind: 'deduct'; readonly tenants: readonly TenantDeltas[] }
  | { readonly kind: 'hold'; readonly request: HoldRequest }
  | { readonly kind: 'release'; readonly tenantId: string; readonly traceId: string }
  | { readonly kind: 'project'; readonly current: boolean; readonly projections: readonly TenantProjection[] }
  | { readonly kind: 'forgetScripts' };

const edge = fc.constantFrom(0n, 10n ** 9n, 2n ** 53n, 10n ** 14n, 2n ** 62n, AMOUNT_MAX - 3n);
const magnitude = fc.oneof(
  { weight: 5, arbitrary: fc.bigInt(0n, 20n) },
  { weight: 2, arbitrary: fc.tuple(edge, fc.bigInt(0n, 3n)).map(([near, more]) => near + more) },
  { weight: 1, arbitrary: fc.bigInt(0n, AMOUNT_MAX) },
);
const amount = fc.tuple(magnitude, fc.constantFrom(1n, -1n, -1n)).map(([nano, sign]) => nano * sign);
const quota = fc.option(fc.integer({ min: 0, max: 4 }), { nil: null });
const used = fc.integer({ min: 0, max: 4 });
const seq = fc.integer({ min: 0, max: 4 });
const tenant = fc.constantFrom(...TENANTS);
const trace = fc.constantFrom(...TRACES);
const day = fc.constantFrom(...DAYS);
const flag = fc.boolean();

const item: fc.Arbitrary<OverlayItem> = fc.record({
  traceId: trace,
  phase: fc.constantFrom(...PHASES),
  delta: fc.record({
    availableNano: amount,
    checkBalance: flag,
    requests: fc.constantFrom(1 as const, 1 as const, 0 as const, -1 as const),
    checkQuota: flag,
    day,
  }),
});

const counts = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .oneof(fc.array(used, { maxLength }), fc.array(used, { minLength: maxLength, maxLength }))
    .map((each) => each.slice(0, each.findLastIndex((count) => count > 0) + 1).join(','));
const pastCounts = fc.tuple(counts(59), counts(2)).map((lists) => lists.join('|'));

const hash: fc.Arbitrary<QuotaHash> = fc.record({
  balanceNano: amount,
  creditLimitNano: magnitude,
  heldNano: magnitude,
  dailyQuota: quota,
  dailyUsed: used,
  dailyDate: day,
  monthlyQuota: quota,
  monthlyUsed: used,
  monthlyMonth: day.map((one) => one.slice(0, 7)),
  pastCounts,
  version: seq,
});

const drop: fc.Arbitrary<DropSpec> = fc.record({ traceId: trace, phase: fc.constantFrom(...PHASES, 'all' as const) });

const deltas: fc.Arbitrary<TenantDeltas> = fc.record({
  tenantId: tenant,
  ledgerSeq: fc.oneof({ weight: 3, arbitrary: fc.constant(9) }, seq),
  items: fc.array(item, { maxLength: 6 }),
});

const projection: fc.Arbitrary<TenantProjection> = fc.record({
  tenantId: tenant,
  expectedVersion: fc.option(seq, { nil: null }),
  onlyIfNoInflight: fc.boolean(),
  hash,
  drop: fc.array(drop, { maxLength: 5 }),
});

const ofDistinctTenants = { selector: (one: { tenantId: string }) => one.tenantId, minLength: 1, maxLength: 4 };

const request: fc.Arbitrary<HoldRequest> = fc.record({
  tenantId: tenant,
  traceId: trace,
  amountNano: magnitude.map((nano) => (nano === 0n ? 1n : nano)),
  checkBalance: flag,
  checkQuota: flag,
  day,
});

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('deduct' as const), tenants: fc.uniqueArray(deltas, ofDistinctTenants) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('hold' as const), request }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), tenantId: tenant, traceId: trace }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('project' as const),
      current: fc.boolean(),
      projections: fc.uniqueArray(projection, ofDistinctTenants),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'forgetScripts' as const }) },
);

/** One step, whether it is sent a second time as after a lost reply, and when. */
const timedStep = fc.record({ step, retried: fc.boolean(), nowMs: fc.integer({ min: 0, max: 2 ** 41 }) });

describe('the quota scripts', function () {
  this.timeout(120_000);
  let test: TestRedis;
  let scripts: QuotaScripts;
  let bySpan: Record<'bucket' | 'node', QuotaScripts>;

  before(async () => {
    test = await openTestRedis();
    bySpan = {
      bucket: new QuotaScripts(test.redis, { prefix: test.prefix, callSpan: 'bucket' }),
      node: new QuotaScripts(test.redis, { prefix: test.prefix, callSpan: 'node' }),
    };
  });

  after(() => test.close());

  it('answer and store what their model says, whatever the order, repetition and size of the amounts', async () => {
    const seed = propertySeed();
    const start = fc.uniqueArray(projection, { ...ofDistinctTenants, minLength: 0 });
    const callSpan = fc.constantFrom('bucket' as const, 'node' as const);
    const steps = fc.array(timedStep, { maxLength: 20 });
    const property = fc.asyncProperty(callSpan, start, steps, async (span, initial, timedSteps) => {
      scripts = bySpan[span];
      await test.clear();
      const model = new QuotaScriptsModel();
      const hydrate = initial.map((one) => ({ ...one, expectedVersion: null }));
      expect(await scripts.project(hydrate)).to.deep.equal(model.project(hydrate));
      for (const { step: next, retried, nowMs } of timedSteps) {
        await compareStep(model, next, nowMs);
        if (retried) await compareStep(model, next, nowMs + 1);
      }
      expect(await keysUnder(test.redis, test.prefix)).to.deep.equal(Object.keys(model.state(test.prefix)).sort());
    });
    await fc.assert(property, { seed, numRuns: 600 });
  });

  async function compareStep(model: QuotaScriptsModel, next: Step, nowMs: number): Promise<void> {
    const before = model.state(test.prefix);
    const [actual, expected] = await runStep(model, next, nowMs);
    expect(actual, `the reply to ${next.kind}`).to.deep.equal(expected);
    const after = await redisState();
    expect(after, `the state after ${next.kind}`).to.deep.equal(model.state(test.prefix));
    if (isRefused(actual)) expect(after, 'a refusal').to.deep.equal(before);
  }

  async function runStep(model: QuotaScriptsModel, next: Step, nowMs: number): Promise<[unknown, unknown]> {
    switch (next.kind) {
      case 'deduct':
        return [await scripts.deduct(next.tenants, nowMs), model.deduct(next.tenants, nowMs)];
      case 'hold':
        return [await scripts.hold(next.request, nowMs), model.hold(next.request, nowMs)];
      case 'release':
        return [await scripts.release(next.tenantId, next.traceId), model.release(next.tenantId, next.traceId)];
      case 'project': {
        const wanted = next.projections.map((one) =>
          next.current ? { ...one, expectedVersion: model.version(one.tenantId) } : one,
        );
        return [await scripts.project(wanted), model.project(wanted)];
      }
      case 'forgetScripts':
        return [await test.redis.script('FLUSH'), 'OK'];
    }
  }

  async function redisState(): Promise<RedisState> {
    const keys = TENANTS.flatMap((tenantId) => {
      const { quota, inflight } = quotaKeys(test.prefix, tenantId);
      return [quota, inflight];
    });
    const hashes = await Promise.all(keys.map(async (key) => [key, await test.redis.hgetall(key)] as const));
    return Object.fromEntries(hashes.filter(([, fields]) => Object.keys(fields).length > 0));
  }
});

/** Tells whether a reply, or every part of it, says that nothing was done. */
function isRefused(reply: unknown): boolean {
  const text = JSON.stringify(reply, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  return !/"granted"|"already"|"projected"|true/.test(text);
}
