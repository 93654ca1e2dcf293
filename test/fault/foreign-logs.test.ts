/**
 * Owns: logs that are not what the ledger was charged from, or that hold more than messages: a topic made anew, another
 * cluster, transactions. Each test names its row of docs/failure-windows.md.
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import type { Producer } from 'kafkajs';
import { createTopics } from '../../src/cli/topics-command.js';
import { deleteTopics, uniqueTopic } from '../integration/kafka-topics.js';
import type { ConsumeChild } from '../support/consume-child.js';
import { useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { sumOf } from '../support/planned-tenants.js';
import { openOwnerPool } from '../support/test-database.js';
import { COMPLETION_COST, completions, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const WAIT_MS = 60_000;

describe('charging a log', function () {
  this.timeout(180_000);
  let world: FaultWorld;

  useFaultStack();

  beforeEach(async () => {
    world = await FaultWorld.create({}, 1);
  });

  afterEach(() => world.close());

  it('topic deleted and created again: its partition stops with an alarm while others go on, and nothing is charged twice', async () => {
    const { kafka, config } = world.ledger;
    const { topicCompleted: topic, topicPending } = config;
    await send(kafka, topic, completions('before', 20, { partition: 0 }));
    const child = world.start();
    await charged(20);
    await deleteTopics(kafka, [topic]);
    await createTopics(kafka, [topic], { partitions: 1 });
    await send(kafka, topic, completions('after', 5, { partition: 0 }));
    const alarmed = await alarm(child, 'LOG_REPLACED');
    const malformed = [{ key: 'x', value: 'no event', partition: 0 }];
    await send(kafka, topicPending, malformed);
    await waitUntil('the other topic goes on', async () => (await world.ledger.count('dead_letters')) === 1, WAIT_MS);
    await stop(alarmed);
    expect(await world.ledger.assertProven()).to.equal(costOf(20));
  });

  it('another cluster under the same address: nothing is charged until the right one is back', async () => {
    const { kafka, config } = world.ledger;
    const first = world.start();
    await send(kafka, config.topicCompleted, completions('ours', 5, { partition: 0 }));
    await charged(5);
    await stop(first);
    const owner = openOwnerPool(world.ledger.database);
    const { rows } = await owner.query<{ cluster_id: string }>('SELECT cluster_id FROM stream_cursors LIMIT 1');
    await owner.query(`UPDATE stream_cursors SET cluster_id = 'another-cluster'`);
    await send(kafka, config.topicCompleted, completions('theirs', 5, { partition: 0 }));
    await stop(await alarm(world.start(), 'CLUSTER_MISMATCH'));
    expect(await world.ledger.assertProven()).to.equal(costOf(5));
    await owner.query('UPDATE stream_cursors SET cluster_id = $1', [rows[0]?.cluster_id]);
    await owner.end();
    const last = world.start();
    await charged(10);
    await stop(last);
    expect(await world.ledger.assertProven()).to.equal(costOf(10));
  });

  it('transaction markers, aborted or compacted records: killed right before them, the next process goes on across them', async () => {
    const { kafka, config } = world.ledger;
    const { topicCompleted: topic } = config;
    const producer = kafka.producer({
      ...{ transactionalId: uniqueTopic('transaction'), idempotent: true, maxInFlightRequests: 1 },
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    await transaction(producer, 'kept', 'commit');
    const first = world.start({ faults: 'charge.woken=kill@1' });
    expect(await first.ended, first.log()).to.equal('SIGKILL');
    await transaction(producer, 'taken-back', 'abort');
    const second = world.start({ faults: 'charge.woken=kill@1' });
    await transaction(producer, 'kept-too', 'commit');
    expect(await second.ended, second.log()).to.equal('SIGKILL');
    await producer.disconnect();
    await send(kafka, topic, completions('plain', 3, { partition: 0 }));
    const third = world.start();
    await waitUntil('all is charged', async () => (await world.ledger.lag()) === 0n, WAIT_MS);
    await stop(third);
    expect(await world.ledger.assertProven()).to.equal(costOf(9));
  });

  async function transaction(producer: Producer, tenantId: string, end: 'commit' | 'abort'): Promise<void> {
    const transaction = await producer.transaction();
    const messages = completions(tenantId, 3, { partition: 0 });
    await transaction.send({ topic: world.ledger.config.topicCompleted, messages });
    await transaction[end]();
  }

  /** Waits until so many completions are charged. */
  async function charged(count: number): Promise<void> {
    const sql = `SELECT FROM ledger_entries WHERE type = 'DEDUCT' AND status = 'COMMITTED'`;
    const isCharged = async (): Promise<boolean> => (await world.ledger.rows(sql)).length === count;
    await waitUntil(`${count} completions are charged`, isCharged, WAIT_MS);
  }

  /**
   * Waits until a process, or another that its supervisor starts in its place, stops a partition with an error; returns the
   * one that has.
   */
  async function alarm(child: ConsumeChild, code: string): Promise<ConsumeChild> {
    let isOver = false;
    void child.ended.then(() => (isOver = true));
    const isAlarmed = (): boolean => child.log().includes(code) && child.log().includes('an operator must act');
    await waitUntil(`${code} is told`, () => isAlarmed() || isOver, WAIT_MS);
    if (isAlarmed()) return child;
    return alarm(world.start(), code);
  }

  async function stop(child: ConsumeChild): Promise<void> {
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
  }
});

function costOf(count: number): string {
  return sumOf(Array.from({ length: count }, () => COMPLETION_COST));
}
