/** Money on its whole way: JSON event, PostgreSQL, Redis, and the output of the command line. */
import { expect } from 'chai';
import { Decimal } from 'decimal.js';
import { expectAtRest } from '../support/at-rest.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

const LARGEST = '9223372036.854775807';
const TOO_LARGE = '9223372036.854775808';
const LARGEST_NANO = '9223372036854775807';
const DIGITS_30 = '0.123456789012345678901234567891';
const OTHER_DIGITS_30 = '1.000000000000000000000000000009';

describe('the path of money', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  function credit(tenantId: string, amount: string, key: string): ReturnType<typeof runTollbook> {
    const args = [
      'credit',
      tenantId,
      '--amount',
      amount,
      '--key',
      key,
      '--actor',
      'ops',
      '--reason',
      'top-up',
      '--json',
    ];
    return runTollbook(args, { DATABASE_URL: world.database.url });
  }

  /** A streamed completion that costs exactly the decimal amount `cost`. */
  function costing(tenantId: string, traceId: string, cost: string): WireEvent {
    const pricing = { input_per_1k: cost, currency: 'USD' };
    return wireCompleted({ tenantId, traceId, units: 1000, fields: { pricing, stream: true } });
  }

  it('keeps 19 significant digits from the command line through PostgreSQL and Redis to the output', async () => {
    const tenantId = world.tenant();
    const { exitCode, stdout } = await credit(tenantId, LARGEST, 'all');
    expect(exitCode).to.equal(0);
    expect(JSON.parse(stdout)).to.include({
      ...{ tenantId, outcome: 'booked', seq: 2, currency: 'USD' },
      ...{ amount: LARGEST, balanceBefore: '0.000000000', balanceAfter: LARGEST },
    });
    expect(await world.rows('SELECT balance FROM accounts WHERE tenant_id = $1', [tenantId])).to.deep.equal([
      { balance: LARGEST },
    ]);
    await world.project([tenantId]);
    expect((await world.hash(tenantId))['balance']).to.equal(LARGEST_NANO);
    const again = await credit(tenantId, LARGEST, 'all');
    expect(JSON.parse(again.stdout)).to.include({ outcome: 'repeated', balanceAfter: LARGEST });
  });

  it('holds and charges one nano-unit less than the whole balance, and leaves exactly one', async () => {
    const tenantId = world.tenant();
    await credit(tenantId, LARGEST, 'all');
    await world.project([tenantId]);
    const cost = '9223372036.854775806';
    const pricing = { input_per_1k: cost, currency: 'USD' };
    const held = wirePending({ tenantId, traceId: 'a', units: 1000, fields: { pricing } });
    await world.protocol().charge(world.stream('pending').chunk([held]));
    expect((await world.inFlight(tenantId)).map(({ availableNano }) => availableNano)).to.deep.equal([
      -9223372036854775806n,
    ]);
    await world.project([tenantId]);
    expect(await world.hash(tenantId)).to.include({ balance: LARGEST_NANO, held: '9223372036854775806' });
    const charge = wireCompleted({ tenantId, traceId: 'a', units: 1000, fields: { pricing } });
    const dearer = wireCompleted({
      tenantId,
      traceId: 'b',
      units: 2000,
      fields: { pricing: { input_per_1k: '0.000000001', currency: 'USD' } },
    });
    await world.protocol().charge(world.stream('completed').chunk([charge, dearer]));
    const charges = (await world.entries(tenantId)).slice(3);
    expect(charges[0]).to.include({
      status: 'COMMITTED',
      amount: cost,
      balance_after: '0.000000001',
      held_after: '0.000000000',
    });
    expect(charges[1]).to.include({ status: 'FAILED', amount: '0.000000002' });
    expect(charges[1]?.detail).to.deep.equal({ required: '0.000000002', available: '0.000000001' });
    await expectAtRest(world, [tenantId]);
  });

  it('keeps every one of 30 decimals of a price, and rounds their exact cost once, half-up', async () => {
    const tenantId = world.tenant();
    await credit(tenantId, LARGEST, 'all');
    const pricing = { input_per_1k: DIGITS_30, output_per_1k: OTHER_DIGITS_30, currency: 'USD' };
    const usage = { input_tokens: 999_999_999_999, output_tokens: 3 };
    const stream = world.stream('completed');
    await world
      .protocol()
      .charge(stream.chunk([wireCompleted({ tenantId, traceId: 'a', fields: { pricing, usage } })]));
    const [row] = await world.rows<Record<'input_price' | 'output_price' | 'amount' | 'balance_after', string>>(
      `SELECT input_price, output_price, amount, balance_after FROM ledger_entries WHERE tenant_id = $1 AND trace_id = 'a'`,
      [tenantId],
    );
    const Exact = Decimal.clone({ precision: 100 });
    const cost = new Exact(DIGITS_30).times('999999999999').plus(new Exact(OTHER_DIGITS_30).times(3)).div(1000);
    const amount = cost.toDecimalPlaces(9, Decimal.ROUND_HALF_UP).toFixed(9);
    expect(amount).to.equal('123456789.015222222');
    const balanceAfter = new Exact(LARGEST).minus(amount).toFixed(9);
    expect(row).to.deep.equal({
      input_price: DIGITS_30,
      output_price: OTHER_DIGITS_30,
      amount,
      balance_after: balanceAfter,
    });
    await world.project([tenantId]);
    expect((await world.hash(tenantId))['balance']).to.equal(balanceAfter.replace('.', ''));
  });

  it('refuses a credit of 2^63 nano-units with the largest amount allowed, and writes nothing', async () => {
    const tenantId = world.tenant();
    const { exitCode, stdout, stderr } = await credit(tenantId, TOO_LARGE, 'all');
    expect(exitCode).to.equal(2);
    expect(stdout).to.equal('');
    expect(stderr).to.match(
      /--amount.*9223372036\.854775808.*must be below 9223372036\.854775808 \(2\^63 nano-units\)/,
    );
    expect(await world.account(tenantId)).to.equal(undefined);
  });

  it('refuses a credit that would bring the balance to 2^63 nano-units, and writes nothing', async () => {
    const tenantId = world.tenant();
    await credit(tenantId, LARGEST, 'all');
    const { exitCode, stderr } = await credit(tenantId, '0.000000001', 'more');
    expect(exitCode).to.equal(1);
    expect(stderr).to.match(
      /^tollbook: MONEY_OUT_OF_RANGE: .*9223372036\.854775808.*below 9223372036\.854775808 \(2\^63 nano-units\)/,
    );
    expect((await world.account(tenantId))?.seq).to.equal(2);
  });

  it('makes an event that costs 2^63 nano-units a dead letter, and charges one that costs a nano-unit less', async () => {
    const tenantId = world.tenant();
    const events = [
      costing(tenantId, 'a', TOO_LARGE),
      costing(tenantId, 'b', LARGEST),
      costing(tenantId, 'c', '0.000000001'),
    ];
    const { counts } = batchOf(await world.protocol().charge(world.stream('completed').chunk(events)));
    expect(counts).to.include({ charged: 1, deadLetters: 2 });
    const letters = await world.rows<{ trace_id: string; reason: string; detail: string }>(
      'SELECT trace_id, reason, detail FROM dead_letters WHERE tenant_id = $1 ORDER BY kafka_offset',
      [tenantId],
    );
    expect(letters.map(({ trace_id, reason }) => [trace_id, reason])).to.deep.equal([
      ['a', 'AMOUNT_OUT_OF_RANGE'],
      ['c', 'AMOUNT_OUT_OF_RANGE'],
    ]);
    expect(letters[0]?.detail).to.equal('the cost is 2^63 nano-units or more; allowed: below 9223372036.854775808');
    expect(letters[1]?.detail).to.match(/^the balance after this event would be 2\^63 nano-units or more/);
    expect((await world.entries(tenantId)).at(-1)).to.include({ trace_id: 'b', balance_after: `-${LARGEST}` });
    await world.project([tenantId]);
    expect((await world.hash(tenantId))['balance']).to.equal(`-${LARGEST_NANO}`);
  });
});
