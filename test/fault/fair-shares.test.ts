/**
 * Owns: what tenants do to each other: a flood of messages that cannot be charged, and one tenant that is far busier than
 * the others.
 * What is promised: a message that is set aside costs about what a charged one costs, so ten of them for every good one
 * slow the good ones as ten good ones would, and no more; a backlog on one partition holds up the others by one fetch of
 * it at a time, and by two seconds at most, however many records its bytes hold; never until it is drained.
 * What is not: within its partition everybody waits for what came first. That is the order that the ledger promises; more
 * partitions are the remedy.
 */
import { expect } from 'chai';
import type { Message } from 'kafkajs';
import { SeededRandom } from '../../src/simulator/seeded-random.js';
import { propertySeed } from '../model/property-seed.js';
import { killConsumers } from '../support/consume-child.js';
import { useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { produceRaw } from '../support/raw-produce.js';
import { writeBatch } from '../support/record-batches.js';
import { completion, COMPLETION_COST, completions, messageOf, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const PARTITIONS = 2;
const GOOD = 800;
const FLOOD = 8_000;
/**
 * A flood is to cost about what as many good messages do. To tell what breaks the contract took up to 1.9 times as long
 * beside the other suites; twice that is for a machine that others use too.
 */
const DEARER_MAX = 4;
const DRAIN_MAX_MS = 90_000;
const GARBAGE_BYTES = 300;

describe('a flood of', function () {
  this.timeout(240_000);
  let world: FaultWorld;
  let millisecondsPerGood = 0;
  let random: SeededRandom;

  useFaultStack();

  before(async () => {
    random = new SeededRandom(propertySeed(), 0, 0);
    world = await FaultWorld.create({ TOLLBOOK_CHUNK_MESSAGES_MAX: '200' }, PARTITIONS);
    world.start();
    await drain('warm', [...good('warm', GOOD), ...flood((number) => garbage(number))]);
    const figures = [await drain('good', good('first', FLOOD)), await drain('good', good('second', FLOOD))];
    millisecondsPerGood = Math.max(...figures);
  });

  after(async () => {
    killConsumers();
    await world.close();
  });

  function good(run: string, count: number): Message[] {
    world.besides.push(...Array.from({ length: count }, () => COMPLETION_COST));
    return Array.from({ length: count }, (_, number) => messageOf(event(run, number), number % PARTITIONS));
  }

  function event(run: string, number: number, fields: Record<string, unknown> = {}): Record<string, unknown> {
    return completion(`tenant-${number % 40}`, `${run}-${number}`, fields);
  }

  function flood(of: (number: number) => Message): Message[] {
    return Array.from({ length: FLOOD }, (_, number) => of(number));
  }

  function garbage(number: number): Message {
    const value = Buffer.from(Array.from({ length: GARBAGE_BYTES }, () => random.uint32() & 0xff));
    return { key: 'nobody', value, partition: number % PARTITIONS };
  }

  /** Publishes while charging is held up, then lets it go; returns the milliseconds a message took. */
  async function drain(name: string, messages: readonly Message[]): Promise<number> {
    const client = await world.ledger.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT FROM stream_cursors FOR UPDATE');
      await send(world.ledger.kafka, world.ledger.config.topicCompleted, messages);
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
    const startedMs = performance.now();
    await waitUntil(`${name} is drained`, async () => (await world.ledger.lag()) === 0n, DRAIN_MAX_MS);
    return (performance.now() - startedMs) / messages.length;
  }

  const FLOODS: Readonly<Record<string, (number: number) => Message>> = {
    'bytes that are no event': garbage,
    'events that break the contract': (number) =>
      messageOf(
        event('broken', number, { occurred_at: 'yesterday', usage: { input_tokens: -1 } }),
        number % PARTITIONS,
      ),
    'conflicting duplicates': (number) =>
      messageOf(event('first', number, { usage: { input_tokens: 1, output_tokens: 1 } }), number % PARTITIONS),
    'completions without a price': (number) =>
      messageOf(event('unpriced', number, { pricing: { currency: 'USD' } }), number % PARTITIONS),
  };

  for (const [name, of] of Object.entries(FLOODS)) {
    it(`${name}, ten for every good message, slows those hardly more than as many good ones would`, async () => {
      const interleaved = flood(of);
      for (const [index, message] of good(`among ${name}`.replaceAll(' ', '-'), GOOD).entries()) {
        interleaved.splice(index * (FLOOD / GOOD + 1), 0, message);
      }
      const found = await drain(name, interleaved);
      process.stdout.write(
        `      ${found.toFixed(3)} ms a message, good ones alone ${millisecondsPerGood.toFixed(3)}\n`,
      );
      expect(found).to.be.below(DEARER_MAX * millisecondsPerGood);
    });
  }

  it('whatever it was leaves the good ones charged, each once', async () => {
    killConsumers();
    await world.recover('floods', performance.now());
    expect(await world.ledger.count('dead_letters')).to.equal(4 * FLOOD);
  });
});

describe('a tenant with a backlog', function () {
  this.timeout(240_000);
  let world: FaultWorld;

  const HOT = 10_000;
  /** As gateways publish: a batch of the log is always fetched whole. */
  const HOT_BATCH = 1_000;
  const COLD = 20;
  /** One fetch of the hot partition is charged in less than 1 s here; the rest is for a machine that others use. */
  const FRESH_MAX_MS = 8_000;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create({ TOLLBOOK_CHUNK_MESSAGES_MAX: '500' }, 3);
  });

  after(async () => {
    killConsumers();
    await world.close();
  });

  it('does not hold up fresh events of others on other partitions: charged and projected while it is far from drained', async () => {
    const topic = world.ledger.config.topicCompleted;
    for (let first = 0; first < HOT; first += HOT_BATCH) {
      await send(world.ledger.kafka, topic, completions('hot', HOT_BATCH, { partition: 0, first }));
    }
    const child = world.start({ faults: 'charge.decoded=delay:50' });
    await world.batches(2);
    const others = Array.from({ length: COLD }, (_, number) => `cold-${number}`);
    const fresh = others.map((tenantId, number) => messageOf(completion(tenantId, 'fresh'), 1 + (number % 2)));
    await send(world.ledger.kafka, topic, fresh);
    const publishedMs = performance.now();
    await waitUntil('the others are projected', async () => {
      return (await world.ledger.scripts.versions(others)).every((version) => version !== null && version >= 2);
    });
    const tookMs = performance.now() - publishedMs;
    const left = await world.ledger.lag();
    process.stdout.write(`      fresh events took ${tookMs.toFixed(0)} ms, ${left} of the backlog were left\n`);
    expect(left).to.satisfy((lag: bigint) => lag > 0n);
    expect(tookMs).to.be.below(FRESH_MAX_MS);
    world.besides.push(...Array.from({ length: HOT + COLD }, () => COMPLETION_COST));
    await world.recover('a hot tenant', performance.now(), [child]);
  });
});

describe('a small batch of very many records', function () {
  this.timeout(240_000);
  let world: FaultWorld;

  const RECORDS = 30_000;
  /** So slow that the batch takes 12 seconds at least. */
  const FAULTS = 'charge.decoded=delay:200';
  const FRESH_MAX_MS = 9_000;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create({ TOLLBOOK_CHUNK_MESSAGES_MAX: '500' }, 2);
  });

  after(async () => {
    killConsumers();
    await world.close();
  });

  it('does not hold up other partitions until all of it is charged', async () => {
    const { kafka, config } = world.ledger;
    const topic = config.topicCompleted;
    const records = Array.from({ length: RECORDS }, () => ({ key: null, value: Buffer.from('{}') }));
    const batch = writeBatch({ codec: 'gzip', baseTimestampMs: Date.now(), records });
    expect(batch.length).to.be.below(100_000);
    await produceRaw(kafka, { topic, partition: 0 }, [batch]);
    const child = world.start({ faults: FAULTS });
    await world.batches(2);
    await send(kafka, topic, completions('cold', 1, { partition: 1 }));
    const publishedMs = performance.now();
    const isCharged = async (): Promise<boolean> => (await world.ledger.rows('SELECT FROM ledger_entries')).length > 0;
    await waitUntil('the other partition is charged', isCharged, DRAIN_MAX_MS);
    const tookMs = performance.now() - publishedMs;
    const left = await world.ledger.lag();
    process.stdout.write(`      a fresh event took ${tookMs.toFixed(0)} ms, ${left} records of the batch were left\n`);
    expect(left).to.satisfy((lag: bigint) => lag > 0n);
    expect(tookMs).to.be.below(FRESH_MAX_MS);
    world.besides.push(COMPLETION_COST);
    await world.recover('a batch of many records', performance.now(), [child]);
    expect(await world.ledger.count('dead_letters')).to.equal(RECORDS);
  });
});
