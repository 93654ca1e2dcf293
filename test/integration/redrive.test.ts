/**
 * Owns: that a redrive charges what a dead letter says exactly once, and as charging it at first would have, and that
 * the ledger proves clean with the redrive streams in it.
 * Does not own: what stays open (redrive-left-open.test.ts).
 */
import { expect } from 'chai';
import type { LetterSummary } from '../../src/ledger/dead-letter.js';
import { parseAmount } from '../../src/ledger/money.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { expectAtRest } from '../support/at-rest.js';
import type { EntryText, ProtocolWorld } from '../support/protocol-world.js';
import { briefly, RedriveWorld, TOO_OLD } from '../support/redrive-world.js';
import { UNIT_PRICING, wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const STREAMED = { stream: true };
const OLD = { occurred_at: TOO_OLD };

describe('a redrive of dead letters', function () {
  this.timeout(60_000);
  let letters: RedriveWorld;
  let world: ProtocolWorld;

  before(async () => {
    letters = await RedriveWorld.open();
    world = letters.world;
  });

  after(() => letters.close());

  /** The usage entries of a tenant; the old events count for their own day, and nothing else may differ. */
  async function usageOf(tenantId: string): Promise<Omit<EntryText, 'counted_on'>[]> {
    const usage = (await world.entries(tenantId)).filter(({ type }) => type === 'DEDUCT');
    return usage.map(({ counted_on: _countedOn, ...entry }) => entry);
  }

  it('charges events that were too old, once the age is allowed, exactly as charging them at first would have', async () => {
    const [redriven, direct] = [world.tenant(), world.tenant()];
    const eventsOf = (tenantId: string): WireEvent[] =>
      [5, 3, 9].map((units, index) => wireCompleted({ tenantId, traceId: `t-${index}`, units, fields: OLD }));
    await world.credit(redriven, '10');
    await world.credit(direct, '10');
    const dead = await letters.bury(world.stream('completed'), eventsOf(redriven));
    expect(dead.map(({ reason }) => reason)).to.deep.equal(Array(3).fill('OCCURRED_AT_TOO_OLD'));
    const results = await letters.redrive(dead);
    expect(results.map(briefly)).to.deep.equal([
      `charged ${redriven}#3 COMMITTED`,
      `charged ${redriven}#4 COMMITTED`,
      `charged ${redriven}#5 FAILED`,
    ]);
    const recent = eventsOf(direct).map((event) => ({ ...event, occurred_at: '2026-03-15T12:00:00.000Z' }));
    await world.protocol().charge(world.stream('completed').chunk(recent));
    expect(await usageOf(redriven)).to.deep.equal(await usageOf(direct));
    await expectAtRest(world, [redriven, direct]);
  });

  it('charges an event in another currency once its tenant has an account in that currency', async () => {
    const tenantId = world.tenant();
    const fields = { ...STREAMED, pricing: { ...UNIT_PRICING, currency: 'EUR' } };
    const dead = await letters.bury(world.stream('completed'), [
      wireCompleted({ tenantId, traceId: 'euro', units: 7, fields }),
    ]);
    expect((await letters.redrive(dead)).map(briefly)).to.deep.equal(['stillDead CURRENCY_MISMATCH']);
    const command = { tenantId, key: 'top-up', currency: 'EUR', actor: 'ops', reason: 'opening' };
    await world.command({ kind: 'credit', ...command, amountNano: parseAmount('1') });
    expect((await letters.redrive(dead)).map(briefly)).to.deep.equal([`charged ${tenantId}#3 COMMITTED`]);
    expect(await world.account(tenantId)).to.include({ currency: 'EUR', balanceNano: -6_000_000_000n });
    await expectAtRest(world, [tenantId]);
  });

  it('charges what was too large once the size is allowed, though the dead letter itself names no tenant', async () => {
    const tenantId = world.tenant();
    const event = wireCompleted({ tenantId, traceId: 'large', units: 2, fields: STREAMED });
    const padded = JSON.stringify(event) + ' '.repeat(64 * 1024);
    const dead = await letters.bury(world.stream('completed'), [padded]);
    expect(dead[0]).to.include({ reason: 'MESSAGE_TOO_LARGE', tenantId: null, traceId: null });
    const limits = { eventBytesMax: 1024 * 1024, eventAgeMaxMs: 86_400_000 };
    expect((await letters.redrive(dead, { limits })).map(briefly)).to.deep.equal([`charged ${tenantId}#2 COMMITTED`]);
    const [action] = await letters.actions(dead);
    expect(action).to.include({ tenant_id: tenantId, trace_id: 'large' });
    const story = await letters.reader.story(dead[0]!);
    expect(story?.entries.map(({ seq }) => seq)).to.deep.equal([2]);
    await expectAtRest(world, [tenantId]);
  });

  it('records who did it, why, what it came to, and the message of the redrive stream that the entry comes from', async () => {
    const tenantId = world.tenant();
    const dead = await letters.buryOld(tenantId, 1);
    await letters.redrive(dead);
    const [action] = await letters.actions(dead);
    expect(action).to.include({ action: 'redriven', actor: 'ops', reason: 'limit raised', outcome: 'charged' });
    expect(action?.source).to.match(/^~redrive\/\d+\/\d+$/);
    const [entry] = await world.rows<{ source: string }>(
      `SELECT source_topic || '/' || source_partition || '/' || source_offset AS source FROM ledger_entries
       WHERE tenant_id = $1 AND type = 'DEDUCT'`,
      [tenantId],
    );
    expect(entry?.source).to.equal(action?.source);
  });

  it('a second time charges nothing and says that it was done before', async () => {
    const dead = await letters.buryOld(world.tenant(), 2);
    await letters.redrive(dead);
    const before = await letters.everything();
    expect((await letters.redrive(dead)).map(briefly)).to.deep.equal(['closed redriven', 'closed redriven']);
    expect(await letters.everything()).to.deep.equal(before);
  });

  it('by four callers at once charges each letter once, whichever of them wins it', async () => {
    const tenantId = world.tenant();
    const dead = await letters.buryOld(tenantId, 20);
    const results = await Promise.all([1, 2, 3, 4].map(() => letters.redrive(dead)));
    for (const [index] of dead.entries()) {
      const kinds = results.map((result) => result[index]?.kind).sort();
      expect(kinds).to.deep.equal(['closed', 'closed', 'closed', 'redriven']);
    }
    expect(await world.statuses(tenantId)).to.deep.equal(Array(20).fill('COMMITTED'));
    await expectAtRest(world, [tenantId]);
  });

  it('records an event that is a duplicate, superseded, skipped or unpriced by now as what it came to', async () => {
    const tenantId = world.tenant();
    const priceless = { output_per_1k: UNIT_PRICING.output_per_1k, currency: UNIT_PRICING.currency };
    const events: readonly [string, 'pending' | 'completed', WireEvent][] = [
      [
        'duplicate',
        'completed',
        wireCompleted({ tenantId, traceId: 'again', units: 4, fields: { ...OLD, ...STREAMED } }),
      ],
      ['superseded', 'pending', wirePending({ tenantId, traceId: 'again', fields: OLD })],
      [
        'skipped',
        'completed',
        wireCompleted({ tenantId, traceId: 'internal', fields: { ...OLD, skip_reason: 'test' } }),
      ],
      ['unpriced', 'completed', wireCompleted({ tenantId, traceId: 'parked', fields: { ...OLD, pricing: priceless } })],
    ];
    const dead: LetterSummary[] = [];
    for (const [, kind, event] of events) dead.push(...(await letters.bury(world.stream(kind), [event])));
    const sentAgain = wireCompleted({ tenantId, traceId: 'again', units: 4, fields: STREAMED });
    await world.protocol().charge(world.stream('completed').chunk([sentAgain]));
    const results = await letters.redrive(dead);
    expect(results.map(briefly)).to.deep.equal(events.map(([outcome]) => outcome));
    expect((await letters.actions(dead)).map((action) => action?.outcome)).to.deep.equal(
      events.map(([outcome]) => outcome),
    );
    expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED']);
    const set = `SELECT (SELECT count(*) FROM skipped_events WHERE tenant_id = $1) AS skipped,
      (SELECT count(*) FROM unpriced_usage WHERE tenant_id = $1) AS parked`;
    expect(await world.rows(set, [tenantId])).to.deep.equal([{ skipped: '1', parked: '1' }]);
  });

  it('charges the hold and the completion of one request in the order in which they were recorded', async () => {
    const tenantId = world.tenant();
    const held = wirePending({ tenantId, traceId: 'whole', units: 6, fields: { ...OLD, ...STREAMED } });
    const done = wireCompleted({ tenantId, traceId: 'whole', units: 4, fields: { ...OLD, ...STREAMED } });
    await world.credit(tenantId, '10');
    const pending = await letters.bury(world.stream('pending'), [held]);
    world.clock.atMs += 1;
    const completed = await letters.bury(world.stream('completed'), [done]);
    const dead = await letters.reader.page({ state: 'open', tenantId }, { limit: 10 });
    expect(dead.map(({ topic }) => topic)).to.deep.equal([pending[0]!.topic, completed[0]!.topic]);
    await letters.redrive(dead);
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'COMMITTED']);
    expect(await world.account(tenantId)).to.include({ balanceNano: 6_000_000_000n, heldNano: 0n });
    await expectAtRest(world, [tenantId]);
  });

  it('releases no hold for the completion of a request whose hold is refused in the same redrive', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    const other = wirePending({ tenantId, traceId: 'other', units: 8 });
    await world.protocol().charge(world.stream('pending').chunk([other]));
    const pending = wirePending({ tenantId, traceId: 'refused', units: 5, fields: OLD });
    const completed = wireCompleted({ tenantId, traceId: 'refused', units: 1, fields: { ...OLD, ...STREAMED } });
    const holds = await letters.bury(world.stream('pending'), [pending]);
    const completions = await letters.bury(world.stream('completed'), [completed]);
    const results = await letters.redrive([...holds, ...completions]);
    expect(results.map(briefly)).to.deep.equal([`charged ${tenantId}#4 REFUSED`, `charged ${tenantId}#5 COMMITTED`]);
    const last = (await world.entries(tenantId)).at(-1);
    expect(last).to.include({ balance_after: '9.000000000', held_after: '8.000000000', description: 'late' });
  });

  it('of many letters goes chunk by chunk, each tenant in order', async () => {
    const [first, second] = [world.tenant(), world.tenant()];
    const dead = [...(await letters.buryOld(first, 1_100)), ...(await letters.buryOld(second, 30))];
    const batches = async (): Promise<number> =>
      Number(
        (await world.rows<{ n: string }>(`SELECT count(*) AS n FROM ledger_batches WHERE topic = '~redrive'`))[0]?.n,
      );
    const before = await batches();
    await letters.redrive(dead);
    expect(await batches()).to.be.within(before + 3, before + 4);
    for (const [tenantId, count] of [[first, 1_100] as const, [second, 30] as const]) {
      const amounts = (await world.entries(tenantId))
        .filter(({ type }) => type === 'DEDUCT')
        .map(({ amount }) => amount);
      expect(amounts).to.deep.equal(Array.from({ length: count }, (_, index) => `${index + 1}.000000000`));
    }
    await expectAtRest(world, [first, second]);
  });

  it('leaves a ledger that proves clean, chains and accounts', async () => {
    const chains = await proveChains(world.pool);
    const accounts = await proveAccounts(world.pool);
    expect([...chains.problems, ...accounts.problems]).to.deep.equal([]);
    expect((await world.reader.readCursors()).map(({ source }) => source.topic)).to.include('~redrive');
  });

  it('deletes no dead letter', async () => {
    const rows = await world.rows(
      `SELECT (SELECT sum(dead_letters) FROM ledger_batches) - (SELECT count(*) FROM dead_letters) AS gone,
         count(*) FILTER (WHERE d.redrive_state = 'open') + count(a.topic) - count(*) AS unrecorded
       FROM dead_letters d LEFT JOIN dead_letter_actions a USING (topic, partition, kafka_offset)`,
    );
    expect(rows).to.deep.equal([{ gone: '0', unrecorded: '0' }]);
  });
});
