/**
 * Owns: a usage topic that a broker really compacts, its policy changed under a running consumer: what the cleaner took away is
 * noticed and named, and never passed over. Its row of docs/failure-windows.md
 * is that of a topic that is compacted under a running consumer.
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import type { Message } from 'kafkajs';
import { KafkaFetch } from '../../src/reconciliation/topic/kafka-fetch.js';
import { useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { sumOf } from '../support/planned-tenants.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { COMPLETION_COST, completions, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const WAIT_MS = 90_000;
const CHARGED = 20;
/** Where the cleaner's work begins: one message of another key follows what was charged. */
const CLEANED_FROM = CHARGED + 1;
const LOST = 19;
const { ConfigResourceTypes } = kafkajs;
/** A segment for each batch, cleaned as soon as another follows. */
const COMPACTING = {
  'cleanup.policy': 'compact',
  'segment.ms': '100',
  'min.cleanable.dirty.ratio': '0.01',
  'max.compaction.lag.ms': '100',
  'delete.retention.ms': '0',
};

describe('a usage topic that a broker compacts', function () {
  this.timeout(240_000);
  let world: FaultWorld;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create({}, 1);
    await configure(ConfigResourceTypes.BROKER, '1', { 'log.cleaner.backoff.ms': '100' });
  });

  after(async () => {
    await configure(ConfigResourceTypes.BROKER, '1', {});
    await world.close();
  });

  const topic = (): string => world.ledger.config.topicCompleted;

  async function configure(
    type: kafkajs.ConfigResourceTypes,
    name: string,
    settings: Readonly<Record<string, string>>,
  ): Promise<void> {
    const configEntries = Object.entries(settings).map(([key, value]) => ({ name: key, value }));
    await world.ledger.admin.alterConfigs({ validateOnly: false, resources: [{ type, name, configEntries }] });
  }

  /** Messages of one key, so that the cleaner keeps the last alone; `laterMs` after now by their producer's clock. */
  function messages(count: number, first: number, laterMs = 0): Message[] {
    const timestamp = String(Date.now() + laterMs);
    return completions('acme', count, { partition: 0, first }).map((message) => ({ ...message, timestamp }));
  }

  /** The first offset that the log still has from another on. */
  async function firstOffsetFrom(offset: bigint): Promise<bigint | undefined> {
    const fetch = await KafkaFetch.open(world.ledger.kafka, [topic()]);
    try {
      const fetched = await fetch.fetch({ topic: topic(), partition: 0 }, offset, 64 * 1024);
      if (fetched.kind !== 'log') return undefined;
      for (const stretch of fetched.log.stretches()) {
        if (stretch.kind === 'hole') return stretch.nextOffset;
        return offset;
      }
      return undefined;
    } finally {
      await fetch.close();
    }
  }

  async function charged(count: number): Promise<void> {
    const sql = `SELECT FROM ledger_entries WHERE type = 'DEDUCT' AND status = 'COMMITTED'`;
    const isCharged = async (): Promise<boolean> => (await world.ledger.rows(sql)).length === count;
    await waitUntil(`${count} completions are charged`, isCharged, WAIT_MS);
  }

  it('stops its partition where the cleaner has been, names what is gone, and goes on once that is accepted', async () => {
    await send(world.ledger.kafka, topic(), messages(CHARGED, 0));
    const child = world.start();
    await charged(CHARGED);
    child.kill('SIGSTOP');
    // Answers the fetch that still waits at the broker, which would otherwise take what follows before the cleaner does.
    await send(world.ledger.kafka, topic(), completions('globex', 1, { partition: 0 }));
    await configure(ConfigResourceTypes.TOPIC, topic(), COMPACTING);
    for (const [part, laterMs] of [LOST + 1, 1].entries()) {
      await send(world.ledger.kafka, topic(), messages(laterMs, CHARGED + part * (LOST + 1), part * 60_000));
    }
    const kept = BigInt(CLEANED_FROM + LOST);
    const isCleaned = async (): Promise<boolean> => (await firstOffsetFrom(BigInt(CLEANED_FROM))) === kept;
    await waitUntil('the cleaner has been', isCleaned, WAIT_MS);
    child.kill('SIGCONT');
    const place = `offsets ${CLEANED_FROM} to ${kept - 1n} of ${topic()}/0`;
    await waitUntil('the hole is told', () => child.log().includes(`Kafka no longer has ${place}`), WAIT_MS).catch(
      (error: unknown) => expect.fail(`${String(error)}\n${child.log()}`),
    );
    expect(child.log()).to.include('STREAM_GAP').and.to.include('is the topic compacted?');
    await charged(CLEANED_FROM);
    const accept = ['cursors', 'accept-gap', '--topic', topic(), '--partition', '0', '--to', String(kept)];
    const signed = [...accept, '--actor', 'ops', '--reason', 'compacted by mistake'];
    const { exitCode, stderr } = await runTollbook(signed, world.ledger.environment as Record<string, string>);
    expect(exitCode, stderr).to.equal(0);
    await charged(CLEANED_FROM + 2);
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
    const costs = Array.from({ length: CLEANED_FROM + 2 }, () => COMPLETION_COST);
    expect(await world.ledger.assertProven()).to.equal(sumOf(costs));
    const starting = world.start();
    await waitUntil('a start is refused', () => starting.log().includes('cleanup.policy is compact'), WAIT_MS);
  });
});
