/** The sweep for holds past their time on real servers: what it books, in which portions, and what it leaves alone. */
import { expect } from 'chai';
import { commandSource } from '../../src/ledger/commands/command-stream.js';
import { PostgresDueHolds } from '../../src/ledger/postgres/due-holds.js';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { TollbookError } from '../../src/runtime/errors.js';
import { expectAtRest } from '../support/at-rest.js';
import { crashingBeforeCommit } from '../support/failing-store.js';
import { HOLD_TTL_MS, NO_LIMITS, ProtocolWorld } from '../support/protocol-world.js';
import { waitUntil } from '../support/wait-until.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

const NONE_EXPIRED = { expired: 0, batches: 0, contended: 0 };

describe('the sweep for expired holds', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  afterEach(() => world.expireHolds());
  after(() => world.close());

  /** Holds one unit for each trace of a tenant. */
  async function hold(tenantId: string, traceIds: readonly string[]): Promise<void> {
    const events = traceIds.map((traceId) => wirePending({ tenantId, traceId }));
    await world.protocol().charge(world.stream('pending').chunk(events));
  }

  async function creditedTenant(units = '10'): Promise<string> {
    const tenantId = world.tenant();
    await world.credit(tenantId, units);
    await world.project([tenantId]);
    return tenantId;
  }

  async function batchCount(): Promise<number> {
    const [row] = await world.rows<{ count: string }>('SELECT count(*) FROM ledger_batches');
    return Number(row?.count);
  }

  async function expectProven(): Promise<void> {
    expect((await proveChains(world.pool)).problems).to.deep.equal([]);
    expect((await proveAccounts(world.pool)).problems).to.deep.equal([]);
  }

  it('releases a hold at its very millisecond and not before, and wakes the projector for its tenant', async () => {
    const tenantId = await creditedTenant();
    await hold(tenantId, ['a']);
    const woken: string[] = [];
    const expiry = world.expiry({ wakeProjector: (tenantIds) => void woken.push(...tenantIds) });
    world.clock.atMs += HOLD_TTL_MS.estimate - 1;
    expect(await expiry.sweep()).to.deep.equal(NONE_EXPIRED);
    expect([await world.statuses(tenantId), woken]).to.deep.equal([['PENDING'], []]);
    world.clock.atMs += 1;
    expect(await expiry.sweep()).to.deep.equal({ expired: 1, batches: 1, contended: 0 });
    expect([await world.statuses(tenantId), woken]).to.deep.equal([['PENDING', 'EXPIRED'], [tenantId]]);
    await expectProven();
  });

  it('gives held money and the request back in Redis, whether or not the hold had been projected', async () => {
    for (const isProjected of [true, false]) {
      const tenantId = await creditedTenant();
      await hold(tenantId, ['a', 'b']);
      if (isProjected) await world.project([tenantId]);
      const held = { held: isProjected ? '2000000000' : '0', daily_used: isProjected ? '2' : '0' };
      expect(await world.hash(tenantId)).to.include(held);
      expect(await world.inFlight(tenantId)).to.have.lengthOf(isProjected ? 0 : 2);
      expect((await world.expireHolds()).expired).to.equal(2);
      await world.project([tenantId]);
      expect(await world.hash(tenantId)).to.include({ held: '0', daily_used: '0', monthly_used: '0' });
      expect(await world.server.redis.exists(quotaKeys(world.server.prefix, tenantId).inflight)).to.equal(0);
      await expectAtRest(world, [tenantId]);
    }
  });

  it('refers each entry to the hold it ends, at a position of its own in the command stream of its tenant', async () => {
    const tenantId = await creditedTenant();
    await hold(tenantId, ['a', 'b', 'c']);
    const before = await world.reader.readCursor(commandSource(tenantId));
    await world.expireHolds();
    const after = await world.reader.readCursor(commandSource(tenantId));
    expect(after?.nextOffset).to.equal(before!.nextOffset + 3n);
    const rows = await world.rows(
      `SELECT x.trace_id, x.description, x.amount, x.source_topic AS topic, x.source_offset - $2 AS position,
         x.model = p.model AND x.output_tokens = p.output_tokens AS "sameFacts", p.status AS refers_to, h.expires
       FROM ledger_entries x JOIN ledger_entries p ON p.tenant_id = x.tenant_id AND p.seq = x.reference_seq
       CROSS JOIN LATERAL (SELECT x.occurred_at = p.recorded_at + interval '60 s' AS expires) AS h
       WHERE x.tenant_id = $1 AND x.status = 'EXPIRED' AND p.trace_id = x.trace_id ORDER BY x.trace_id`,
      [tenantId, before?.nextOffset],
    );
    const same = { description: 'hold expired', amount: '1.000000000', topic: '~commands', sameFacts: true };
    expect(rows.map(({ position: _position, ...rest }) => rest)).to.deep.equal(
      ['a', 'b', 'c'].map((trace_id) => ({ trace_id, ...same, refers_to: 'PENDING', expires: true })),
    );
    expect(rows.map(({ position }) => String(position)).sort()).to.deep.equal(['0', '1', '2']);
    await expectProven();
  });

  it('opens no database transaction and seals no batch when nothing is due', async () => {
    await hold(await creditedTenant(), ['young']);
    let transactions = 0;
    const store = { transact: () => Promise.reject(new TollbookError('INVARIANT_BROKEN', `${(transactions += 1)}`)) };
    const before = await batchCount();
    expect(await world.expiry({ store }).sweep()).to.deep.equal(NONE_EXPIRED);
    expect([transactions, await batchCount()]).to.deep.equal([0, before]);
  });

  it('leaves out a hold that a completion settled after it was found due, and seals no batch for it', async () => {
    const tenantId = await creditedTenant();
    await hold(tenantId, ['settled', 'abandoned']);
    world.clock.atMs += HOLD_TTL_MS.estimate;
    const due = await new PostgresDueHolds(world.pool).readDue(world.clock.atMs, 100);
    const settle = (traceId: string) =>
      world.protocol().charge(world.stream('completed').chunk([wireCompleted({ tenantId, traceId, units: 2 })]));
    await settle('settled');
    const late = world.expiry({ dueHolds: { readDue: () => Promise.resolve(due) } });
    expect(await late.sweep()).to.include({ expired: 1, batches: 1 });
    expect(await late.sweep()).to.deep.equal(NONE_EXPIRED);
    await settle('abandoned');
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'PENDING', 'COMMITTED', 'EXPIRED', 'COMMITTED']);
    expect(await world.account(tenantId)).to.include({ heldNano: 0n, balanceNano: 6_000_000_000n, dailyUsed: 2 });
    await expectAtRest(world, [tenantId]);
    await expectProven();
  });

  it('expires 2,000 holds of many tenants and of one, at most 500 in a database transaction', async () => {
    const [hot, ...others] = Array.from({ length: 41 }, () => world.tenant());
    for (const [tenantId, count] of [[hot!, 1_200], ...others.map((one) => [one, 20] as const)] as const) {
      await world.credit(tenantId, '5000');
      await hold(
        tenantId,
        Array.from({ length: count }, (_none, index) => `trace-${index}`),
      );
    }
    const swept = await world.expireHolds();
    expect(swept).to.include({ expired: 2_000, contended: 0 });
    const [largest] = await world.rows<{ sealed: number; batches: string }>(
      `SELECT max(b.charged) AS sealed, count(DISTINCT b.batch_id) AS batches
       FROM ledger_batches b WHERE b.batch_id IN (SELECT batch_id FROM ledger_entries WHERE status = 'EXPIRED')
         AND b.sealed_at = $1`,
      [new Date(world.clock.atMs).toISOString()],
    );
    expect(largest?.sealed).to.be.at.most(500);
    expect(Number(largest?.batches)).to.equal(swept.batches);
    expect(await world.rows('SELECT FROM open_holds')).to.deep.equal([]);
    await expectAtRest(world, [hot!, ...others]);
    await expectProven();
  });

  it('goes on with the next page until nothing that was due is left', async () => {
    const tenantId = await creditedTenant('5000');
    for (let chunk = 0; chunk < 3; chunk += 1) {
      await hold(
        tenantId,
        Array.from({ length: 1_400 }, (_none, index) => `trace-${chunk}-${index}`),
      );
    }
    expect(await world.expireHolds()).to.deep.equal({ expired: 4_200, batches: 9, contended: 0 });
    await expectAtRest(world, [tenantId]);
  });

  it('leaves nothing of a sweep that dies before its commit, and the next one expires each hold once', async () => {
    const tenantId = await creditedTenant();
    await hold(tenantId, ['a', 'b']);
    world.clock.atMs += HOLD_TTL_MS.estimate;
    const dying = world.expiry({ store: crashingBeforeCommit(world.store, () => true) });
    const problem: unknown = await dying.sweep().catch((error: unknown) => error);
    expect(problem).to.include({ code: 'POSTGRES_UNAVAILABLE' });
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'PENDING']);
    expect((await world.expiry().sweep()).expired).to.equal(2);
    await expectAtRest(world, [tenantId]);
  });

  it('charges late, once, what a dying writer had granted against the hold before it expired', async () => {
    const tenantId = await creditedTenant();
    await hold(tenantId, ['a']);
    const chunk = world.stream('completed').chunk([wireCompleted({ tenantId, traceId: 'a', units: 4 })]);
    const dying = world.protocol({ store: crashingBeforeCommit(world.store, () => true) });
    await dying.charge(chunk).catch(() => undefined);
    expect((await world.inFlight(tenantId)).map(({ phase }) => phase).sort()).to.deep.equal(['c', 'p']);
    await world.expireHolds();
    await world.project([tenantId]);
    await world.protocol().charge(chunk);
    const [late] = (await world.entries(tenantId)).slice(-1);
    expect(late).to.include({ status: 'COMMITTED', description: 'late', requests: 1, balance_after: '6.000000000' });
    expect(await world.account(tenantId)).to.include({ heldNano: 0n, dailyUsed: 1, monthlyUsed: 1 });
    await expectAtRest(world, [tenantId]);
  });

  it('gives a hold back once when a dying writer had given it back in Redis before it expired', async () => {
    const tenantId = await creditedTenant();
    await hold(tenantId, ['a']);
    const cancelled = wireCompleted({ tenantId, traceId: 'a', units: 0, fields: { outcome: 'cancelled' } });
    const chunk = world.stream('completed').chunk([cancelled]);
    const dying = world.protocol({ store: crashingBeforeCommit(world.store, () => true) });
    await dying.charge(chunk).catch(() => undefined);
    expect((await world.inFlight(tenantId)).map(({ phase }) => phase).sort()).to.deep.equal(['p', 'v']);
    await world.expireHolds();
    await world.protocol().charge(chunk);
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'EXPIRED']);
    await expectAtRest(world, [tenantId]);
  });

  it('expires under hold policy none after the time of that policy, and gives nothing back', async () => {
    const [estimating, prechecking] = [world.tenant(), world.tenant()];
    await world.credit(estimating, '10');
    await world.credit(prechecking, '10', { ...NO_LIMITS, holdPolicy: 'none' });
    for (const tenantId of [estimating, prechecking]) await hold(tenantId, ['a']);
    world.clock.atMs += HOLD_TTL_MS.none;
    expect((await world.expiry().sweep()).expired).to.equal(1);
    expect(await world.statuses(estimating)).to.deep.equal(['PENDING']);
    const [expired] = (await world.entries(prechecking)).slice(-1);
    expect(expired).to.include({ status: 'EXPIRED', amount: '0.000000000', requests: 0, counted_on: null });
    await expectAtRest(world, [estimating, prechecking]);
  });

  it('waits for the next turn while PostgreSQL is away, says so once, and never throws out of its timer', async () => {
    const tenantId = await creditedTenant();
    await hold(tenantId, ['a']);
    world.clock.atMs += HOLD_TTL_MS.estimate;
    const real = new PostgresDueHolds(world.pool);
    let failures = 0;
    const readDue: PostgresDueHolds['readDue'] = (nowMs, limit) => {
      if ((failures += 1) > 3) return real.readDue(nowMs, limit);
      return Promise.reject(new TollbookError('POSTGRES_UNAVAILABLE', 'the server is away'));
    };
    const from = world.logLines.length;
    const expiry = world.expiry({ dueHolds: { readDue } });
    expiry.start();
    await waitUntil('the hold expired', async () => (await world.statuses(tenantId)).includes('EXPIRED'));
    await expiry.stop();
    const lines = world.logLines.slice(from).join('');
    expect(lines.split('expiring holds waits')).to.have.lengthOf(2);
    expect(lines).to.include('holds are looked after again');
    await expectAtRest(world, [tenantId]);
  });

  it('stops for good, and tells why, at an error that no retry mends', async () => {
    const problems: TollbookError[] = [];
    const broken = new TollbookError('LEDGER_CORRUPT', 'a balance does not follow');
    let turns = 0;
    const readDue = () => {
      turns += 1;
      return Promise.reject(broken);
    };
    const expiry = world.expiry({ dueHolds: { readDue }, onFatal: (error) => void problems.push(error) });
    expiry.start();
    await waitUntil('it gave up', () => problems.length > 0);
    await expiry.stop();
    expect([problems, turns]).to.deep.equal([[broken], 1]);
  });

  it('finishes the portion under way before it stops, and begins no other', async () => {
    const tenantId = await creditedTenant('5000');
    await hold(
      tenantId,
      Array.from({ length: 1_200 }, (_none, index) => `trace-${index}`),
    );
    world.clock.atMs += HOLD_TTL_MS.estimate;
    let stopping: Promise<void> | undefined;
    const expiry = world.expiry({ wakeProjector: () => void (stopping ??= expiry.stop()) });
    expiry.start();
    await waitUntil('the first portion is expired', () => stopping !== undefined);
    await stopping;
    expect((await world.statuses(tenantId)).filter((status) => status === 'EXPIRED')).to.have.lengthOf(500);
    await expectAtRest(world, [tenantId]);
  });
});
