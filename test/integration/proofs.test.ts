/** The three proofs of a ledger at rest, on real servers; what they find of entries and chains: verify-forgeries.test.ts. */
import { expect } from 'chai';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { proveProjections } from '../../src/reconciliation/projection-proof.js';
import { expectAtRest } from '../support/at-rest.js';
import { Forgery } from '../support/forgery.js';
import { batchOf, ProtocolWorld, type TestStream } from '../support/protocol-world.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

const TENANTS = ['acme', 'bolt'];

describe('the proofs', () => {
  let world: ProtocolWorld;
  let completions: TestStream;

  before(async () => {
    world = await ProtocolWorld.open();
    completions = world.stream('completed');
    const pendings = world.stream('pending');
    for (const tenantId of TENANTS) await world.credit(tenantId, '100');
    for (const traceId of ['a', 'b', 'c']) {
      await world
        .protocol()
        .charge(pendings.chunk(TENANTS.map((tenantId) => wirePending({ tenantId, traceId, units: 9 }))));
    }
    for (const [index, traceId] of ['a', 'b', 'd'].entries()) {
      const events = TENANTS.map((tenantId) => wireCompleted({ tenantId, traceId, units: index + 1 }));
      batchOf(await world.protocol().charge(completions.chunk(events)));
    }
    await expectAtRest(world, TENANTS);
  });
  after(() => world.close());

  async function problems(): Promise<string[]> {
    return [
      ...(await proveChains(world.pool)).problems,
      ...(await proveAccounts(world.pool)).problems,
      ...(await proveProjections(world.reader, world.scripts)).problems,
    ];
  }

  it('are silent on a healthy ledger and tell how much they have looked at', async () => {
    const chains = await proveChains(world.pool);
    expect(chains).to.deep.equal({ chains: 4, batches: 8, entries: 16, problems: [] });
    expect(await proveAccounts(world.pool)).to.deep.equal({
      accounts: 2,
      entries: 16,
      ledgerTotal: '12.000000000',
      problems: [],
    });
    const projections = await proveProjections(world.reader, world.scripts);
    expect(projections).to.deep.equal({ hashes: 2, drift: 0, inFlight: 0, problems: [] });
  });

  it('name what was changed behind the ledger’s back, each what it looks after', async () => {
    const forgery = await Forgery.open(world.database);
    try {
      await forgery.forge([
        `UPDATE ledger_entries SET amount = amount + 1 WHERE tenant_id = 'acme' AND seq = 6`,
        `UPDATE ledger_batches SET duplicates = 1 WHERE topic = 'usage.completed' AND batch_no = 2`,
        `UPDATE accounts SET balance = balance + 0.000000001 WHERE tenant_id = 'bolt'`,
      ]);
      const batch = `batch usage.completed/${completions.source.partition}#2`;
      expect(await problems()).to.deep.equal([
        `${batch} does not have the hash of its content`,
        `${batch} counts 3 messages between offsets 2 and 4`,
        'entry acme#6 does not have the hash of its content',
        'entry acme#6 moves the balance by -1.000000000, its amount says -2.000000000',
        'account bolt: balance is 94.000000001, its entries say 94.000000000',
        'quota hash of bolt differs from its account in balanceNano',
      ]);
    } finally {
      await forgery.restore();
      await forgery.close();
    }
    expect(await problems(), 'and nothing once it is undone').to.deep.equal([]);
  });

  it('name an edited, a half-deleted and a missing quota hash', async () => {
    const { quota } = quotaKeys(world.server.prefix, 'acme');
    await world.server.redis.hincrby(quota, 'balance', 1);
    expect(await problems()).to.deep.equal(['quota hash of acme differs from its account in balanceNano']);
    await world.server.redis.hset(quota, { held: '0', daily_used: '99' });
    expect(await problems()).to.deep.equal([
      'quota hash of acme differs from its account in balanceNano, heldNano, dailyUsed',
    ]);
    await world.server.redis.del(quota);
    expect(await problems()).to.deep.equal([
      'quota hash of acme differs from its account in everything: it is missing',
    ]);
    await expectAtRest(world, TENANTS);
  });

  it('name an item forged into flight', async () => {
    const delta = {
      availableNano: 5n,
      checkBalance: false,
      requests: 0 as const,
      checkQuota: false,
      day: '2026-03-15',
    };
    const seq = (await world.account('acme'))!.seq;
    const forged = { tenantId: 'acme', ledgerSeq: seq, items: [{ traceId: 'forged', phase: 'c' as const, delta }] };
    await world.scripts.deduct([forged], world.clock.nowMs());
    expect(await problems()).to.deep.equal(['1 items are still in flight']);
    await world.server.redis.del(quotaKeys(world.server.prefix, 'acme').inflight);
  });
});
