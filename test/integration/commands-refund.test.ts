/** Owns: refunds beside real usage: windows across midnight and a month end, races, and what may not be refunded. */
import { expect } from 'chai';
import { parseAmount } from '../../src/ledger/money.js';
import { expectAtRest } from '../support/at-rest.js';
import { failureOf, rowCounts, TenantOfWorld } from '../support/command-samples.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { NOON } from '../support/wire-usage.js';

const units = parseAmount;
const AFTER_NOON = Date.parse(NOON) + 1000;

describe('a refund among usage', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  beforeEach(() => {
    world.clock.atMs = AFTER_NOON;
  });
  after(() => world.close());

  async function funded(amount = '10'): Promise<TenantOfWorld> {
    const tenant = new TenantOfWorld(world);
    await tenant.book({ kind: 'credit', amountNano: units(amount) });
    return tenant;
  }

  /** The windows of a tenant's account. */
  async function windows({ tenantId }: TenantOfWorld): Promise<object> {
    const account = await world.account(tenantId);
    const { dailyDate, dailyUsed, monthlyMonth, monthlyUsed } = account!;
    return { dailyDate, dailyUsed, monthlyMonth, monthlyUsed };
  }

  it('in the same window gives the request back to the day and the month', async () => {
    const tenant = await funded();
    await tenant.completed('a', 2);
    await tenant.completed('b', 3);
    await tenant.book({ kind: 'refund', of: { traceId: 'b' } });
    const expected = { dailyDate: '2026-03-15', dailyUsed: 1, monthlyMonth: '2026-03', monthlyUsed: 1 };
    expect(await windows(tenant)).to.deep.equal(expected);
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('across midnight gives the request back to the month and leaves the new day alone', async () => {
    world.clock.atMs = Date.parse('2026-03-16T00:00:01.000Z');
    const tenant = await funded();
    await tenant.completed('evening', 2, { occurred_at: '2026-03-15T23:59:59.999Z' });
    await tenant.completed('morning', 3, { occurred_at: '2026-03-16T00:00:00.000Z' });
    const { entry } = await tenant.book({ kind: 'refund', of: { traceId: 'evening' } });
    expect(entry).to.include({ requests: -1, countedOn: '2026-03-15' });
    const expected = { dailyDate: '2026-03-16', dailyUsed: 1, monthlyMonth: '2026-03', monthlyUsed: 1 };
    expect(await windows(tenant)).to.deep.equal(expected);
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('across a month end leaves the new day and the new month alone', async () => {
    world.clock.atMs = Date.parse('2026-04-01T00:00:00.000Z');
    const tenant = await funded();
    await tenant.completed('last', 2, { occurred_at: '2026-03-31T23:59:59.999Z' });
    await tenant.completed('first', 3, { occurred_at: '2026-04-01T00:00:00.000Z' });
    const open = { dailyDate: '2026-04-01', dailyUsed: 1, monthlyMonth: '2026-04', monthlyUsed: 1 };
    expect(await windows(tenant)).to.deep.equal(open);
    await tenant.book({ kind: 'refund', of: { traceId: 'last' } });
    expect(await windows(tenant)).to.deep.equal(open);
    expect((await world.account(tenant.tenantId))?.balanceNano).to.equal(units('7'));
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('after the month has ended, but before anything opened the next, leaves a window of zero behind', async () => {
    const tenant = await funded();
    await tenant.completed('last', 2, { occurred_at: '2026-03-15T11:00:00.000Z' });
    world.clock.atMs = Date.parse('2026-04-02T00:00:00.000Z');
    await tenant.book({ kind: 'refund', of: { traceId: 'last' } });
    await tenant.completed('first', 1, { occurred_at: '2026-04-02T00:00:00.000Z' });
    const expected = { dailyDate: '2026-04-02', dailyUsed: 1, monthlyMonth: '2026-04', monthlyUsed: 1 };
    expect(await windows(tenant)).to.deep.equal(expected);
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('in parts gives the request back once, with the part that completes it', async () => {
    const tenant = await funded();
    await tenant.completed('a', 4);
    const amounts = ['1', '2', '1'];
    const requests: number[] = [];
    for (const amount of amounts) {
      const command = { kind: 'refund', of: { traceId: 'a' }, amountNano: units(amount) } as const;
      requests.push((await tenant.book(command)).entry.requests);
    }
    expect(requests).to.deep.equal([0, 0, -1]);
    expect((await world.account(tenant.tenantId))?.balanceNano).to.equal(units('10'));
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('of a whole charge by two callers at once is booked once, and the other is told that nothing is left', async () => {
    const tenant = await funded();
    await tenant.completed('a', 4);
    const results = await Promise.allSettled(
      Array.from({ length: 2 }, () => tenant.book({ kind: 'refund', of: { traceId: 'a' } })),
    );
    expect(results.map(({ status }) => status).sort()).to.deep.equal(['fulfilled', 'rejected']);
    const lost = results.find((result) => result.status === 'rejected');
    expect(lost?.reason).to.include({ code: 'REFUND_EXCEEDS_CHARGE' });
    expect((await world.account(tenant.tenantId))?.balanceNano).to.equal(units('10'));
    await expectAtRest(world, [tenant.tenantId]);
  });

  it('of three fifths by four callers at once is booked once', async () => {
    const tenant = await funded();
    await tenant.completed('a', 5);
    const command = { kind: 'refund', of: { traceId: 'a' }, amountNano: units('3') } as const;
    const results = await Promise.allSettled(Array.from({ length: 4 }, () => tenant.book(command)));
    expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
    expect((await world.account(tenant.tenantId))?.balanceNano).to.equal(units('8'));
  });

  it('of a refund is refused and writes nothing', async () => {
    const tenant = await funded();
    await tenant.completed('a', 4);
    const { entry } = await tenant.book({ kind: 'refund', of: { traceId: 'a' } });
    const before = await rowCounts(world);
    const error = await failureOf(tenant.book({ kind: 'refund', of: { seq: entry.seq } }));
    expect(error.code).to.equal('REFUND_NOT_ALLOWED');
    expect(error.message).to.include(`entry ${entry.seq} of ${tenant.tenantId} is a REFUND that is COMMITTED`);
    expect(await rowCounts(world)).to.deep.equal(before);
  });

  it('does not reach into the ledger of another tenant', async () => {
    const [owner, other] = [await funded(), await funded()];
    await owner.completed('a', 4);
    expect((await failureOf(other.book({ kind: 'refund', of: { traceId: 'a' } }))).code).to.equal('TRACE_UNKNOWN');
    const ofOwn = other.book({ kind: 'refund', of: { seq: 3 } });
    expect((await failureOf(ofOwn)).code).to.equal('TRACE_UNKNOWN');
  });

  it('leaves its charge what it was: the completion delivered again is a duplicate', async () => {
    const tenant = await funded();
    await tenant.completed('a', 4);
    await tenant.book({ kind: 'refund', of: { traceId: 'a' } });
    const before = (await world.entries(tenant.tenantId)).length;
    await tenant.completed('a', 4);
    expect(await world.entries(tenant.tenantId)).to.have.length(before);
    await expectAtRest(world, [tenant.tenantId]);
  });
});
