/** A consumer with a price book, from Kafka to the proofs. */
import { expect } from 'chai';
import { LedgerWorld } from '../support/ledger-world.js';
import { importText } from '../support/price-lists.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completion, messageOf, send } from '../support/usage-messages.js';

describe('consuming with a price book', function () {
  this.timeout(120_000);
  let world: LedgerWorld;

  before(async () => {
    world = await LedgerWorld.create({ partitions: 1, settings: { TOLLBOOK_PRICE_BOOK: 'list' } });
  });
  after(() => world.close());

  it('does not start while the book has never been imported, and says what to do', async () => {
    const environment = Object.entries(world.environment).filter(
      (pair): pair is [string, string] => pair[1] !== undefined,
    );
    const { exitCode, stderr } = await runTollbook(['consume'], Object.fromEntries(environment));
    expect(exitCode).to.equal(1);
    expect(stderr).to.include(
      'PRICE_BOOK_UNKNOWN: TOLLBOOK_PRICE_BOOK is list, a price book that has never been imported',
    );
    expect(stderr).to.include('tollbook prices import FILE --book list');
  });

  it('charges what its gateway published without pricing, at the price of the book', async () => {
    const text =
      '{ "gpt-4o": { "litellm_provider": "openai", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05 } }';
    const nowMs = Date.now();
    const effectiveFrom = new Date(nowMs - 3_600_000).toISOString();
    await importText(world.pool, text, { book: 'list', atMs: nowMs, effectiveFrom });
    const ledger = await world.start();
    const [, topic] = world.topics;
    const unquoted = { pricing: undefined };
    await send(world.kafka, topic, [
      messageOf(completion('acme', 'own')),
      messageOf(completion('acme', 'book', unquoted)),
      messageOf(completion('acme', 'parked', { ...unquoted, model: 'gpt-unknown' })),
      messageOf(completion('acme', 'book', unquoted)),
    ]);
    await world.drain();
    const charged = await world.rows<object>(
      `SELECT trace_id, amount, price_version FROM ledger_entries WHERE type = 'DEDUCT' ORDER BY seq`,
    );
    expect(charged).to.deep.equal([
      { trace_id: 'own', amount: '0.006000000', price_version: null },
      { trace_id: 'book', amount: '0.006000000', price_version: 'list@1' },
    ]);
    expect(await world.rows('SELECT trace_id FROM unpriced_usage')).to.deep.equal([{ trace_id: 'parked' }]);
    await world.stop(ledger);
    await world.assertProven();
  });
});
