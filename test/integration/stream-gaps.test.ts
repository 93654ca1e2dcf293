/**
 * Owns: what happens where a log does not continue at the cursor: loss stops the partition and only that one, until an
 * operator accepts it; holes that hold nothing chargeable are crossed; a foreign log is refused.
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import { acceptFoundLog } from '../../src/cli/accept-log-command.js';
import { createTopics } from '../../src/cli/topics-command.js';
import { acceptGap } from '../../src/ledger/postgres/stream-gaps.js';
import { environmentOf } from '../../src/runtime/config.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { sumOf, tenantFigures } from '../support/planned-tenants.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { COMPLETION_COST, completions, send } from '../support/usage-messages.js';
import { deleteTopics, uniqueTopic } from './kafka-topics.js';

const PARTITIONS = 2;

describe('a log that does not continue at the cursor', function () {
  this.timeout(180_000);
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
      const sentence = await alarm(partition, 'LOG_REPLACED');
      expect(sentence).to.include(`the log of ${topic}/${partition} is another one: its topic has the id`);
      expect(sentence).to.include(`cursors accept-log --topic ${topic} --partition ${partition}`);
    }
    await world.stop(ledger);
    const { newcomer } = await tenantFigures(world, ['newcomer']);
    expect(newcomer).to.include({ charged: '0.000000000' });
    expect(await cursorOf(0)).to.equal(5n);
    await world.assertProven();
  });

  it('names a log that was cut off before the cursor, where nothing else tells it from the charged one', async () => {
    const { topicCompleted: topic } = world.config;
    await world.rows(`UPDATE stream_cursors SET next_offset = 9, last_position = NULL, last_digest = NULL`);
    const ledger = await world.start();
    const sentence = await alarm(0, 'CURSOR_AHEAD_OF_LOG');
    expect(sentence).to.include(`the cursor of ${topic}/0 is 9, but the log ends at 5`);
    await world.stop(ledger);
  });

  it('refuses a log whose messages are others, where the brokers give its topic no id', async () => {
    const { topicCompleted: topic } = world.config;
    await deleteTopics(world.kafka, [topic]);
    await createTopics(world.kafka, [topic], { partitions: PARTITIONS });
    await send(world.kafka, topic, completions('newcomer', 9, { partition: 0 }));
    await world.rows('UPDATE stream_cursors SET topic_id = NULL');
    const ledger = await world.start();
    const sentence = await alarm(0, 'LOG_REPLACED');
    expect(sentence).to.include('the message at offset 4 is not the one that was charged from there');
    await world.stop(ledger);
    const { newcomer } = await tenantFigures(world, ['newcomer']);
    expect(newcomer).to.include({ charged: '0.000000000' });
  });

  it('takes the log for its own when the last charged message is gone and brokers give no id, and goes on', async () => {
    const { topicCompleted: topic } = world.config;
    await publish(0, 2);
    await world.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '5' }] });
    await world.rows('UPDATE stream_cursors SET topic_id = NULL');
    await chargeAll();
    expect(await requestsOf(0)).to.equal(7);
    await world.assertProven();
  });

  it('loses nothing of a log that passes the cursor within moments, and goes on with it once an operator accepts it', async () => {
    const { topicCompleted: topic } = world.config;
    const ledger = await world.start({ config: { retryPauseMaxMs: 500 } });
    await publish(0, 5);
    await untilCursor(0, 10n);
    await deleteTopics(world.kafka, [topic]);
    await createTopics(world.kafka, [topic], { partitions: PARTITIONS });
    await send(world.kafka, topic, completions('newcomer', 25, { partition: 0 }));
    await alarm(0, 'LOG_REPLACED');
    const before = await world.rows(`SELECT FROM ledger_entries WHERE tenant_id = 'newcomer'`);
    expect(before).to.have.length(0);
    await send(world.kafka, topic, [{ key: 'newcomer', value: 'no event', partition: 0 }]);
    for (const partition of [0, 1]) {
      const signed = { actor: 'ops', reason: 'recreated by mistake' };
      await acceptFoundLog(world.config, world.pool, { source: { topic, partition }, ...signed });
    }
    await untilCursor(0, 36n);
    await world.drain();
    await world.stop(ledger);
    const { newcomer } = await tenantFigures(world, ['newcomer']);
    expect(newcomer).to.include({ charged: sumOf(Array.from({ length: 25 }, () => COMPLETION_COST)) });
    const letters = await world.rows('SELECT kafka_offset FROM dead_letters');
    expect(letters).to.deep.equal([{ kafka_offset: '35' }]);
    const accepted = await world.rows(
      'SELECT partition, from_position, log_base, actor FROM accepted_logs ORDER BY partition',
    );
    expect(accepted).to.deep.equal([
      { partition: 0, from_position: '10', log_base: '10', actor: 'ops' },
      { partition: 1, from_position: '5', log_base: '5', actor: 'ops' },
    ]);
    await world.assertProven();
    const reconciled = await runTollbook(['reconcile', '--topic', topic], environmentOf(world.config));
    expect(reconciled.exitCode, reconciled.stdout + reconciled.stderr).to.equal(0);
  });

  it('does not accept a log that is the charged one', async () => {
    const order = { source: { topic: world.config.topicCompleted, partition: 0 }, actor: 'ops', reason: 'none' };
    const refused: unknown = await acceptFoundLog(world.config, world.pool, order).catch((error: unknown) => error);
    expect(isTollbookError(refused, 'USAGE_INVALID')).to.equal(true);
    expect(String(refused)).to.include('there is none to accept in its place');
    expect(await world.rows('SELECT FROM accepted_logs')).to.deep.equal([]);
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
