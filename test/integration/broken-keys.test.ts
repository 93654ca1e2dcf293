/** A key that somebody else has written to harms its own tenant, for a moment: it is mended at once, and the others go on. */
import { expect } from 'chai';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { QuotaScripts } from '../../src/lua/quota-scripts.js';
import { sweepInflight } from '../../src/projections/inflight-sweeper.js';
import { projectTenants } from '../../src/projections/projection.js';
import { Projector } from '../../src/projections/projector.js';
import { rebuildHashes } from '../../src/projections/rebuild-hashes.js';
import { expectAtRest } from '../support/at-rest.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted } from '../support/wire-usage.js';

const TENANTS = 6;

describe('a key that Tollbook has not written', () => {
  let world: ProtocolWorld;
  let scripts: QuotaScripts;
  let mended: string[];
  let tenantIds: string[];
  let bad: string;

  before(async () => {
    world = await ProtocolWorld.open();
    const { redis, prefix } = world.server;
    scripts = new QuotaScripts(redis, { prefix, callSpan: 'node', onMended: (ids) => void mended.push(...ids) });
  });
  beforeEach(async () => {
    mended = [];
    tenantIds = Array.from({ length: TENANTS }, () => world.tenant());
    for (const tenantId of tenantIds) await world.credit(tenantId, '10');
    await world.project(tenantIds);
    bad = tenantIds[2] ?? '';
  });
  after(() => world.close());

  const WAYS: Readonly<Record<string, (keys: ReturnType<typeof quotaKeys>) => Promise<unknown>>> = {
    'a string in place of the quota hash': async ({ quota }) => world.server.redis.set(quota, 'text'),
    'a string in place of the items in flight': async ({ inflight }) => world.server.redis.set(inflight, 'text'),
    'a balance that is no number': async ({ quota }) => world.server.redis.hset(quota, { balance: 'much' }),
    'a balance beyond any integer': async ({ quota }) => world.server.redis.hset(quota, { balance: '9'.repeat(40) }),
    'a field that is missing': async ({ quota }) => world.server.redis.hdel(quota, 'held'),
    'a version that is no number': async ({ quota }) => world.server.redis.hset(quota, { version: 'new' }),
    'a sum that is no number': async ({ inflight }) => world.server.redis.hset(inflight, { '~available': 'all' }),
  };
  for (const [name, spoil] of Object.entries(WAYS)) {
    it(`with ${name}, is mended by the next charge, and no tenant beside it is charged without Redis`, async () => {
      await spoil(quotaKeys(world.server.prefix, bad));
      const events = tenantIds.map((tenantId) => wireCompleted({ tenantId, traceId: 'charged' }));
      await world.protocol({ gate: world.gate(scripts) }).charge(world.stream('completed').chunk(events));
      for (const tenantId of tenantIds) {
        expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED']);
        expect(
          (await world.inFlight(tenantId)).map(({ traceId }) => traceId),
          tenantId,
        ).to.deep.equal(['charged']);
      }
      expect(mended).to.deep.equal([bad]);
      await expectAtRest(world, tenantIds);
    });

    it(`with ${name}, holds up the projection of no other tenant, and is projected too`, async () => {
      await spoil(quotaKeys(world.server.prefix, bad));
      for (const tenantId of tenantIds) await world.credit(tenantId, '1');
      const ports = { reader: world.reader, scripts, logger: world.logger };
      const { again } = await projectTenants(ports, tenantIds);
      expect(again).to.deep.equal([]);
      await projectTenants(ports, again);
      const projector = new Projector({ ...ports, onFatal: (error) => expect.fail(error.message) });
      await sweepInflight({ scripts, reader: world.reader, projector, clock: world.clock, ttlMs: 1 });
      await rebuildHashes(ports, { kind: 'named', tenantIds });
      await expectAtRest(world, tenantIds);
    });
  }

  it('with a malformed item in flight, is mended when that item is in the way', async () => {
    await world.server.redis.hset(quotaKeys(world.server.prefix, bad).inflight, {
      'a:c': 'rubbish',
      '~available': '-1',
    });
    const events = [wireCompleted({ tenantId: bad, traceId: 'a' })];
    await world.protocol({ gate: world.gate(scripts) }).charge(world.stream('completed').chunk(events));
    expect(await world.statuses(bad)).to.deep.equal(['COMMITTED']);
    expect(mended).to.deep.equal([bad]);
    await expectAtRest(world, tenantIds);
  });
});
