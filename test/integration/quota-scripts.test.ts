/** The quota scripts on a real Redis: what a random sequence does not reach, and what callers build upon. */
import { expect } from 'chai';
import { isTollbookError } from '../../src/runtime/errors.js';
import { sumItems } from '../../src/lua/quota-codec.js';
import { bucketOf, quotaKeys } from '../../src/lua/quota-keys.js';
import {
  type OverlayItem,
  type QuotaHash,
  QuotaScripts,
  type TenantProjection,
  type TenantReply,
} from '../../src/lua/quota-scripts.js';
import { readScripts } from '../../src/lua/script-source.js';
import { type TestRedis, openTestRedis } from '../model/test-redis.js';

const DAY = '2025-06-15';
const NOW_MS = 1_750_000_000_000;

function hashAt(version: number, balanceNano: bigint): QuotaHash {
  return {
    balanceNano,
    creditLimitNano: 0n,
    heldNano: 0n,
    dailyQuota: null,
    dailyUsed: 0,
    dailyDate: DAY,
    monthlyQuota: null,
    monthlyUsed: 0,
    pastCounts: '|',
    monthlyMonth: '2025-06',
    version,
  };
}

function charge(traceId: string, costNano: bigint): OverlayItem {
  const delta = { availableNano: -costNano, checkBalance: true, requests: 1 as const, checkQuota: true, day: DAY };
  return { traceId, phase: 'c', delta };
}

function projection(tenantId: string, from: number | null, hash: QuotaHash, traceIds: string[] = []): TenantProjection {
  const drop = traceIds.map((traceId) => ({ traceId, phase: 'all' as const }));
  return { tenantId, expectedVersion: from, onlyIfNoInflight: false, hash, drop };
}

function kindsOf(reply: TenantReply | undefined): string[] {
  return reply?.kind === 'decided' ? reply.items.map((item) => item.kind) : [reply?.kind ?? 'none'];
}

function count(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_none, index) => `trace-${from + index}`);
}

describe('the quota scripts, by example', function () {
  this.timeout(30_000);
  let test: TestRedis;
  let scripts: QuotaScripts;

  before(async () => {
    test = await openTestRedis();
    scripts = new QuotaScripts(test.redis, { prefix: test.prefix });
  });

  afterEach(() => test.clear());
  after(() => test.close());

  async function failureOf(work: Promise<unknown>): Promise<string> {
    try {
      await work;
    } catch (error) {
      return isTollbookError(error) ? error.code : String(error);
    }
    return 'none';
  }

  it('survive a SCRIPT FLUSH between two calls and answer as if nothing had happened', async () => {
    await scripts.project([projection('acme', null, hashAt(1, 10n)), projection('bolt', null, hashAt(1, 10n))]);
    await test.redis.script('FLUSH');
    const wanted = ['acme', 'bolt'].map((tenantId) => ({ tenantId, ledgerSeq: 1, items: [charge('t', 4n)] }));
    expect((await scripts.deduct(wanted, NOW_MS)).map(kindsOf)).to.deep.equal([['granted'], ['granted']]);
    await test.redis.script('FLUSH');
    const moved = [projection('acme', 1, hashAt(2, 6n), ['t']), projection('bolt', 1, hashAt(2, 6n), ['t'])];
    const done = { kind: 'projected', dropped: 1 };
    expect(await scripts.project(moved)).to.deep.equal([done, done]);
  });

  it('decide 2,000 items of one tenant in one call, each seeing what the ones before it took', async () => {
    await scripts.project([projection('acme', null, hashAt(1, 1_500n))]);
    const items = count(0, 2_000).map((traceId) => charge(traceId, 1n));
    const [reply] = await scripts.deduct([{ tenantId: 'acme', ledgerSeq: 1, items }], NOW_MS);
    expect(kindsOf(reply)).to.deep.equal([
      ...Array<string>(1_500).fill('granted'),
      ...Array<string>(500).fill('refused'),
    ]);
    const refused = { code: 'INSUFFICIENT_BALANCE', requiredNano: 1n, availableNano: 0n };
    expect(reply).to.have.deep.nested.property('items[1999].refusal', refused);
    const drained = projection('acme', 1, hashAt(1_501, 0n), count(0, 2_000));
    expect(await scripts.project([drained])).to.deep.equal([{ kind: 'projected', dropped: 1_500 }]);
    expect(await test.redis.exists(quotaKeys(test.prefix, 'acme').inflight)).to.equal(0);
  });

  it('serve 64 tenants of one bucket in one call, and hundreds over all buckets, in the order asked', async () => {
    const names = Array.from({ length: 40_000 }, (_none, index) => `t${index}`);
    const oneBucket = names.filter((tenantId) => bucketOf(tenantId) === 7).slice(0, 65);
    const tenants = [...oneBucket, ...names.slice(0, 400).filter((tenantId) => bucketOf(tenantId) !== 7)];
    await scripts.project(tenants.map((tenantId, index) => projection(tenantId, null, hashAt(1, BigInt(index)))));
    const wanted = tenants.map((tenantId) => ({ tenantId, ledgerSeq: 1, items: [charge('t', 1_000_000n)] }));
    const replies = await scripts.deduct(wanted, NOW_MS);
    replies.forEach((reply, index) => {
      const refusal = { code: 'INSUFFICIENT_BALANCE', requiredNano: 1_000_000n, availableNano: BigInt(index) };
      expect(reply).to.deep.equal({ kind: 'decided', items: [{ kind: 'refused', refusal }] });
    });
    expect(await scripts.versions([...tenants, 'nobody'])).to.deep.equal([...tenants.map(() => 1), null]);
  });

  it('never erase a concurrent deduction by projecting', async () => {
    const opening = 1_000_000n;
    await scripts.project([projection('acme', null, hashAt(0, opening))]);
    const other = await openTestRedis();
    const deductor = new QuotaScripts(other.redis, { prefix: test.prefix });
    const ledger: string[] = [];
    const lane = async (traceIds: readonly string[]): Promise<void> => {
      for (const traceId of traceIds) {
        const wanted = { tenantId: 'acme', ledgerSeq: 400, items: [charge(traceId, 7n)] };
        expect((await deductor.deduct([wanted], NOW_MS)).map(kindsOf)).to.deep.equal([['granted']]);
        ledger.push(traceId);
      }
    };
    const deducting = Promise.all([0, 100, 200, 300].map((from) => lane(count(from, from + 100))));
    for (let projected = 0; projected < 400;) {
      const until = ledger.length;
      const hash = hashAt(until, opening - 7n * BigInt(until));
      const replies = await scripts.project([projection('acme', projected, hash, ledger.slice(projected, until))]);
      expect(replies).to.deep.equal([{ kind: 'projected', dropped: until - projected }]);
      projected = until;
    }
    await deducting;
    await other.close();
    expect(await scripts.readQuota(['acme'])).to.deep.equal([hashAt(400, opening - 2_800n)]);
    expect(await scripts.readInflight(['acme'])).to.deep.equal([[]]);
  });

  it('keep sums beside the items that an audit finds equal, and list the tenants with something in flight', async () => {
    const tenants = Array.from({ length: 30 }, (_none, index) => `t${index}`);
    await scripts.project(tenants.map((tenantId) => projection(tenantId, null, hashAt(1, 100n))));
    const busy = tenants.slice(0, 20);
    await scripts.deduct(
      busy.map((tenantId) => ({ tenantId, ledgerSeq: 1, items: [charge('a:b', 3n), charge('c', 4n)] })),
      NOW_MS,
    );
    for (const { items, sums } of await scripts.readOverlays(tenants)) expect(sums).to.deep.equal(sumItems(items));
    const [first] = await scripts.readInflight(['t0']);
    const item = { phase: 'c', requests: 1, day: DAY, createdAtMs: NOW_MS };
    expect([...(first ?? [])].sort((a, b) => (a.traceId < b.traceId ? -1 : 1))).to.deep.equal([
      { traceId: 'a:b', availableNano: -3n, ...item },
      { traceId: 'c', availableNano: -4n, ...item },
    ]);
    const found = new Set<string>();
    for await (const page of scripts.scanInflight(10)) for (const tenantId of page) found.add(tenantId);
    expect([...found].sort()).to.deep.equal([...busy].sort());
  });

  it('drop a few of very many items in flight, every phase of an ended trace, and nothing else', async () => {
    await scripts.project([projection('acme', null, hashAt(1, 1_000_000n))]);
    const phases = ['p', 'c', 'v', 'x'] as const;
    const ended = phases.map((phase) => ({ ...charge('ended', 1n), phase }));
    const held = { ...charge('held', 1n), phase: 'p' as const };
    const items = [...ended, held, charge('held', 1n), ...count(0, 5_000).map((traceId) => charge(traceId, 1n))];
    await scripts.deduct([{ tenantId: 'acme', ledgerSeq: 1, items }], NOW_MS);
    const drop = [
      { traceId: 'ended', phase: 'all' as const },
      { traceId: 'ended', phase: 'c' as const },
      { traceId: 'held', phase: 'p' as const },
      { traceId: 'nobody', phase: 'all' as const },
    ];
    const replies = await scripts.project([{ ...projection('acme', 1, hashAt(2, 1_000_000n)), drop }]);
    expect(replies).to.deep.equal([{ kind: 'projected', dropped: 5 }]);
    const [overlay] = await scripts.readOverlays(['acme']);
    const left = new Set(overlay?.items.map(({ traceId, phase }) => `${traceId}:${phase}`));
    expect(left).to.deep.equal(new Set(['held:c', ...count(0, 5_000).map((traceId) => `${traceId}:c`)]));
    expect(overlay?.sums).to.deep.equal(sumItems(overlay?.items ?? []));
  });

  it('delete the in-flight key with its last item, however it goes', async () => {
    const { inflight } = quotaKeys(test.prefix, 'acme');
    await scripts.project([projection('acme', null, hashAt(1, 100n))]);
    const request = { tenantId: 'acme', amountNano: 5n, checkBalance: true, checkQuota: true, day: DAY };
    expect(await scripts.hold({ ...request, traceId: 't' }, NOW_MS)).to.deep.equal({ kind: 'granted' });
    expect(await scripts.release('acme', 't')).to.equal(true);
    expect(await scripts.release('acme', 't')).to.equal(false);
    expect(await test.redis.exists(inflight)).to.equal(0);
    await scripts.hold({ ...request, traceId: 'u' }, NOW_MS);
    const dropOne = { ...projection('acme', 1, hashAt(2, 100n)), drop: [{ traceId: 'u', phase: 'p' as const }] };
    expect(await scripts.project([dropOne])).to.deep.equal([{ kind: 'projected', dropped: 1 }]);
    expect(await test.redis.exists(inflight)).to.equal(0);
  });

  it('keep amounts exact where a double is not: at 2^53 + 1 and up to 2^63 - 1', async () => {
    const max = 2n ** 63n - 1n;
    await scripts.project([projection('acme', null, hashAt(1, max)), projection('bolt', null, hashAt(1, 2n ** 53n))]);
    const wanted = [
      { tenantId: 'acme', ledgerSeq: 1, items: [charge('all', max), charge('more', 1n)] },
      { tenantId: 'bolt', ledgerSeq: 1, items: [charge('over', 2n ** 53n + 1n), charge('all', 2n ** 53n)] },
    ];
    const replies = await scripts.deduct(wanted, NOW_MS);
    expect(replies.map(kindsOf)).to.deep.equal([
      ['granted', 'refused'],
      ['refused', 'granted'],
    ]);
    const overlays = await scripts.readOverlays(['acme', 'bolt']);
    expect(overlays.map(({ sums }) => sums.availableNano)).to.deep.equal([-max, -(2n ** 53n)]);
    const tooLarge = [{ tenantId: 'acme', ledgerSeq: 1, items: [charge('t', max + 1n)] }];
    expect(await failureOf(scripts.deduct(tooLarge, NOW_MS))).to.equal('MONEY_OUT_OF_RANGE');
  });

  it('mend a hash that was tampered with, and decide the tenant beside it', async () => {
    const [first = '', second = ''] = Array.from({ length: 2_000 }, (_none, index) => `t${index}`).filter(
      (tenantId) => bucketOf(tenantId) === 7,
    );
    await scripts.project([first, second].map((tenantId) => projection(tenantId, null, hashAt(1, 100n))));
    await test.redis.hdel(quotaKeys(test.prefix, second).quota, 'held');
    const wanted = [first, second].map((tenantId) => ({ tenantId, ledgerSeq: 1, items: [charge('t', 1n)] }));
    expect(await failureOf(scripts.readQuota([second]))).to.equal('REDIS_FAILED');
    expect((await scripts.deduct(wanted, NOW_MS)).map(({ kind }) => kind)).to.deep.equal(['decided', 'unhydrated']);
    expect((await scripts.readInflight([first, second])).map((items) => items.length)).to.deep.equal([1, 0]);
    expect(await scripts.readQuota([second])).to.deep.equal([null]);
  });

  it('refuse arguments of the wrong count or shape before anything is written', async () => {
    const { quota, inflight } = quotaKeys(test.prefix, 'acme');
    await scripts.project([projection('acme', null, hashAt(1, 100n))]);
    const { 'quota-deduct': deduct, 'quota-hold': hold, 'quota-project': project } = readScripts();
    const item = ['t:c', '-1', `11|1|${DAY}`, ''].join('\0');
    const head = `1 0 1 1 1 1 ${DAY} 1 1 2025-06 2 1 3,0,7|40`;
    const calls: readonly (readonly [text: string, args: readonly string[]])[] = [
      [deduct.text, ['5', '1']],
      [deduct.text, ['5', '1', item, 'more']],
      [deduct.text, ['now', '1', item]],
      [deduct.text, ['5', '1', `${item}more`]],
      [deduct.text, ['5', '1', `${item}\0${item}`]],
      [deduct.text, ['5', '1', item.slice(0, -1)]],
      [deduct.text, ['5', '1', item.replace('t:c', '~available')]],
      [deduct.text, ['5', '1', item.replace('t:c', '~t:c')]],
      [deduct.text, ['5', '1', item.replace('t:c', 't:q')]],
      [deduct.text, ['5', '1', item.replace('t:c', ':c')]],
      [deduct.text, ['5', '1', item.replace('t:c', 'c')]],
      [deduct.text, ['5', '1', item.replace('t:c', '')]],
      [deduct.text, ['5', '1', item.replace('-1', '-1.5')]],
      [deduct.text, ['5', '1', item.replace('-1', '1e3')]],
      [deduct.text, ['5', '1', item.replace('-1', '0x10')]],
      [deduct.text, ['5', '1', item.replace('-1', '')]],
      [deduct.text, ['5', '1', item.replace('-1', '1'.repeat(21))]],
      [deduct.text, ['5', '1', item.replace('|1|', '|2|')]],
      [deduct.text, ['5', '1', item.replace(DAY, '2025-6-1')]],
      [deduct.text, ['5', '1', item.replace('11|', '1|')]],
      [deduct.text, ['5', '1', item.replace('11|', '12|')]],
      [hold.text, ['t', '0', DAY, '11', '5']],
      [hold.text, ['t', '-1', DAY, '11', '5']],
      [hold.text, ['t', '1', DAY, '5']],
      [hold.text, ['~t', '1', DAY, '11', '5']],
      [hold.text, ['t', '1', DAY, '12', '5']],
      [hold.text, ['t', '1', '2025-6-1', '11', '5']],
      [project.text, [head, '']],
      [project.text, [head, '', '', 'more']],
      [project.text, [head, '~available\0', '']],
      [project.text, [head, 't:c', '']],
      [project.text, [head, 't:c\0t:q\0', '']],
      [project.text, [head, '', 't']],
      [project.text, [head, '', '~t\0']],
      [project.text, [head, '', '\0']],
      [project.text, [head.replace('1 0 1', '1 0 NaN'), '', '']],
      [project.text, [head.replace('1 0 1', '1 2 1'), '', '']],
      [project.text, [head.replace(`1 ${DAY}`, `-1 ${DAY}`), '', '']],
      [project.text, [head.replace('1 1 2025-06', 'limited 1 2025-06'), '', '']],
      [project.text, [`${head} 1`, '', '']],
      [project.text, [head.replace('|40', ''), '', '']],
    ];
    for (const [text, args] of calls) {
      const failure = test.redis.eval(text, 2, quota, inflight, ...args).then(
        () => 'accepted',
        () => 'failed',
      );
      expect(await failure, args.join(' ')).to.equal('failed');
    }
    expect(await scripts.readQuota(['acme'])).to.deep.equal([hashAt(1, 100n)]);
    expect(await test.redis.exists(inflight)).to.equal(0);
  });

  it('refuse a tenant named twice in a call, and a prefix that would move the hash tag', async () => {
    const twice = [1, 2].map(() => ({ tenantId: 'acme', ledgerSeq: 1, items: [charge('t', 1n)] }));
    expect(await failureOf(scripts.deduct(twice, NOW_MS))).to.equal('USAGE_INVALID');
    expect(() => new QuotaScripts(test.redis, { prefix: 'a{b}' })).to.throw('must match');
  });
});
