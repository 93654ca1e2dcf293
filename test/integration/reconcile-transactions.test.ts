/**
 * Owns: that a reconciliation raises no alarm where nothing is wrong: usage that a price book prices in part, and logs whose
 * offsets hold markers, aborted records, or a transaction that is still open. Each by a consumer and the command line.
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import type { Producer } from 'kafkajs';
import type { LedgerProcess } from '../../src/cli/ledger-process.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { importText } from '../support/price-lists.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completion, completions, messageOf, send } from '../support/usage-messages.js';
import { uniqueTopic } from './kafka-topics.js';

const ONLY_INPUT = '{ "gpt-4o": { "litellm_provider": "openai", "input_cost_per_token": 3e-06 } }';
const HOUR_MS = 3_600_000;

interface ReconciledRange {
  readonly topic: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly notChargedYet: object | null;
}

describe('reconciling what only looks wrong', function () {
  this.timeout(120_000);
  let world: LedgerWorld;
  let ledger: LedgerProcess;

  before(async () => {
    world = await LedgerWorld.create({ partitions: 1, settings: { TOLLBOOK_PRICE_BOOK: 'list' } });
    const atMs = Date.now();
    await importText(world.pool, ONLY_INPUT, {
      book: 'list',
      atMs,
      effectiveFrom: new Date(atMs - HOUR_MS).toISOString(),
    });
    ledger = await world.start();
  });
  after(() => world.close());

  const topic = (): string => world.config.topicCompleted;

  /** `tollbook reconcile --json`: fails unless it says equal; returns what it says of the completed topic. */
  async function expectEqual(): Promise<ReconciledRange> {
    const environment = world.environment as Record<string, string>;
    const { exitCode, stdout, stderr } = await runTollbook(['reconcile', '--json'], environment);
    expect(exitCode, `${stdout}${stderr}`).to.equal(0);
    const report = JSON.parse(stdout) as { verdict: string; ranges: ReconciledRange[] };
    expect(report.verdict).to.equal('equal');
    const range = report.ranges.find((each) => each.topic === topic());
    return range ?? expect.fail(`no range of ${topic()}: ${stdout}`);
  }

  /** The offsets that are not charged, as `tollbook status --json` tells them. */
  async function lagTold(): Promise<{ lag: number; held_back: boolean }> {
    const { stdout } = await runTollbook(['status', '--json'], world.environment as Record<string, string>);
    const { partitions } = JSON.parse(stdout) as { partitions: { topic: string; lag: number; held_back: boolean }[] };
    const found = partitions.find((each) => each.topic === topic());
    return found ?? expect.fail(`no partition of ${topic()}: ${stdout}`);
  }

  async function transactional(): Promise<Producer> {
    const producer = world.kafka.producer({
      ...{ transactionalId: uniqueTopic('gateway'), idempotent: true, maxInFlightRequests: 1 },
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    return producer;
  }

  it('is equal where a book prices only some meters of usage without pricing, which is parked', async () => {
    const unquoted = { pricing: undefined };
    await send(world.kafka, topic(), [
      messageOf(completion('acme', 'own')),
      messageOf(completion('acme', 'input-alone', { ...unquoted, usage: { input_tokens: 1000, output_tokens: 0 } })),
      messageOf(completion('acme', 'in-part', unquoted)),
      messageOf(completion('acme', 'in-part', unquoted)),
      messageOf(completion('acme', 'unknown', { ...unquoted, model: 'gpt-unknown' })),
    ]);
    await world.drain();
    const parked = await world.rows<object>('SELECT trace_id FROM unpriced_usage ORDER BY trace_id');
    expect(parked).to.deep.equal([{ trace_id: 'in-part' }, { trace_id: 'unknown' }]);
    const { counts } = await expectEqual();
    expect(counts).to.include({ charged: 2, unpriced: 2, missing: 0 });
  });

  it('is equal across markers and aborted records, also where a marker ends the log, and nothing lags behind it', async () => {
    const producer = await transactional();
    for (const [round, ending] of (['commit', 'abort', 'commit', 'abort'] as const).entries()) {
      const transaction = await producer.transaction();
      await transaction.send({ topic: topic(), messages: completions('bolt', 2, { partition: 0, first: round * 10 }) });
      await transaction[ending]();
    }
    await producer.disconnect();
    await world.drain();
    const { counts, notChargedYet } = await expectEqual();
    expect(counts).to.include({ charged: 6, missing: 0 });
    expect(notChargedYet).to.equal(null);
    expect(await lagTold()).to.include({ lag: 0, held_back: false });
  });

  it('is equal while a transaction is open at the end of the log, which status tells, and again when it is over', async () => {
    const producer = await transactional();
    const transaction = await producer.transaction();
    await transaction.send({ topic: topic(), messages: completions('corp', 3, { partition: 0 }) });
    expect((await expectEqual()).counts).to.include({ charged: 6, missing: 0 });
    expect(await lagTold()).to.include({ lag: 3, held_back: true });
    await transaction.commit();
    await producer.disconnect();
    await world.drain();
    const { counts, notChargedYet } = await expectEqual();
    expect(counts).to.include({ charged: 9, missing: 0 });
    expect(notChargedYet).to.equal(null);
    await world.stop(ledger);
    await world.assertProven();
  });
});
