/** The two hold policies and the estimates on real servers, from the pre-check to every end of a trace. */
import { expect } from 'chai';
import type { HoldPolicy } from '../../src/ledger/account.js';
import { expectAtRest } from '../support/at-rest.js';
import { NO_LIMITS, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const UNIT = 1_000_000_000n;

describe('hold policies', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  async function tenantWith(holdPolicy: HoldPolicy, units = '10', dailyQuota: number | null = null): Promise<string> {
    const tenantId = world.tenant();
    await world.credit(tenantId, units, { ...NO_LIMITS, holdPolicy, dailyQuota });
    await world.project([tenantId]);
    return tenantId;
  }

  async function admit(tenantId: string, ...units: readonly number[]): Promise<void> {
    const events = units.map((each, index) => wirePending({ tenantId, traceId: `t${index}`, units: each }));
    await world.protocol().charge(world.stream('pending').chunk(events));
  }

  async function complete(tenantId: string, ...events: readonly [units: number, fields?: WireEvent][]): Promise<void> {
    const messages = events.map(([units, fields = {}], index) =>
      wireCompleted({ tenantId, traceId: `t${index}`, units, fields }),
    );
    await world.protocol().charge(world.stream('completed').chunk(messages));
  }

  /** What the account and Redis say is left, held and counted; they must agree. */
  async function expectLeft(tenantId: string, left: { balance: number; held: number; used: number }): Promise<void> {
    expect(await world.account(tenantId)).to.include({
      balanceNano: BigInt(left.balance) * UNIT,
      heldNano: BigInt(left.held) * UNIT,
      dailyUsed: left.used,
      monthlyUsed: left.used,
    });
    await expectAtRest(world, [tenantId]);
  }

  /** What a pre-check of five units out of ten leaves, by policy: held and counted, or only recorded. */
  const ADMITTED = { estimate: { held: 5, used: 1 }, none: { held: 0, used: 0 } } as const;

  for (const policy of ['estimate', 'none'] as const) {
    const { held, used } = ADMITTED[policy];

    it(`${policy}: a granted pre-check records its estimate and holds ${held} of 5 units`, async () => {
      const tenantId = await tenantWith(policy);
      await admit(tenantId, 5);
      const [pending] = (await world.entries(tenantId)).slice(-1);
      expect(pending).to.include({ status: 'PENDING', amount: '5.000000000', held_after: `${held}.000000000` });
      await expectLeft(tenantId, { balance: 10, held, used });
      await world.expireHolds();
    });

    it(`${policy}: a refused pre-check says what it required and what was available, and changes nothing`, async () => {
      const tenantId = await tenantWith(policy);
      await admit(tenantId, 11);
      const [refused] = (await world.entries(tenantId)).slice(-1);
      expect(refused).to.deep.include({
        ...{ status: 'REFUSED', description: 'INSUFFICIENT_BALANCE', amount: '11.000000000', requests: 0 },
        detail: { required: '11.000000000', available: '10.000000000' },
      });
      await expectLeft(tenantId, { balance: 10, held: 0, used: 0 });
    });

    it(`${policy}: a pre-check beyond the daily quota is refused with limit and used`, async () => {
      const tenantId = await tenantWith(policy, '10', 0);
      await admit(tenantId, 1);
      const [refused] = (await world.entries(tenantId)).slice(-1);
      const detail = { limit: '0', used: '0' };
      expect(refused).to.deep.include({ status: 'REFUSED', description: 'DAILY_QUOTA_EXCEEDED', detail });
      await expectLeft(tenantId, { balance: 10, held: 0, used: 0 });
    });

    it(`${policy}: a completion takes what was used, leaves nothing held, and counts the request once`, async () => {
      const tenantId = await tenantWith(policy);
      await admit(tenantId, 5);
      await complete(tenantId, [3]);
      expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'COMMITTED']);
      await expectLeft(tenantId, { balance: 7, held: 0, used: 1 });
    });

    it(`${policy}: a cancellation without usage leaves everything as it was before`, async () => {
      const tenantId = await tenantWith(policy);
      await admit(tenantId, 5);
      await complete(tenantId, [0, { outcome: 'cancelled' }]);
      expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'VOIDED']);
      await expectLeft(tenantId, { balance: 10, held: 0, used: 0 });
    });

    it(`${policy}: a pre-check that nobody completes expires, and a completion after that is charged late`, async () => {
      const tenantId = await tenantWith(policy);
      await admit(tenantId, 5);
      await world.expireHolds();
      expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'EXPIRED']);
      await expectLeft(tenantId, { balance: 10, held: 0, used: 0 });
      await complete(tenantId, [3]);
      expect((await world.entries(tenantId)).at(-1)).to.include({ status: 'COMMITTED', description: 'late' });
      await expectLeft(tenantId, { balance: 7, held: 0, used: 1 });
    });
  }

  it('estimate: what one request holds another cannot have, until it is settled', async () => {
    const tenantId = await tenantWith('estimate');
    await admit(tenantId, 8, 8);
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'REFUSED']);
    expect((await world.entries(tenantId)).at(-1)?.detail).to.deep.equal({
      ...{ required: '8.000000000', available: '2.000000000' },
    });
    await complete(tenantId, [1]);
    await expectLeft(tenantId, { balance: 9, held: 0, used: 1 });
  });

  it('none: two requests may pass the pre-check for the same money, and the charge decides who gets it', async () => {
    const tenantId = await tenantWith('none');
    await admit(tenantId, 8, 8);
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'PENDING']);
    await complete(tenantId, [8], [8]);
    const [first, second] = (await world.entries(tenantId)).slice(-2);
    expect(first).to.include({ status: 'COMMITTED', requests: 1 });
    expect(second).to.deep.include({
      ...{ status: 'FAILED', description: 'INSUFFICIENT_BALANCE', requests: 0 },
      detail: { required: '8.000000000', available: '2.000000000' },
    });
    await expectLeft(tenantId, { balance: 2, held: 0, used: 1 });
  });

  it('a change of policy leaves the holds that are open as they are', async () => {
    const tenantId = await tenantWith('estimate');
    await admit(tenantId, 5);
    await world.command({
      ...{ kind: 'limits', tenantId, key: 'k', actor: 'ops', reason: 'a new contract', terms: { holdPolicy: 'none' } },
    });
    await expectLeft(tenantId, { balance: 10, held: 5, used: 1 });
    await complete(tenantId, [3]);
    await expectLeft(tenantId, { balance: 7, held: 0, used: 1 });
  });

  describe('estimates', () => {
    /** Holds for an event that names this bound; one unit an input token, two an output token. */
    async function heldFor(bound: number | undefined, estimates: { default: number; max: number | null }) {
      const tenantId = await tenantWith('estimate', '100000');
      const estimate = { input_tokens: 10, ...(bound === undefined ? {} : { max_output_tokens: bound }) };
      const limits = { outputTokensDefault: estimates.default, outputTokensMax: estimates.max };
      const chunk = world.stream('pending').chunk([wirePending({ tenantId, traceId: 'a', fields: { estimate } })]);
      await world.protocol({ estimates: limits }).charge(chunk);
      await expectAtRest(world, [tenantId]);
      const [row] = await world.rows<{ output: string; held: string }>(
        `SELECT output_tokens AS output, held_after AS held FROM ledger_entries WHERE tenant_id = $1 AND status = 'PENDING'`,
        [tenantId],
      );
      return { outputTokens: Number(row?.output), held: Number(row?.held) };
    }

    it('hold for the bound that the event names', async () => {
      expect(await heldFor(100, { default: 4096, max: null })).to.deep.equal({ outputTokens: 100, held: 210 });
      expect(await heldFor(0, { default: 4096, max: null })).to.deep.equal({ outputTokens: 0, held: 10 });
    });

    it('hold for the configured default when the event names none, and record it', async () => {
      expect(await heldFor(undefined, { default: 4096, max: null })).to.deep.equal({ outputTokens: 4096, held: 8202 });
      expect(await heldFor(undefined, { default: 500, max: null })).to.deep.equal({ outputTokens: 500, held: 1010 });
    });

    it('hold for no more than the configured cap, and record what is held for', async () => {
      expect(await heldFor(1000, { default: 4096, max: 200 })).to.deep.equal({ outputTokens: 200, held: 410 });
      expect(await heldFor(undefined, { default: 4096, max: 200 })).to.deep.equal({ outputTokens: 200, held: 410 });
    });
  });
});
