/** Owns: `tollbook audit` as an operator types it: what it prints, its exit codes, samples, repairs, and wrong input. */
import { expect } from 'chai';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { expectAtRest } from '../support/at-rest.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { documentIn, manyTenants, runIn } from '../support/rebuild-samples.js';

const TENANTS = 30;
const DAY = '2026-03-15';

describe('tollbook audit', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let tenantIds: string[];

  before(async () => {
    world = await ProtocolWorld.open();
    tenantIds = await manyTenants(world, 'many', TENANTS);
  });
  beforeEach(async () => {
    await world.server.clear();
    await world.project(tenantIds);
  });
  after(() => world.close());

  const keysOf = (tenantId: string): ReturnType<typeof quotaKeys> => quotaKeys(world.server.prefix, tenantId);

  it('says that there is no difference, with exit code 0', async () => {
    const { exitCode, stdout, stderr } = await runIn(world, 'audit');
    expect(exitCode, stderr).to.equal(0);
    expect(stdout).to.equal('30 tenants looked at: no difference\n');
    const { document } = await documentIn(world, 'audit');
    expect(document).to.deep.equal({
      ...{
        tenants: TENANTS,
        drifting: 0,
        left: 0,
        restless: 0,
        amount: '0.000000000',
        oldestSeconds: null,
        fields: {},
      },
      ...{ behind: { count: 0, oldestSeconds: 0 }, unsettled: { count: 0, oldestSeconds: 0 } },
      ...{ drifts: [], complete: true, next: null },
    });
  });

  it('names each difference with exit code 1, repairs when asked with exit code 0, and is silent then', async () => {
    await world.server.redis.hincrby(keysOf('many-0003').quota, 'balance', 250);
    await world.server.redis.hset(keysOf('many-0004').inflight, 'forged:c', `-7|1|${DAY}|${Date.now()}`);
    const first = await runIn(world, 'audit');
    expect(first.exitCode).to.equal(1);
    expect(first.stdout).to.include('many-0003: balance is -0.999999750; expected -1.000000000\n');
    expect(first.stdout).to.include('many-0004: inflight_available is ~available = nothing; expected -7\n');
    expect(first.stdout).to.match(/30 tenants looked at: 2 differ, by 0\.000000257 in all, for \d/);
    const { exitCode, document } = await documentIn(world, 'audit', '--repair');
    expect(exitCode).to.equal(0);
    expect(document).to.include({ drifting: 2, repaired: 2, left: 0, amount: '0.000000257' });
    expect(await world.hash('many-0003')).to.include({ balance: '-1000000000' });
    const after = await runIn(world, 'audit');
    expect(after.stdout).to.match(/^30 tenants looked at: no difference\n1 items in flight have no entry yet, .*\n$/);
    const named = await documentIn(world, 'audit', '--leak-after', '0', '--repair');
    expect(named.document).to.include({ drifting: 1, left: 0 });
    await expectAtRest(world, tenantIds);
  });

  it('looks at as many tenants as are asked for, drawn at random, or at those named', async () => {
    for (const tenantId of tenantIds) await world.server.redis.hincrby(keysOf(tenantId).quota, 'balance', 1);
    const drawn = [];
    for (let draw = 0; draw < 2; draw += 1) {
      const { document } = await documentIn(world, 'audit', '--sample', '5');
      expect(document).to.include({ tenants: 5, drifting: 5 });
      drawn.push((document['drifts'] as { tenantId: string }[]).map(({ tenantId }) => tenantId).join());
    }
    expect(drawn[0]).to.not.equal(drawn[1]);
    expect((await documentIn(world, 'audit', '--sample', '1000')).document).to.include({ tenants: TENANTS });
    const named = await documentIn(world, 'audit', '--tenant', 'many-0001', '--tenant', 'many-0002');
    expect(named.document).to.include({ tenants: 2, drifting: 2 });
  });

  it('points to the rebuild of accounts when the account itself is wrong, and is not content after a repair', async () => {
    await world.asOwner(`UPDATE accounts SET balance = 50 WHERE tenant_id = 'many-0009'`);
    const { exitCode, stdout } = await runIn(world, 'audit', '--repair');
    expect(exitCode).to.equal(1);
    expect(stdout).to.include(
      'many-0009: account is balance 50.000000000; expected -1.000000000, as entry 2 left it\n',
    );
    expect(stdout).to.include('tollbook rebuild --accounts --dry-run shows how');
    expect(await world.hash('many-0009')).to.include({ balance: '-1000000000' });
    expect((await runIn(world, 'rebuild', '--all', '--accounts')).exitCode).to.equal(0);
    expect((await runIn(world, 'audit')).exitCode).to.equal(0);
  });

  const CALLS: readonly (readonly [string, number, RegExp, readonly string[]])[] = [
    ['a sample of none', 2, /'0' is invalid. allowed: a whole number from 1 to 10000000, or all/, ['--sample', '0']],
    ['a sample of some', 2, /'some' is invalid. allowed: a whole number/, ['--sample', 'some']],
    [
      'a sample and a tenant',
      2,
      /USAGE_INVALID: --sample and --tenant are both given/,
      ['--sample', '5', '--tenant', 'many-0001'],
    ],
    ['an unknown tenant', 1, /ACCOUNT_UNKNOWN: tenant nobody has no account/, ['--tenant', 'nobody']],
    ['a time that is none', 2, /'soon' is invalid. allowed: a whole number from 0/, ['--leak-after', 'soon']],
  ];
  for (const [what, code, message, options] of CALLS) {
    it(`refuses ${what}, with exit code ${code}`, async () => {
      const { exitCode, stderr, stdout } = await runIn(world, 'audit', ...options);
      expect(exitCode, stderr).to.equal(code);
      expect(stderr).to.match(message);
      expect(stdout).to.equal('');
    });
  }
});
