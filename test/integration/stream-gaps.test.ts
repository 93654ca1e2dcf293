/**
 * Owns: what happens where a log does not continue at the cursor: loss stops the partition and only that one, until an
 * operator accepts it; holes that hold nothing chargeable are crossed; a foreign log is refused.
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import { createTopics } from '../../src/cli/topics-command.js';
import { acceptGap } from '../../src/ledger/postgres/stream-gaps.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { tenantFigures } from '../support/planned-tenants.js';
import { completions, send } from '../support/usage-messages.js';
import { deleteTopics, uniqueTopic } from './kafka-topics.js';

const PARTITIONS = 2;

describe('a log that does not continue at the cursor', function () {
  this.timeout(60_000);
  let world: LedgerWorld;

  /** Publishes `count` completions to one partition, for the tenant of that partition. */
  async function publish(partition: number, count: number): Promise<void> {
    const first = Number(await logEnd(partition));
    await send(world.kafka, world.config.topicCompleted, completions(tenantOf(partition), count, { partition, first }));
  }

  function tenantOf(partition: number): string {
    return `tenant-${partition}`;
  }

  async function logEnd(partition: number): Promise<bigint> {
    const offsets = await world.admin.fetchTopicOffsets(world.config.topicCompleted);
    return BigInt(offsets.find((each) => each.partition === partition)!.high);
  }

  async function cursorOf(partition: number): Promise<bigint | undefined> {
    return (await world.reader.readCursor({ topic: world.config.topicCompleted, partition }))?.nextOffset;
  }

  async function untilCursor(partition: number, nextOffset: bigint): Promise<void> {
    await world.until(`partition ${partition} is charged to ${nextOffset}`, async () => {
      return (await cursorOf(partition)) === nextOffset;
    });
  }

  /** Waits until a partition is stopped with an alarm of this code, and returns its sentence. */
  async function alarm(partition: number, code: string): Promise<string> {
    const find = (): string | undefined =>
      world.log.find((line) => line.partition === partition && line.err?.code === code)?.err?.message;
    await world.until(`partition ${partition} is stopped with ${code}`, () => find() !== undefined);
    return find() ?? '';
  }

  async function requestsOf(partition: number): Promise<number> {
    const rows = await world.rows(`SELECT FROM ledger_entries WHERE tenant_id = $1 AND type = 'DEDUCT'`, [
      tenantOf(partition),
    ]);
    return rows.length;
  }

  async function chargeAll(): Promise<void> {
    const ledger = await world.start();
    await world.drain();
    await world.stop(ledger);
  }

  beforeEach(async () => {
    world = await LedgerWorld.create({ partitions: PARTITIONS });
    for (let partition = 0; partition < PARTITIONS; partition += 1) await publish(partition, 5);
    await chargeAll();
  });

  afterEach(() => world.close());

  describe('because retention removed messages before they were read', () => {
    beforeEach(async () => {
      for (let partition = 0; partition < PARTITIONS; partition += 1) await publish(partition, 5);
      const { topicCompleted: topic } = world.config;
      await world.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '8' }] });
    });

    it('stops the partition with an alarm that says how to accept the loss, and charges nothing past it', async () => {
      const ledger = await world.start();
      const sentence = await alarm(0, 'STREAM_GAP');
      const { topicCompleted } = world.config;
      expect(sentence).to.include(`lost offsets 5 to 7 of ${topicCompleted}/0`);
      expect(sentence).to.include(`cursors accept-gap --topic ${topicCompleted} --partition 0 --to 8`);
      await publish(0, 3);
      await publish(1, 3);
      await untilCursor(1, 13n);
      expect(await cursorOf(0)).to.equal(5n);
      expect(await requestsOf(0)).to.equal(5);
      expect(await requestsOf(1)).to.equal(13);
      await world.stop(ledger);
      await world.assertProven();
    });

    it('goes on after the loss once an operator has accepted it, and keeps the record', async () => {
      const source = { topic: world.config.topicCompleted, partition: 0 };
      const from = await acceptGap(world.pool, { source, toOffset: 8n, actor: 'ops', reason: 'retention too short' });
      expect(from).to.equal(5n);
      await chargeAll();
      expect(await cursorOf(0)).to.equal(10n);
      expect(await requestsOf(0)).to.equal(7);
      const gaps = await world.rows('SELECT topic, partition, from_offset, to_offset, actor, reason FROM stream_gaps');
      const range = { from_offset: '5', to_offset: '8' };
      expect(gaps).to.deep.equal([{ ...source, ...range, actor: 'ops', reason: 'retention too short' }]);
      await world.assertProven();
    });

    it('does not accept a loss behind the cursor', async () => {
      const source = { topic: world.config.topicCompleted, partition: 1 };
      const problem: unknown = await acceptGap(world.pool, {
        source,
        toOffset: 5n,
        actor: 'ops',
        reason: 'none',
      }).catch((error: unknown) => error);
      expect(isTollbookError(problem, 'USAGE_INVALID')).to.equal(true);
      expect(await cursorOf(1)).to.equal(5n);
      expect(await world.rows('SELECT FROM stream_gaps')).to.deep.equal([]);
    });
  });

  it('crosses the markers and the aborted records of a transactional producer, and charges what it committed', async () => {
    const { topicCompleted: topic } = world.config;
    const { Partitioners } = kafkajs;
    const producer = world.kafka.producer({
      transactionalId: uniqueTopic('gateway'),
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    for (const [round, ending] of (['abort', 'commit', 'abort', 'commit'] as const).entries()) {
      const transaction = await producer.transaction();
      await transaction.send({
        topic,
        messages: completions(tenantOf(0), 2, { partition: 0, first: 100 + round * 10 }),
      });
      await transaction[ending]();
      if (round === 1) await publish(1, 1);
    }
    await producer.disconnect();
    await publish(0, 1);
    expect(await logEnd(0)).to.equal(18n); // 5 and 1 plain messages, 4 transactions of 2 messages and a marker
    await chargeAll();
    expect(await cursorOf(0)).to.equal(18n);
    const traces = await world.rows<{ trace_id: string }>(
      `SELECT trace_id FROM ledger_entries WHERE tenant_id = $1 AND trace_id ~ '-1[0-9][0-9]$' ORDER BY trace_id`,
      [tenantOf(0)],
    );
    expect(traces.map(({ trace_id }) => trace_id)).to.deep.equal(
      [110, 111, 130, 131].map((number) => `${tenantOf(0)}-${number}`),
    );
    expect(await requestsOf(0)).to.equal(10);
    expect(await world.rows('SELECT FROM stream_gaps')).to.deep.equal([]);
    await world.assertProven();
  });

  it('refuses a topic that was deleted and created anew under the same name', async () => {
    const { topicCompleted: topic } = world.config;
    await deleteTopics(world.kafka, [topic]);
    await createTopics(world.kafka, [topic], { partitions: PARTITIONS });
    await send(world.kafka, topic, completions('newcomer', 2, { partition: 0 }));
    const ledger = await world.start();
    for (const partition of [0, 1]) {
      const end = partition === 0 ? 2 : 0;
      const sentence = await alarm(partition, 'CURSOR_AHEAD_OF_LOG');
      expect(sentence).to.include(`the cursor of ${topic}/${partition} is 5, but the log ends at ${end}`);
    }
    await world.stop(ledger);
    const { newcomer } = await tenantFigures(world, ['newcomer']);
    expect(newcomer).to.include({ charged: '0.000000000' });
    expect(await cursorOf(0)).to.equal(5n);
    await world.assertProven();
  });

  it('refuses cursors of another Kafka cluster, and goes on when they are its own', async () => {
    const [cursor] = await world.reader.readCursors();
    const { topicCompleted: topic } = world.config;
    const setCluster = `UPDATE stream_cursors SET cluster_id = $1 WHERE topic = $2`;
    await world.rows(setCluster, ['another-cluster', topic]);
    await publish(0, 2);
    const ledger = await world.start();
    const sentence = await alarm(0, 'CLUSTER_MISMATCH');
    expect(sentence).to.include(
      `${topic}/0 belongs to Kafka cluster another-cluster, connected is ${cursor!.clusterId}`,
    );
    expect(await requestsOf(0)).to.equal(5);
    await world.stop(ledger);
    await world.rows(setCluster, [cursor!.clusterId, topic]);
    await chargeAll();
    expect(await requestsOf(0)).to.equal(7);
    await world.assertProven();
  });
});
