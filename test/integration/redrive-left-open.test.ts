/**
 * Owns: that a redrive leaves open, and without a trace, what is a dead letter again, what was only tried, and what was
 * cut off; and charges the rest beside it.
 */
import { expect } from 'chai';
import type { DeadLetterStore } from '../../src/ledger/dead-letter-store.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { isTollbookError, TollbookError } from '../../src/runtime/errors.js';
import { expectAtRest } from '../support/at-rest.js';
import type { ProtocolWorld } from '../support/protocol-world.js';
import { briefly, RedriveWorld, TOO_OLD } from '../support/redrive-world.js';
import { UNIT_PRICING, wireCompleted } from '../support/wire-usage.js';

const STREAMED = { stream: true };
const OLD = { occurred_at: TOO_OLD };
/** Twice as much is beyond 2^63 nano-units. */
const HALF_OF_ALL = 5_000_000_000;

describe('a redrive of what is a dead letter again', function () {
  this.timeout(60_000);
  let letters: RedriveWorld;
  let world: ProtocolWorld;

  before(async () => {
    letters = await RedriveWorld.open();
    world = letters.world;
  });

  after(() => letters.close());

  it('of what still cannot be charged leaves it open, says why now, and writes nothing at all', async () => {
    const tenantId = world.tenant();
    const tooDear = { ...OLD, ...STREAMED, pricing: { ...UNIT_PRICING, input_per_1k: '9223372036855' } };
    const dead = await letters.bury(world.stream('completed'), [
      '{',
      wireCompleted({ tenantId, traceId: 'too-dear', units: 1_000_000, fields: tooDear }),
    ]);
    const before = await letters.everything();
    expect((await letters.redrive(dead)).map(briefly)).to.deep.equal([
      'stillDead INVALID_JSON',
      'stillDead AMOUNT_OUT_OF_RANGE',
    ]);
    expect(await letters.everything()).to.deep.equal(before);
    expect(await world.account(tenantId), 'no account was opened').to.equal(undefined);
  });

  it('tells the reason that holds now, which may be another than the recorded one', async () => {
    const tenantId = world.tenant();
    const dead = await letters.bury(world.stream('completed'), [
      wireCompleted({ tenantId, traceId: 'both', fields: { ...OLD, pricing: { ...UNIT_PRICING, currency: 'EUR' } } }),
    ]);
    expect(dead[0]?.reason).to.equal('OCCURRED_AT_TOO_OLD');
    const [result] = await letters.redrive(dead);
    expect(result).to.deep.include({
      kind: 'stillDead',
      reason: 'CURRENCY_MISMATCH',
      detail: 'pricing.currency is EUR; allowed: USD, the currency of the tenant',
    });
    expect((await letters.reader.at(dead))[0]).to.include({ reason: 'OCCURRED_AT_TOO_OLD', state: 'open' });
  });

  it('charges what it can beside what it cannot, even when that shows only as the balance is booked', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed');
    const half = { tenantId, units: HALF_OF_ALL, fields: STREAMED };
    await world.protocol().charge(stream.chunk([wireCompleted({ ...half, traceId: 'first-half' })]));
    const [second] = await letters.bury(stream, [wireCompleted({ ...half, traceId: 'second-half' })]);
    expect(second?.reason).to.equal('AMOUNT_OUT_OF_RANGE');
    const [small] = await letters.buryOld(tenantId, 1);
    const results = await letters.redrive([second!, small!]);
    expect(results.map(briefly)).to.deep.equal(['stillDead AMOUNT_OUT_OF_RANGE', `charged ${tenantId}#3 COMMITTED`]);
    expect(await letters.states([second!, small!])).to.deep.equal(['open', 'redriven']);
    await world.credit(tenantId, String(HALF_OF_ALL));
    expect((await letters.redrive([second!])).map(briefly)).to.deep.equal([`charged ${tenantId}#5 COMMITTED`]);
  });

  it('numbers the messages of a redrive stream without a gap, and no batch of it has a dead letter', async () => {
    const rows = await world.rows<Record<'offsets' | 'messages' | 'dead' | 'cursor' | 'end', string>>(
      `SELECT sum(b.next_offset - b.first_offset) AS offsets, sum(b.dead_letters) AS dead, c.next_offset AS cursor,
         sum(b.charged + b.duplicates + b.superseded + b.skipped + b.unpriced) AS messages, max(b.next_offset) AS end
       FROM stream_cursors c JOIN ledger_batches b USING (topic, partition)
       WHERE c.topic = '~redrive' GROUP BY c.topic, c.partition, c.next_offset`,
    );
    expect(rows).to.not.deep.equal([]);
    for (const { offsets, messages, dead, cursor, end } of rows) {
      expect({ messages, dead, cursor, end }).to.deep.equal({
        messages: offsets,
        dead: '0',
        cursor: offsets,
        end: offsets,
      });
    }
  });

  it('of two completions of one request with other content charges the first and leaves the second open', async () => {
    const tenantId = world.tenant();
    const fields = { ...OLD, ...STREAMED };
    const dead = await letters.bury(world.stream('completed'), [
      wireCompleted({ tenantId, traceId: 'twice', units: 4, fields }),
      wireCompleted({ tenantId, traceId: 'twice', units: 5, fields }),
    ]);
    expect((await letters.redrive(dead)).map(briefly)).to.deep.equal([
      `charged ${tenantId}#2 COMMITTED`,
      'stillDead CONFLICTING_DUPLICATE',
    ]);
    await expectAtRest(world, [tenantId]);
  });

  it('as a dry run says the same, writes nothing and leaves nothing in flight', async () => {
    const tenantId = world.tenant();
    const dead = [...(await letters.buryOld(tenantId, 2)), ...(await letters.bury(world.stream('completed'), ['{']))];
    const before = await letters.everything();
    const results = await letters.redrive(dead, {}, { isDryRun: true });
    expect(await letters.everything()).to.deep.equal(before);
    expect(await world.inFlight(tenantId)).to.deep.equal([]);
    expect((await letters.redrive(dead)).map(briefly)).to.deep.equal(results.map(briefly));
    await expectAtRest(world, [tenantId]);
  });

  it('that dies before its commit leaves nothing but in-flight items, and the next one charges once', async () => {
    const tenantId = world.tenant();
    const dead = await letters.buryOld(tenantId, 3);
    const before = await letters.everything();
    const dying: DeadLetterStore = {
      transact: (work) =>
        letters.store.transact(async (transaction) => {
          await work(transaction);
          throw new TollbookError('POSTGRES_UNAVAILABLE', 'the connection was cut before the commit');
        }),
    };
    const died = await letters.redrive(dead, { letters: dying }).catch((error: unknown) => error);
    expect(isTollbookError(died, 'POSTGRES_UNAVAILABLE')).to.equal(true);
    expect(await letters.everything()).to.deep.equal(before);
    expect(await world.inFlight(tenantId)).to.have.length(3);
    expect((await letters.redrive(dead)).map(({ kind }) => kind)).to.deep.equal(Array(3).fill('redriven'));
    expect(await world.statuses(tenantId)).to.deep.equal(Array(3).fill('COMMITTED'));
    await expectAtRest(world, [tenantId]);
  });

  it('of a topic that is not configured is refused before anything is written, and says what to set', async () => {
    const dead = await letters.buryOld(world.tenant(), 1);
    const before = await letters.everything();
    const topics = new Map([['other.topic', 'completed' as const]]);
    const refused = await letters.redrive(dead, { topics }).catch((error: unknown) => error);
    expect(isTollbookError(refused, 'TOPIC_UNKNOWN')).to.equal(true);
    expect((refused as TollbookError).message).to.include(
      'the topic is usage.completed; allowed: other.topic; set TOLLBOOK_TOPIC_PENDING or TOLLBOOK_TOPIC_COMPLETED',
    );
    expect(await letters.everything()).to.deep.equal(before);
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
