/** Owns: `tollbook consume` as operators run it: stopped, killed and started again, and refused with a clear reason. */
import { expect } from 'chai';
import { migrate } from '../../src/runtime/migrations.js';
import type { SimulationPlan } from '../../src/simulator/plan.js';
import { planSimulation } from '../../src/simulator/simulate.js';
import { type ConsumeChild, killConsumers, startConsume } from '../support/consume-child.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { assertTenantsAsPlanned, sumOf } from '../support/planned-tenants.js';
import { createEmptyTestDatabase } from '../support/test-database.js';
import { waitUntil } from '../support/wait-until.js';
import { uniqueTopic } from './kafka-topics.js';

const STOP_WITHIN_MS = 10_000;
/** Small, so that a backlog has hundreds of chunks to be interrupted between. */
const CHUNK_MESSAGES_MAX = 10;

describe('tollbook consume as a process', function () {
  this.timeout(60_000);
  let world: LedgerWorld;
  const charged: SimulationPlan[] = [];

  async function publishBacklog(seed: number): Promise<void> {
    const plan = await planSimulation({
      ...{ seed, requests: 1_500, tenants: 20, tenantPrefix: `run${seed}-` },
      ...{ duplicates: 0.2, reorder: 'full', poison: 0.01 },
    });
    await world.credit(plan);
    await world.publish(plan);
    charged.push(plan);
  }

  /** Starts a child and waits until it has sealed some batches of the backlog. */
  async function startAndInterrupt(signal: NodeJS.Signals): Promise<ConsumeChild> {
    const before = await world.count('ledger_batches');
    const child = startConsume(world.environment);
    await world.until('some chunks are charged', async () => (await world.count('ledger_batches')) >= before + 5);
    child.kill(signal);
    return child;
  }

  /** Fails unless the cursors stand where the sealed batches end, and those account for every message up to there. */
  async function assertWholeChunks(): Promise<void> {
    const rows = await world.rows<Record<'cursor' | 'end' | 'number' | 'batches' | 'offsets' | 'messages', string>>(
      `SELECT c.next_offset AS cursor, max(b.next_offset) AS end, c.batch_no AS number, count(*) AS batches,
         sum(b.next_offset - b.first_offset) AS offsets,
         sum(charged + duplicates + superseded + skipped + unpriced + dead_letters) AS messages
       FROM stream_cursors c JOIN ledger_batches b USING (topic, partition)
       WHERE c.topic = ANY($1) GROUP BY c.topic, c.partition, c.next_offset, c.batch_no`,
      [world.topics],
    );
    expect(rows).to.not.deep.equal([]);
    for (const row of rows) {
      expect(row.cursor).to.equal(row.end);
      expect(row.number).to.equal(row.batches);
      expect(row.messages).to.equal(row.offsets).and.to.equal(row.cursor);
    }
  }

  /** Lets a child charge the rest, stops it, and compares everything with what the simulator expects. */
  async function finishExactly(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    const child = startConsume({ ...world.environment, ...settings });
    await world.until('everything is charged', async () => (await world.lag()) === 0n);
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
    for (const { expectation } of charged) await assertTenantsAsPlanned(world, expectation);
    expect(await world.assertProven()).to.equal(sumOf(charged.map(({ expectation }) => expectation.totals.charged)));
  }

  before(async () => {
    world = await LedgerWorld.create({ settings: { TOLLBOOK_CHUNK_MESSAGES_MAX: String(CHUNK_MESSAGES_MAX) } });
  });

  after(async () => {
    killConsumers();
    await world.close();
  });

  it('stops on SIGTERM within 10 s with whole chunks, hashes equal and the group left; a second start charges the rest', async () => {
    await publishBacklog(1);
    const child = await startAndInterrupt('SIGTERM');
    const askedMs = performance.now();
    expect(await child.ended, child.log()).to.equal(0);
    expect(performance.now() - askedMs).to.be.below(STOP_WITHIN_MS);
    expect(await world.lag()).to.satisfy((lag: bigint) => lag > 0n);
    await assertWholeChunks();
    await world.assertProven();
    const { groups } = await world.admin.describeGroups([world.config.consumerGroup]);
    expect(groups[0]).to.include({ state: 'Empty' });
    await finishExactly();
  });

  it('leaves whole chunks when it is killed, and the next one charges the rest exactly', async () => {
    await publishBacklog(2);
    const child = await startAndInterrupt('SIGKILL');
    expect(await child.ended).to.equal('SIGKILL');
    expect(await world.lag()).to.satisfy((lag: bigint) => lag > 0n);
    await assertWholeChunks();
    // Another group, because Kafka keeps the dead member in this one until its session of 30 s ends.
    await finishExactly({ TOLLBOOK_CONSUMER_GROUP: uniqueTopic('ledger') });
  });

  it('ends with code 1 and names the topics that are missing', async () => {
    const missing = uniqueTopic('missing');
    const child = startConsume({ ...world.environment, TOLLBOOK_TOPIC_PENDING: missing });
    expect(await child.ended).to.equal(1);
    expect(child.log()).to.include(`TOPIC_MISSING: topic ${missing} does not exist`);
    expect(child.log()).to.include('tollbook topics create');
  });

  it('names the migration that the database lacks, and goes on once it is there', async function () {
    this.timeout(180_000);
    const database = await createEmptyTestDatabase();
    try {
      const child = startConsume({ ...world.environment, DATABASE_URL: database.url });
      const lacking = /the database lacks CreateLedger\d+.*tollbook migrate.*SCHEMA_OUT_OF_DATE/;
      await waitUntil('it says what is missing', () => lacking.test(child.log()), 60_000);
      await migrate({ ownerUrl: database.url });
      await waitUntil('it runs', () => child.log().includes('SIGTERM stops cleanly'), 60_000);
      child.kill('SIGTERM');
      expect(await child.ended).to.equal(0);
    } finally {
      await database.drop();
    }
  });

  it('ends with code 1 and reports all invalid settings together, without their secrets', async () => {
    const child = startConsume({
      ...world.environment,
      DATABASE_URL: 'mysql://owner:s3cret@127.0.0.1/ledger',
      REDIS_URL: 'http://127.0.0.1',
      TOLLBOOK_CHUNK_MESSAGES_MAX: '0',
      TOLLBOOK_DEFAULT_CURRENCY: 'usd',
    });
    expect(await child.ended).to.equal(1);
    expect(child.log()).to.include('CONFIG_INVALID: 4 setting(s) are invalid');
    expect(child.log()).to.include('DATABASE_URL is malformed: must start with postgres://');
    expect(child.log()).to.include('REDIS_URL is malformed: must start with redis://');
    expect(child.log()).to.include('TOLLBOOK_CHUNK_MESSAGES_MAX is 0: it must not be less than 1');
    expect(child.log()).to.include('TOLLBOOK_DEFAULT_CURRENCY is "usd": must be 3 to 8 capital letters');
    expect(child.log()).to.not.include('s3cret');
  });
});
