/** Owns: the audit as a part of a running ledger process: what it mends by itself, and what it tells of it as figures. */
import { expect } from 'chai';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { type ConsumeChild, killConsumers, startConsume } from '../support/consume-child.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { openOwnerPool } from '../support/test-database.js';
import { completions, send } from '../support/usage-messages.js';

const TENANTS = ['acme', 'bolt'];

describe('the audit of a running process', function () {
  this.timeout(60_000);
  let world: LedgerWorld;
  let child: ConsumeChild;

  before(async () => {
    world = await LedgerWorld.create({ partitions: 1 });
    const messages = TENANTS.flatMap((tenantId) => completions(tenantId, 3, { partition: 0 }));
    await send(world.kafka, world.config.topicCompleted, messages);
    child = startConsume({
      ...world.environment,
      TOLLBOOK_METRICS_PORT: '0',
      TOLLBOOK_AUDIT_INTERVAL_MS: '100',
    });
    await world.until('everything is projected', async () => {
      const { problems } = await world.prove();
      return (await world.lag()) === 0n && problems.length === 0;
    });
  });
  after(async () => {
    killConsumers();
    await world.close();
  });

  async function figures(): Promise<string> {
    const port = /"metricsPort":(\d+)/.exec(child.log())?.[1];
    return (await fetch(`http://127.0.0.1:${port ?? ''}/metrics`)).text();
  }

  async function figure(name: string): Promise<number> {
    const line = (await figures()).split('\n').find((each) => each.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? 0);
  }

  function quotaKey(tenantId: string): string {
    return quotaKeys(world.testRedis.prefix, tenantId).quota;
  }

  async function editAccount(): Promise<void> {
    const owner = openOwnerPool(world.database);
    await owner.query(`UPDATE accounts SET balance = 50 WHERE tenant_id = 'acme'`);
    await owner.end();
  }

  it('goes round over all tenants, and is silent while nothing is wrong', async () => {
    await world.until('several rounds are complete', async () => (await figure('tollbook_audit_tenants_total')) >= 6);
    const text = await figures();
    expect(text).to.not.include('tollbook_audit_drift_total{');
    expect(text).to.include('\ntollbook_audit_drift_amount 0\n');
    expect(text).to.include('\ntollbook_audit_drift_age_seconds 0\n');
    expect(text).to.include('\ntollbook_audit_repaired_total 0\n');
    expect(await figure('tollbook_audit_round_age_seconds')).to.be.within(0, 30);
  });

  it('mends an edited hash and a forged item, and tells how many, how much and how old', async () => {
    const { redis, prefix } = world.testRedis;
    const { inflight } = quotaKeys(prefix, 'bolt');
    await redis.hincrby(quotaKey('acme'), 'balance', 2_500_000_000);
    await redis.hset(inflight, 'forged', 'x');
    await world.until('the audit has mended both', async () => (await figure('tollbook_audit_repaired_total')) === 2);
    const text = await figures();
    expect(text).to.include('\ntollbook_audit_drift_total{field="balance"} 1\n');
    expect(text).to.include('\ntollbook_audit_drift_total{field="inflight_item"} 1\n');
    expect(await redis.hget(quotaKey('acme'), 'balance')).to.equal('-18000000');
    expect(await redis.exists(inflight)).to.equal(0);
    expect(child.log()).to.include('balance: 2.482000000, expected -0.018000000');
    expect(child.log()).to.include('forged = x');
    await world.until('the next round is silent', async () => (await figure('tollbook_audit_drift_amount')) === 0);
  });

  it('removes a hash whose tenant has no account, without any command or traffic', async () => {
    const { redis, prefix } = world.testRedis;
    const forged = quotaKeys(prefix, 'nobody').quota;
    await redis.hset(forged, await redis.hgetall(quotaKey('acme')));
    await world.until('the audit has removed it', async () => (await redis.exists(forged)) === 0);
    await world.until('it is counted', async () => (await figure('tollbook_audit_repaired_total')) === 3);
    expect(await figures()).to.include('\ntollbook_audit_drift_total{field="hash"} 1\n');
    expect(child.log()).to.include('expected nothing: the tenant has no account');
    expect(await redis.hget(quotaKey('acme'), 'balance')).to.equal('-18000000');
  });

  it('names an account that is wrong itself at every round, and does not touch its hash', async () => {
    const before = await world.testRedis.redis.hgetall(quotaKey('acme'));
    await editAccount();
    await world.until('several rounds have named it', async () => {
      return (await figure('tollbook_audit_drift_total{field="account"}')) >= 2;
    });
    expect(await figure('tollbook_audit_drift_amount')).to.equal(50.018);
    expect(await figure('tollbook_audit_repaired_total')).to.equal(3);
    expect(await world.testRedis.redis.hgetall(quotaKey('acme'))).to.deep.equal(before);
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
  });
});
