/**
 * Owns: bad input at scale: whatever bytes are published, nothing crashes, nothing stalls, and every offset is accounted
 * for as entry, duplicate, superseded, skipped, parked or dead letter.
 * 50,000 messages unless TOLLBOOK_FUZZ_MESSAGES asks for another number, such as 1000000; FC_SEED replays a run.
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import { propertySeed } from '../model/property-seed.js';
import { expectAccounted } from '../support/after-fault.js';
import { FUZZED_TENANTS, fuzzedMessages } from '../support/fuzzed-messages.js';
import { LedgerWorld } from '../support/ledger-world.js';

const { Partitioners } = kafkajs;
const MESSAGES = Number(process.env['TOLLBOOK_FUZZ_MESSAGES'] ?? 50_000);
const PART = 2_000;
const MS_PER_MESSAGE_MAX = 6;
const FATES = ['charged', 'duplicates', 'superseded', 'skipped', 'unpriced', 'dead_letters'] as const;

describe('a flood of arbitrary messages', function () {
  this.timeout(120_000 + MESSAGES * MS_PER_MESSAGE_MAX);
  let world: LedgerWorld;

  before(async () => {
    world = await LedgerWorld.create();
  });

  after(() => world.close());

  it(`of ${MESSAGES} every one is accounted for, and the ledger stays proven`, async () => {
    await credit(FUZZED_TENANTS.slice(0, FUZZED_TENANTS.length / 2));
    const ledger = await world.start();
    await publish(propertySeed());
    await caughtUp();
    await world.drain();
    await world.stop(ledger);
    await world.assertProven();
    await expectAccounted(world);
    const counts = await fates();
    process.stdout.write(`      ${FATES.map((fate) => `${counts[fate]} ${fate}`).join(', ')}\n`);
    expect(FATES.reduce((sum, fate) => sum + counts[fate], 0)).to.equal(MESSAGES);
    for (const fate of FATES) expect(counts[fate], `messages that became ${fate}`).to.be.above(0);
    expect(await world.count('dead_letters')).to.equal(counts.dead_letters);
    expect(await entriesOfMessages()).to.equal(counts.charged);
  });

  async function credit(tenantIds: readonly string[]): Promise<void> {
    const tenant = { funded: true, creditNeeded: '1000000' };
    const expectation = { tenants: Object.fromEntries(tenantIds.map((tenantId) => [tenantId, tenant])) };
    await world.credit({ expectation });
  }

  async function publish(seed: number): Promise<void> {
    const producer = world.kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    for (let part = 0; part * PART < MESSAGES; part += 1) {
      const made = fuzzedMessages({ seed, part, count: Math.min(PART, MESSAGES - part * PART) });
      const topicMessages = (['pending', 'completed'] as const).map((kind, index) => ({
        topic: world.topics[index] ?? '',
        messages: made.filter((message) => message.kind === kind).map(({ message }) => message),
      }));
      await producer.sendBatch({ topicMessages, acks: -1 });
    }
    await producer.disconnect();
  }

  /** Waits until everything is charged, for as long as there is progress. */
  async function caughtUp(): Promise<void> {
    for (let lag = await world.lag(); lag > 0n;) {
      const before = lag;
      await world.until(`the lag falls below ${before}`, async () => (lag = await world.lag()) < before);
    }
  }

  async function fates(): Promise<Record<(typeof FATES)[number], number>> {
    const sums = FATES.map((fate) => `coalesce(sum(${fate}), 0)::int AS ${fate}`).join(', ');
    const [row] = await world.rows<Record<(typeof FATES)[number], number>>(
      `SELECT ${sums} FROM ledger_batches WHERE topic = ANY($1)`,
      [world.topics],
    );
    return row!;
  }

  async function entriesOfMessages(): Promise<number> {
    const [row] = await world.rows<{ count: string }>(
      `SELECT count(*) FROM ledger_entries WHERE source_topic = ANY($1) AND type = 'DEDUCT'`,
      [world.topics],
    );
    return Number(row?.count);
  }
});
