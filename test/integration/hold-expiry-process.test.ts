/** Expiry as a running process does it, from Kafka to Redis: `tollbook consume` with a short time for holds. */
import { expect } from 'chai';
import { LedgerWorld } from '../support/ledger-world.js';
import { completion, messageOf, pending, send } from '../support/usage-messages.js';

describe('expiry in a consuming process', function () {
  this.timeout(60_000);
  let world: LedgerWorld;

  before(async () => {
    world = await LedgerWorld.create({ settings: { TOLLBOOK_DEFAULT_CREDIT_LIMIT: '100' } });
  });
  after(() => world.close());

  async function steps(tenantId: string): Promise<string> {
    const rows = await world.rows<{ status: string; description: string | null }>(
      `SELECT status, description FROM ledger_entries WHERE tenant_id = $1 AND type = 'DEDUCT' ORDER BY seq`,
      [tenantId],
    );
    return rows.map(({ status, description }) => (description === 'late' ? `${status} late` : status)).join(' ');
  }

  async function held(tenantId: string): Promise<string | undefined> {
    const [hash] = await world.scripts.readQuota([tenantId]);
    return hash === null || hash === undefined ? undefined : `${hash.heldNano} ${hash.dailyUsed}`;
  }

  it('gives back in Redis what an abandoned request held, charges its completion late, and is proven afterwards', async () => {
    const config = { holdTtlMs: 1_000, expiryIntervalMs: 100 };
    const processes = [await world.start({ config }), await world.start({ config })];
    const [pendingTopic, completedTopic] = world.topics;
    await send(world.kafka, pendingTopic, [
      messageOf(pending('acme', 'abandoned')),
      messageOf(pending('bolt', 'slow')),
    ]);
    for (const tenantId of ['acme', 'bolt']) {
      await world.until(`the hold of ${tenantId} expired`, async () => (await steps(tenantId)) === 'PENDING EXPIRED');
      await world.until(`Redis gave back what ${tenantId} held`, async () => (await held(tenantId)) === '0 0');
    }
    await send(world.kafka, completedTopic, [messageOf(completion('bolt', 'slow'))]);
    await world.drain();
    expect([await steps('acme'), await steps('bolt')]).to.deep.equal([
      'PENDING EXPIRED',
      'PENDING EXPIRED COMMITTED late',
    ]);
    expect(await held('bolt')).to.equal('0 1');
    for (const running of processes) await world.stop(running);
    await world.assertProven();
  });
});
