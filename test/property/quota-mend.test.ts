/**
 * Owns: mending on a real Redis: whatever somebody has written into the keys of a tenant, what can be read stays, all else
 * goes, and the sums are those of the items; and what counts as readable is the same for the script and for an audit.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { sumFields, sumItems } from '../../src/lua/quota-codec.js';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import type { ObservedOverlay } from '../../src/lua/quota-observation.js';
import { QuotaScripts } from '../../src/lua/quota-scripts.js';
import { propertySeed } from '../model/property-seed.js';
import { openTestRedis, type TestRedis } from '../model/test-redis.js';

const RUNS = 400;
/** In one bucket, so that one call serves both. */
const [BROKEN, SOUND] = ['tenant-2', 'tenant-64'];
const GOOD_ITEM = ['trace-1:c', '-5|1|2026-03-15|1750000000000'] as const;

const names = fc.constantFrom(
  'a:p',
  'b:c',
  'A.b:c:v',
  '9:x',
  'a',
  ':p',
  'a:q',
  '~a:p',
  ' a:c',
  'trace\n:c',
  'é:c',
  'a{b}:c',
);
const amounts = fc.constantFrom(
  '-5',
  '7',
  '0',
  '-0',
  '007',
  '12345678901234567890',
  '-1234567890123456789',
  '1.5',
  '',
  '1e3',
);
const requests = fc.constantFrom('1', '0', '-1', '-0', '2', '+1', '');
const days = fc.constantFrom('2026-03-15', '2026-04-01', '2026-3-15', '20260315', '9999-99-99', '');
const times = fc.constantFrom('1750000000000', '0', '-1', '999999999999999', '9999999999999999', 'now', '');
const values = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(amounts, requests, days, times).map((parts) => parts.join('|')) },
  { weight: 1, arbitrary: fc.constantFrom('', '|||', 'nonsense', '1|1|2026-03-15', '1|1|2026-03-15|1|1') },
);
const sums = fc.tuple(
  fc.constantFrom(
    '~available',
    '~day:2026-03-15',
    '~day:2026-04-01',
    '~month:2026-03',
    '~month:2026-04',
    '~',
    '~other',
  ),
  fc.constantFrom('0', '1', '-5', '2', 'x', '', '1.0'),
);
const fields = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.tuple(names, values) },
    { weight: 1, arbitrary: fc.constant(GOOD_ITEM) },
    { weight: 2, arbitrary: sums },
  ),
  { minLength: 1, maxLength: 8 },
);
const versions = fc.constantFrom('0', '7', '123456789012345', '07', '-1', '1.5', '', 'x', '9007199254740993', ' 7');

describe('mending the keys of a tenant', function () {
  this.timeout(60_000);
  let test: TestRedis;
  let scripts: QuotaScripts;

  before(async () => {
    test = await openTestRedis();
    scripts = new QuotaScripts(test.redis, { prefix: test.prefix });
  });
  afterEach(() => test.clear());
  after(() => test.close());

  function keysOf(tenantId: string): ReturnType<typeof quotaKeys> {
    return quotaKeys(test.prefix, tenantId);
  }

  async function overlayOf(tenantId: string): Promise<ObservedOverlay & { kind: 'read' }> {
    const [observation] = await scripts.observe([tenantId]);
    const overlay = observation!.overlay;
    if (overlay.kind !== 'read') throw new Error(`the overlay of ${tenantId} is ${overlay.found}`);
    return overlay;
  }

  /** How many fields must be set or taken out for the sums to be those of the items, and for nothing strange to be left. */
  function wrongFields({ items, sums: stored, strange }: ObservedOverlay & { kind: 'read' }): number {
    const wanted = sumFields(sumItems(items), items.length);
    const all = new Set([...wanted.keys(), ...stored.keys()]);
    return strange.length + [...all].filter((field) => wanted.get(field) !== stored.get(field)).length;
  }

  it('keeps every item that can be read, takes out the rest, and adds the sums up anew', async () => {
    const seed = propertySeed();
    const property = fc.asyncProperty(fields, async (written) => {
      const { inflight } = keysOf(BROKEN);
      await test.redis.del(inflight);
      await test.redis.hset(inflight, ...written.flat());
      const before = await overlayOf(BROKEN);
      const [reply] = await scripts.mend([{ tenantId: BROKEN }]);
      expect(reply).to.deep.equal({ hashDropped: false, fields: wrongFields(before), version: null });
      const after = await overlayOf(BROKEN);
      expect(after.items).to.have.deep.members([...before.items]);
      expect(wrongFields(after)).to.equal(0);
      expect(await test.redis.exists(inflight)).to.equal(before.items.length === 0 ? 0 : 1);
      await scripts.readOverlays([BROKEN]);
      expect(await scripts.mend([{ tenantId: BROKEN }])).to.deep.equal([
        { hashDropped: false, fields: 0, version: null },
      ]);
    });
    await fc.assert(property, { seed, numRuns: RUNS });
  });

  it('drops a quota hash exactly when its version cannot be read', async () => {
    const seed = propertySeed();
    const property = fc.asyncProperty(versions, async (version) => {
      const { quota } = keysOf(BROKEN);
      await test.redis.hset(quota, { version, balance: 'whatever' });
      const [observation] = await scripts.observe([BROKEN]);
      const [reply] = await scripts.mend([{ tenantId: BROKEN }]);
      expect(reply?.hashDropped).to.equal(observation?.hash.kind === 'unreadable');
      expect(reply?.version).to.equal(observation?.hash.kind === 'read' ? Number(version) : null);
      expect(await test.redis.exists(quota)).to.equal(reply?.hashDropped === true ? 0 : 1);
      expect(observation?.hash.kind).to.equal(/^(0|[1-9]\d{0,14})$/.test(version) ? 'read' : 'unreadable');
    });
    await fc.assert(property, { seed, numRuns: 40 });
  });

  it('drops a key that is no hash', async () => {
    const { quota, inflight } = keysOf(BROKEN);
    await test.redis.set(quota, 'text');
    await test.redis.rpush(inflight, 'list');
    const [observation] = await scripts.observe([BROKEN]);
    expect(observation).to.deep.include({ moved: false });
    expect([observation?.hash.kind, observation?.overlay.kind]).to.deep.equal(['unreadable', 'unreadable']);
    expect(await scripts.mend([{ tenantId: BROKEN }])).to.deep.equal([{ hashDropped: true, fields: 1, version: null }]);
    expect(await test.redis.exists(quota, inflight)).to.equal(0);
  });

  it('leaves the tenants beside it as they are', async () => {
    const { quota, inflight } = keysOf(SOUND);
    const overlay = {
      ...{ '~available': '-5', '~day:2026-03-15': '1', '~month:2026-03': '1' },
      [GOOD_ITEM[0]]: GOOD_ITEM[1],
    };
    await test.redis.hset(inflight, overlay);
    await test.redis.hset(quota, { version: '3', balance: '10' });
    await test.redis.hset(keysOf(BROKEN).inflight, { '~available': 'x' });
    const replies = await scripts.mend([{ tenantId: BROKEN }, { tenantId: SOUND }]);
    expect(replies).to.deep.equal([
      { hashDropped: false, fields: 1, version: null },
      { hashDropped: false, fields: 0, version: 3 },
    ]);
    expect(await test.redis.hgetall(inflight)).to.deep.equal(overlay);
    expect(await test.redis.hgetall(quota)).to.deep.equal({ version: '3', balance: '10' });
  });

  it('drops the hash of a tenant without an account only while it has the version named', async () => {
    const { quota } = keysOf(BROKEN);
    await test.redis.hset(quota, { version: '4' });
    expect(await scripts.mend([{ tenantId: BROKEN, hashToDrop: 3 }])).to.deep.equal([
      { hashDropped: false, fields: 0, version: 4 },
    ]);
    expect(await scripts.mend([{ tenantId: BROKEN, hashToDrop: 4 }])).to.deep.equal([
      { hashDropped: true, fields: 0, version: null },
    ]);
    expect(await test.redis.exists(quota)).to.equal(0);
  });
});
