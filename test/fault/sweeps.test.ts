/**
 * Owns: the sweeps that are interrupted or raced: for holds past their time, for hashes behind their ledger, for stale
 * in-flight items. Each test names its row of docs/failure-windows.md.
 */
import { expect } from 'chai';
import { useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { completion, COMPLETION_COST, messageOf, pending, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const HOLDS = 12;
const TTL_MS = 1_000;
/** For a process that shall leave holds alone. */
const NEVER_EXPIRES = { TOLLBOOK_EXPIRY_INTERVAL_MS: '3600000' };
const REACH_MAX_MS = 60_000;

describe('a sweep', function () {
  this.timeout(180_000);
  let world: FaultWorld;
  let runs = 0;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create({
      TOLLBOOK_DEFAULT_CREDIT_LIMIT: '100',
      TOLLBOOK_HOLD_TTL_MS: String(TTL_MS),
      TOLLBOOK_EXPIRY_INTERVAL_MS: '200',
    });
  });

  after(() => world.close());

  /**
   * Publishes holds of a new tenant, and lets a process charge them that does not expire any; returns the tenant once all are
   * due: they come in more than one chunk, so that a sweep could find the first ones alone.
   */
  async function hold(): Promise<string> {
    const tenantId = `holder-${(runs += 1)}`;
    await publish('pending', tenantId);
    const child = world.start({ settings: NEVER_EXPIRES });
    await waitUntil('the holds are booked', async () => (await countOf(tenantId, 'PENDING')) === HOLDS, REACH_MAX_MS);
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
    const notDue = 'SELECT FROM open_holds WHERE tenant_id = $1 AND expires_at > now()';
    const areDue = async (): Promise<boolean> => (await world.ledger.rows(notDue, [tenantId])).length === 0;
    await waitUntil('the holds are due', areDue, REACH_MAX_MS);
    return tenantId;
  }

  async function publish(kind: 'pending' | 'completed', tenantId: string): Promise<void> {
    const [pendingTopic, completedTopic] = world.ledger.topics;
    const make = kind === 'pending' ? pending : completion;
    const events = Array.from({ length: HOLDS }, (_, index) => make(tenantId, `${tenantId}-${index}`));
    await send(
      world.ledger.kafka,
      kind === 'pending' ? pendingTopic : completedTopic,
      events.map((event) => messageOf(event)),
    );
    if (kind === 'completed') world.besides.push(...events.map(() => COMPLETION_COST));
  }

  async function countOf(tenantId: string, status: string): Promise<number> {
    const sql = `SELECT FROM ledger_entries WHERE tenant_id = $1 AND status = $2 AND type = 'DEDUCT'`;
    return (await world.ledger.rows(sql, [tenantId, status])).length;
  }

  async function untilExpired(tenantId: string): Promise<void> {
    await waitUntil('the holds have expired', async () => (await countOf(tenantId, 'EXPIRED')) === HOLDS, REACH_MAX_MS);
  }

  for (const [window, point] of [
    ['crash before the commit', 'expiry.found'],
    ['crash between commit and projection', 'expiry.booked'],
  ] as const) {
    it(`hold expiry, ${window}: killed at ${point}, each hold expires once`, async () => {
      const tenantId = await hold();
      const child = world.start({ faults: `${point}=kill` });
      expect(await child.ended, child.log()).to.equal('SIGKILL');
      const brokenAtMs = performance.now();
      expect(await countOf(tenantId, 'EXPIRED')).to.equal(point === 'expiry.found' ? 0 : HOLDS);
      const next = world.start();
      await untilExpired(tenantId);
      await world.recover(`killed at ${point}`, brokenAtMs, [next]);
    });
  }

  it('a completion commits after the hold was found due: it is charged, and the hold does not expire', async () => {
    const tenantId = await hold();
    const sweeper = world.start({ faults: 'expiry.found=hang@1' });
    await world.reached(sweeper, 'expiry.found');
    await publish('completed', tenantId);
    const charger = world.start({ settings: NEVER_EXPIRES });
    await waitUntil('all is charged', async () => (await countOf(tenantId, 'COMMITTED')) === HOLDS, REACH_MAX_MS);
    sweeper.kill('SIGCONT');
    await world.recover('completions overtook a sweep', performance.now(), [sweeper, charger]);
    expect(await countOf(tenantId, 'EXPIRED')).to.equal(0);
  });

  it('two sweepers with the same holds: each hold expires once', async () => {
    const tenantId = await hold();
    const sweepers = [
      world.start({ faults: 'expiry.found=delay:300' }),
      world.start({ faults: 'expiry.found=delay:300' }),
    ];
    await untilExpired(tenantId);
    await world.recover('two sweepers at once', performance.now(), sweepers);
    expect(await countOf(tenantId, 'EXPIRED')).to.equal(HOLDS);
  });

  it('a writer dies between Redis and its commit, then the hold expires: the completions are charged once, late', async () => {
    const tenantId = await hold();
    await publish('completed', tenantId);
    const writer = world.start({ faults: 'charge.asked=kill', settings: NEVER_EXPIRES });
    expect(await writer.ended, writer.log()).to.equal('SIGKILL');
    const brokenAtMs = performance.now();
    const sweeper = world.start({ faults: 'charge.decoded=delay:4000@1' });
    await untilExpired(tenantId);
    await world.recover('a writer died, then the hold expired', brokenAtMs, [sweeper]);
    expect(await countOf(tenantId, 'COMMITTED')).to.equal(HOLDS);
  });

  it('consumers away for longer than the TTL: holds whose completions wait in Kafka are charged, expired or not', async () => {
    const tenantId = await hold();
    await publish('completed', tenantId);
    const due = `SELECT FROM open_holds WHERE tenant_id = $1 AND expires_at < now()`;
    await waitUntil('all holds are due', async () => (await world.ledger.rows(due, [tenantId])).length === HOLDS);
    await world.recover('away for longer than the TTL', performance.now());
    expect(await countOf(tenantId, 'COMMITTED')).to.equal(HOLDS);
  });

  it('emptied (FLUSHALL, restart): the sweep that hydrates all hashes is killed, and the next one does it', async () => {
    await world.ledger.testRedis.redis.flushall();
    const child = world.start({ faults: 'sweep.compared=kill' });
    expect(await child.ended, child.log()).to.equal('SIGKILL');
    await world.recover('killed at sweep.compared', performance.now());
  });

  it('a gateway dies between hold and publish: the sweep that drops the item is killed, and the next one does it', async () => {
    const { scripts, reader } = world.ledger;
    const tenantId = (await reader.pageAccounts('', 1))[0]?.tenantId ?? '';
    const day = new Date().toISOString().slice(0, 10);
    const request = { tenantId, traceId: 'leaked', amountNano: 1n, checkBalance: false, checkQuota: false, day };
    expect((await scripts.hold(request, Date.now())).kind).to.equal('granted');
    const child = world.start({ faults: 'sweep.inflight-found=kill' });
    expect(await child.ended, child.log()).to.equal('SIGKILL');
    await world.recover('killed at sweep.inflight-found', performance.now());
  });
});
