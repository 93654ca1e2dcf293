/** The charge protocol with several writers at once, overtaken writers, and writers that die before their commit. */
import { expect } from 'chai';
import type pg from 'pg';
import { formatAmount } from '../../src/ledger/money.js';
import type { Cursor } from '../../src/ledger/ledger-store.js';
import { expectAtRest } from '../support/at-rest.js';
import { crashingBeforeCommit, pausedSince } from '../support/failing-store.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { openOwnerPool } from '../support/test-database.js';
import { waitUntil } from '../support/wait-until.js';
import { wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const TENANTS = 12;
const REPEATS = 20;

describe('the charge protocol with several writers', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  function charges(tenantIds: readonly string[], traceId: string): WireEvent[] {
    return tenantIds.map((tenantId) => wireCompleted({ tenantId, traceId, fields: { stream: true } }));
  }

  it('charges a chunk once when two writers have it at the same time', async () => {
    const tenantId = world.tenant();
    for (let round = 0; round < REPEATS; round += 1) {
      const chunk = world.stream('completed').chunk(charges([tenantId], `trace-${round}`));
      const outcomes = await Promise.all([world.protocol().charge(chunk), world.protocol().charge(chunk)]);
      expect(outcomes.map(({ kind }) => kind).sort()).to.deep.equal(['alreadyCharged', 'charged']);
    }
    expect(await world.statuses(tenantId)).to.deep.equal(new Array(REPEATS).fill('COMMITTED'));
    await expectAtRest(world, [tenantId]);
  });

  /** A cursor as a writer read it, before another one charged `chunk`. */
  async function overtaken(
    tenantId: string,
  ): Promise<{ stale: Cursor; chunk: ReturnType<ReturnType<ProtocolWorld['stream']>['chunk']> }> {
    const stream = world.stream('completed');
    await world.protocol().charge(stream.chunk(charges([tenantId], 'before')));
    const stale = (await world.reader.readCursor(stream.source))!;
    const chunk = stream.chunk(charges([tenantId], 'contested'));
    await world.protocol().charge(chunk);
    return { stale, chunk };
  }

  it('fences a writer that was paused and overtaken, and commits nothing of it', async () => {
    const tenantId = world.tenant();
    const { stale, chunk } = await overtaken(tenantId);
    const counts = `SELECT (SELECT count(*) FROM ledger_batches) AS batches, (SELECT count(*) FROM ledger_entries) AS entries`;
    const before = await world.rows(counts);
    const zombie = world.protocol({ store: pausedSince(world.store, stale) });
    const problem: unknown = await zombie.charge(chunk).catch((error: unknown) => error);
    expect(problem).to.include({ code: 'FENCED', disposition: 'abandon' });
    expect(await world.rows(counts)).to.deep.equal(before);
    await expectAtRest(world, [tenantId]);
  });

  it('fences an overtaken writer even where its messages are other ones', async () => {
    const tenantId = world.tenant();
    const { stale, chunk } = await overtaken(tenantId);
    const zombie = world.protocol({ store: pausedSince(world.store, stale) });
    const other = world.stream('completed', stale.nextOffset).chunk(charges([tenantId], 'never-charged'));
    const problem: unknown = await zombie.charge({ ...other, source: chunk.source }).catch((error: unknown) => error);
    expect(problem).to.include({ code: 'FENCED' });
    expect((await world.entries(tenantId)).map(({ trace_id }) => trace_id)).to.deep.equal([
      '~~open',
      'before',
      'contested',
    ]);
  });

  it('charges chunks of two partitions with the same tenants at once without a deadlock, exactly and without a gap', async () => {
    const tenantIds = Array.from({ length: TENANTS }, () => world.tenant());
    const [upward, downward] = [world.stream('completed'), world.stream('completed')];
    for (let round = 0; round < REPEATS; round += 1) {
      const chunks = [
        upward.chunk(charges(tenantIds, `up-${round}`)),
        downward.chunk(charges([...tenantIds].reverse(), `down-${round}`)),
      ];
      const batches = (await Promise.all(chunks.map((chunk) => world.protocol().charge(chunk)))).map(batchOf);
      expect(batches.map(({ counts }) => counts.charged)).to.deep.equal([TENANTS, TENANTS]);
    }
    for (const tenantId of tenantIds) {
      const entries = await world.entries(tenantId);
      expect(entries.map(({ seq }) => Number(seq))).to.deep.equal(
        Array.from({ length: 2 * REPEATS + 1 }, (_none, index) => index + 1),
      );
      expect(entries.at(-1)?.balance_after).to.equal(`-${2 * REPEATS}.000000000`);
    }
    await expectAtRest(world, tenantIds);
  });

  it('locks accounts in one order, so that two writers that both wait for a third go on without a deadlock', async () => {
    const tenantIds = Array.from({ length: TENANTS }, () => world.tenant());
    const streams = [world.stream('completed'), world.stream('completed')];
    for (const [index, stream] of streams.entries()) {
      await world.protocol().charge(stream.chunk(charges(tenantIds, `opening-${index}`)));
    }
    const owner = openOwnerPool(world.database);
    const third = await owner.connect();
    try {
      for (let round = 0; round < 3; round += 1) {
        await third.query('BEGIN');
        await third.query('SELECT FROM accounts WHERE tenant_id = $1 FOR UPDATE', [tenantIds[TENANTS / 2]]);
        const charging = streams.map((stream, index) =>
          world.protocol().charge(stream.chunk(charges(tenantIds, `trace-${index}-${round}`))),
        );
        await waitUntil('both writers wait for a lock', async () => (await lockWaiters(owner)) === 2);
        await third.query('COMMIT');
        expect((await Promise.all(charging)).map(({ kind }) => kind)).to.deep.equal(['charged', 'charged']);
      }
    } finally {
      third.release();
      await owner.end();
    }
    await expectAtRest(world, tenantIds);
  });

  async function lockWaiters(owner: pg.Pool): Promise<number> {
    const { rows } = await owner.query<{ waiting: number }>(
      `SELECT count(*)::int AS waiting FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return rows[0]?.waiting ?? 0;
  }

  it('opens accounts that two chunks see first at the same time once', async () => {
    for (let round = 0; round < REPEATS; round += 1) {
      const tenantIds = Array.from({ length: 4 }, () => world.tenant());
      const chunks = [tenantIds, [...tenantIds].reverse()].map((order, index) =>
        world.stream('completed').chunk(charges(order, `trace-${index}`)),
      );
      const batches = (await Promise.all(chunks.map((chunk) => world.protocol().charge(chunk)))).map(batchOf);
      expect(batches.reduce((sum, { counts }) => sum + counts.openings, 0)).to.equal(4);
      for (const tenantId of tenantIds) {
        expect((await world.entries(tenantId)).map(({ type }) => type)).to.deep.equal(['LIMITS', 'DEDUCT', 'DEDUCT']);
      }
    }
  });

  it('charges once what was granted in Redis by a writer that died before its commit, and leaves nothing in flight', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    await world.project([tenantId]);
    let crashes = 3;
    const protocol = world.protocol({ store: crashingBeforeCommit(world.store, () => crashes-- > 0) });
    const chunk = world
      .stream('completed')
      .chunk(['a', 'b', 'c'].map((traceId) => wireCompleted({ tenantId, traceId, units: 4 })));
    while (crashes > 0) {
      const problem: unknown = await protocol.charge(chunk).catch((error: unknown) => error);
      expect(problem).to.include({ code: 'POSTGRES_UNAVAILABLE', disposition: 'retry' });
      expect(
        (await world.inFlight(tenantId)).map(({ traceId, availableNano }) => `${traceId} ${availableNano}`),
      ).to.have.members(['a -4000000000', 'b -4000000000']);
      expect(await world.statuses(tenantId)).to.deep.equal([]);
    }
    batchOf(await protocol.charge(chunk));
    expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED', 'COMMITTED', 'FAILED']);
    expect(formatAmount((await world.account(tenantId))!.balanceNano)).to.equal('2.000000000');
    await expectAtRest(world, [tenantId]);
  });

  it('holds once what a dying writer held, and releases it with the completion', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    await world.project([tenantId]);
    let crashes = 1;
    const protocol = world.protocol({ store: crashingBeforeCommit(world.store, () => crashes-- > 0) });
    const held = world.stream('pending').chunk([wirePending({ tenantId, traceId: 'a', units: 9 })]);
    await protocol.charge(held).catch(() => undefined);
    batchOf(await protocol.charge(held));
    batchOf(
      await protocol.charge(world.stream('completed').chunk([wireCompleted({ tenantId, traceId: 'a', units: 10 })])),
    );
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'COMMITTED']);
    expect(formatAmount((await world.account(tenantId))!.balanceNano)).to.equal('0.000000000');
    await expectAtRest(world, [tenantId]);
  });
});
