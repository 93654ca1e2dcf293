/**
 * Owns: the audit on real servers: silent on what is right, also while it moves; naming each thing that somebody changed by
 * hand; and mending it through the projection.
 */
import { expect } from 'chai';
import { PostgresLedgerHistory } from '../../src/ledger/postgres/postgres-ledger-history.js';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { amountText } from '../../src/projections/audit-difference.js';
import { type AuditOrder, type AuditReport, auditLedger } from '../../src/projections/audit-sweep.js';
import { expectAtRest } from '../support/at-rest.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { repeatDuring } from '../support/rebuild-samples.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

const TTL_MS = 60_000;
const DAY = '2026-03-15';

type Keys = ReturnType<typeof quotaKeys>;

describe('the audit', function () {
  this.timeout(60_000);
  let world: ProtocolWorld;
  let tenantId: string;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  beforeEach(async () => {
    await world.server.clear();
    tenantId = await chargedTenant();
    await world.project(await allTenants());
    // Past the time in which a hash that is missing is about to be projected.
    world.clock.atMs += 20_000;
  });
  after(() => world.close());

  /** A tenant with 10 units, a charge of 4 and a hold of 2: entries 1 to 4. */
  async function chargedTenant(): Promise<string> {
    const id = world.tenant();
    await world.credit(id, '10');
    await world
      .protocol()
      .charge(world.stream('completed').chunk([wireCompleted({ tenantId: id, traceId: 'a', units: 4 })]));
    await world
      .protocol()
      .charge(world.stream('pending').chunk([wirePending({ tenantId: id, traceId: 'b', units: 2 })]));
    return id;
  }

  async function allTenants(): Promise<string[]> {
    return (await world.rows<{ tenant_id: string }>('SELECT tenant_id FROM accounts')).map((row) => row.tenant_id);
  }

  function audit(order: Partial<AuditOrder> = {}): Promise<AuditReport> {
    const { reader, scripts, logger, pool, clock } = world;
    return auditLedger(
      { reader, scripts, logger, history: new PostgresLedgerHistory(pool) },
      { scope: { kind: 'all', after: '' }, repairs: false, leakAfterMs: TTL_MS, nowMs: () => clock.nowMs(), ...order },
    );
  }

  /** What an audit finds, as `FIELD: FOUND; expected EXPECTED`. */
  async function findings(order: Partial<AuditOrder> = {}): Promise<string[]> {
    const { drifts } = await audit(order);
    return drifts.flatMap(({ differences }) =>
      differences.map(({ field, found, expected }) => `${field}: ${found}; expected ${expected}`),
    );
  }

  const keys = (): ReturnType<typeof quotaKeys> => quotaKeys(world.server.prefix, tenantId);
  const itemText = (avail: string, createdMs: number): string => `${avail}|1|${DAY}|${createdMs}`;

  async function hold(traceId: string): Promise<void> {
    const asked = { tenantId, traceId, amountNano: 1_000_000_000n, checkBalance: true, checkQuota: true, day: DAY };
    expect((await world.scripts.hold(asked, world.clock.nowMs())).kind).to.equal('granted');
  }

  it('finds nothing where nothing is wrong, and tells how many tenants it has looked at', async () => {
    const { tenants, drifting, left, fields, next, ...report } = await audit();
    expect({ tenants, drifting, left, next, fields: [...fields] }).to.deep.equal({
      ...{ tenants: (await allTenants()).length, drifting: 0, left: 0, next: null, fields: [] },
    });
    expect([report.behind.count, report.unsettled.count, report.restless]).to.deep.equal([0, 0, 0]);
  });

  it('takes neither a hash that is behind nor a charge under way for a difference, and tells of both', async () => {
    await hold('on-its-way');
    const later = [wireCompleted({ tenantId, traceId: 'c' }), wireCompleted({ tenantId, traceId: 'd' })];
    await world.protocol().charge(world.stream('completed').chunk(later));
    world.clock.atMs += 5_000;
    const { drifting, behind, unsettled } = await audit();
    expect(drifting).to.equal(0);
    expect(behind).to.deep.equal({ count: 1, oldestMs: 5_000 });
    expect(unsettled).to.deep.equal({ count: 1, oldestMs: 5_000 });
  });

  it('compares a hash that is behind with the ledger as it was at its version', async () => {
    const later = [wireCompleted({ tenantId, traceId: 'c' }), wireCompleted({ tenantId, traceId: 'd' })];
    await world.protocol().charge(world.stream('completed').chunk(later));
    await world.server.redis.hset(keys().quota, { balance: '5000000000', daily_used: '3' });
    expect(await findings()).to.deep.equal(['balance: 5.000000000; expected 6.000000000', 'daily_used: 3; expected 2']);
  });

  type Forgery = readonly [what: string, forge: () => Promise<unknown>, found: () => readonly string[]];

  const FORGERIES: readonly Forgery[] = [
    [
      'a balance by one nano-unit',
      () => world.server.redis.hincrby(keys().quota, 'balance', 1),
      () => ['balance: 6.000000001; expected 6.000000000'],
    ],
    [
      'a balance that no account can have',
      () => world.server.redis.hset(keys().quota, 'balance', '99999999999999999999'),
      () => ['balance: 99999999999.999999999; expected 6.000000000'],
    ],
    [
      'a balance that is no number',
      () => world.server.redis.hset(keys().quota, 'balance', 'much'),
      () => ['balance: much; expected 6.000000000'],
    ],
    [
      'a held amount and a request count',
      () => world.server.redis.hset(keys().quota, { held: '0', monthly_used: '0' }),
      () => ['monthly_used: 0; expected 2', 'held: 0.000000000; expected 2.000000000'],
    ],
    [
      'a window and a quota',
      () => world.server.redis.hset(keys().quota, { daily_date: '2026-03-16', daily_quota: '5' }),
      () => ['daily_quota: 5; expected unlimited', 'daily_date: 2026-03-16; expected 2026-03-15'],
    ],
    [
      'a field that is gone',
      () => world.server.redis.hdel(keys().quota, 'credit_limit'),
      () => ['credit_limit: nothing; expected 0.000000000'],
    ],
    [
      'a version ahead of the ledger',
      () => world.server.redis.hset(keys().quota, 'version', '9'),
      () => ['version: 9; expected 4 at most'],
    ],
    [
      'a version nobody can read',
      () => world.server.redis.hset(keys().quota, 'version', 'nine'),
      () => ['hash: version "nine"; expected the ledger at 4'],
    ],
    [
      'a hash that is gone',
      () => world.server.redis.del(keys().quota),
      () => ['hash: missing; expected the ledger at 4'],
    ],
    [
      'a key of another type',
      async () => {
        await world.server.redis.del(keys().quota);
        await world.server.redis.set(keys().quota, '6');
      },
      () => ['hash: a key that is no hash; expected the ledger at 4'],
    ],
    [
      'an item put into flight by hand',
      () => world.server.redis.hset(keys().inflight, 'forged:c', itemText('-5000000000', world.clock.nowMs())),
      () => [
        'inflight_available: ~available = nothing; expected -5000000000',
        'inflight_requests: ~day:2026-03-15 = nothing; expected 1',
        'inflight_requests: ~month:2026-03 = nothing; expected 1',
      ],
    ],
    [
      'a sum beside no item at all',
      () => world.server.redis.hset(keys().inflight, '~available', '5000000000'),
      () => ['inflight_available: ~available = 5000000000; expected nothing'],
    ],
    [
      'a sum that is no number, which fails every script call',
      async () => {
        await hold('real');
        await world.server.redis.hset(keys().inflight, '~available', 'lots');
      },
      () => ['inflight_available: ~available = lots; expected -1000000000'],
    ],
    [
      'something that is no item',
      () => world.server.redis.hset(keys().inflight, 'note', 'remember'),
      () => ['inflight_item: note = remember; expected an item TRACE:PHASE = AVAIL|REQUESTS|DAY|TIME'],
    ],
    [
      'an item whose charge is in the hash already',
      () => hold('b'),
      () => ['inflight_item: b:p of -1.000000000; expected nothing: entry 4 (PENDING) is in the hash'],
    ],
    [
      'an item that has outlived its time',
      async () => {
        await hold('leaked');
        world.clock.atMs += TTL_MS + 1;
      },
      () => ['inflight_item: leaked:p of -1.000000000; expected nothing: it did not reach the ledger within 60 s'],
    ],
    [
      'an item from the future, which would never grow old',
      async () => {
        world.clock.atMs += 3_600_000;
        await hold('future');
        world.clock.atMs -= 3_600_000;
      },
      () => ['inflight_item: future:p of -1.000000000; expected nothing: it comes from the future'],
    ],
  ];

  for (const [what, forge, found] of FORGERIES) {
    it(`names ${what}, mends it, and is silent again`, async () => {
      await forge();
      expect(await findings()).to.deep.equal(found());
      const repair = await audit({ repairs: true });
      expect([repair.drifting, repair.repaired, repair.left]).to.deep.equal([1, 1, 0]);
      expect(await findings()).to.deep.equal([]);
      const sound = (await world.inFlight(tenantId)).filter(
        ({ traceId }) => traceId === 'real' || traceId === 'forged',
      );
      await world.server.redis.del(sound.length > 0 ? keys().inflight : 'none');
      await expectAtRest(world, [tenantId]);
    });
  }

  it('never drops an item that may still reach the ledger while it mends the rest', async () => {
    await hold('on-its-way');
    await world.server.redis.hset(keys().inflight, { junk: 'x', '~available': '0' });
    await world.server.redis.hset(keys().quota, { version: 'x' });
    expect((await audit({ repairs: true })).left).to.equal(0);
    expect((await world.inFlight(tenantId)).map(({ traceId, phase }) => `${traceId}:${phase}`)).to.deep.equal([
      'on-its-way:p',
    ]);
    expect(await findings()).to.deep.equal([]);
  });

  it('names every item without an entry once told that nothing charges', async () => {
    await hold('forged');
    world.clock.atMs += 1;
    expect(await findings()).to.deep.equal([]);
    expect(await findings({ leakAfterMs: 0 })).to.deep.equal([
      'inflight_item: forged:p of -1.000000000; expected nothing: it did not reach the ledger within 0 s',
    ]);
  });

  it('adds up how much money and how old it is, by field', async () => {
    await world.server.redis.hset(keys().quota, { balance: '5000000000', held: '2500000000' });
    const { fields, amountNano, oldestMs } = await audit();
    expect([...fields].map(([field, { count, amountNano: nano }]) => [field, count, amountText(nano)])).to.deep.equal([
      ['balance', 1, '1.000000000'],
      ['held', 1, '0.500000000'],
    ]);
    expect(amountNano).to.equal(1_500_000_000n);
    expect(oldestMs).to.equal(20_000);
  });

  it('names an account that is not what its last entry left, and does not copy it into Redis', async () => {
    await world.asOwner(`UPDATE accounts SET balance = balance + 100 WHERE tenant_id = '${tenantId}'`);
    const expected = ['account: balance 106.000000000; expected 6.000000000, as entry 4 left it'];
    expect(await findings()).to.deep.equal(expected);
    const { repaired, left } = await audit({ repairs: true });
    expect([repaired, left]).to.deep.equal([0, 1]);
    expect(await world.hash(tenantId)).to.include({ balance: '6000000000' });
    await world.asOwner(`UPDATE accounts SET balance = balance - 100 WHERE tenant_id = '${tenantId}'`);
  });

  it('names the keys of tenants without an account, and removes them', async () => {
    const { redis, prefix } = world.server;
    const young = `-1000000000|1|2026-03-15|${world.clock.nowMs()}`;
    const [stranger, bare, text, loose, opening] = ['stranger', 'bare', 'text', 'loose', 'opening'].map((name) =>
      quotaKeys(prefix, name),
    ) as [Keys, Keys, Keys, Keys, Keys];
    await redis.hset(stranger.quota, { ...(await world.hash(tenantId)), version: '12' });
    await redis.hset(stranger.inflight, { 'a:p': young });
    await redis.hset(bare.quota, { balance: '5000000000' });
    await redis.set(text.quota, 'text');
    await redis.hset(loose.inflight, { 'a:p': young, '~available': '-1000000000' });
    await redis.hset(opening.quota, { ...(await world.hash(tenantId)), version: '0' });
    await redis.hset(opening.inflight, { 'a:c': young });
    const what = ['the ledger at 12', 'an unreadable hash', 'keys without a version', 'keys without a version'];
    expect(await findings()).to.have.members(
      what.map((found) => `hash: ${found}; expected nothing: the tenant has no account`),
    );
    expect((await audit({ repairs: true })).left).to.equal(0);
    const gone = [stranger, bare, text, loose].flatMap(({ quota, inflight }) => [quota, inflight]);
    expect(await redis.exists(...gone)).to.equal(0);
    expect(await redis.exists(opening.quota, opening.inflight), 'of an account about to open').to.equal(2);
    expect(await findings()).to.deep.equal([]);
    await redis.del(opening.quota, opening.inflight);
  });

  it('takes no hash for a stranger that a chunk has just made to open the account, but one that stays', async () => {
    const { redis, prefix } = world.server;
    const fresh = { ...(await world.hash(tenantId)), version: '0' };
    const [newcomer, left] = [quotaKeys(prefix, 'newcomer'), quotaKeys(prefix, 'left')];
    await redis.hset(newcomer.quota, fresh);
    await redis.hset(left.quota, fresh);
    const looking = findings();
    await world.credit('newcomer', '5');
    expect(await looking).to.deep.equal(['hash: the ledger at 0; expected nothing: the tenant has no account']);
    expect((await audit({ repairs: true })).left).to.equal(0);
    expect(await redis.exists(left.quota)).to.equal(0);
  });

  it('names a hash that stays behind its ledger, and repairs it', async () => {
    await world.protocol().charge(world.stream('completed').chunk([wireCompleted({ tenantId, traceId: 'c' })]));
    world.clock.atMs += 10_000;
    expect(await findings()).to.deep.equal(['version: 4; expected 5']);
    const { repaired, left } = await audit({ repairs: true });
    expect([repaired, left]).to.deep.equal([1, 0]);
    expect((await world.hash(tenantId))['version']).to.equal('5');
  });

  it('looks at the named tenants only', async () => {
    await world.server.redis.hincrby(keys().quota, 'balance', 1);
    const other = (await allTenants()).find((id) => id !== tenantId) ?? '';
    expect(await findings({ scope: { kind: 'named', tenantIds: [other] } })).to.deep.equal([]);
    expect(await findings({ scope: { kind: 'named', tenantIds: [tenantId, tenantId] } })).to.have.length(1);
  });

  it('raises no false alarm while the tenants it looks at are charged and projected all the time', async () => {
    const tenantIds = await Promise.all(Array.from({ length: 8 }, chargedTenant));
    await world.project(tenantIds);
    const charging = Promise.all(
      ['left', 'right'].map(async (side) => {
        const stream = world.stream('completed');
        for (let round = 0; round < 60; round += 1) {
          const events = tenantIds.map((id) =>
            wireCompleted({ tenantId: id, traceId: `${side}-${round}`, fields: { stream: true } }),
          );
          await world.protocol().charge(stream.chunk(events));
          await world.project(tenantIds);
        }
      }),
    );
    let behind = 0;
    const audits = await repeatDuring(charging, async () => {
      const report = await audit();
      expect(report.drifts, 'no difference while it moves').to.deep.equal([]);
      behind += report.behind.count;
    });
    expect(audits).to.be.greaterThan(10);
    expect(behind, 'some hashes were caught behind their ledger').to.be.greaterThan(0);
    await expectAtRest(world, tenantIds);
  });
});
