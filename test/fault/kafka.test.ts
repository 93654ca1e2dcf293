/**
 * Owns: what Kafka and its group can do to the ledger while it is charged. Each test names its row of
 * docs/failure-windows.md.
 */
import { expect } from 'chai';
import { createUsagePublisher } from '../../src/gateway/index.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { uniqueTopic } from '../integration/kafka-topics.js';
import { moveCommittedOffsets } from '../support/committed-offsets.js';
import { killServer, reviveServer, signalServer, useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { joinAndLeave } from '../support/passing-member.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { COMPLETION_COST, completions, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const SESSION_MS = 6_000;
const SLOWLY = 'charge.decoded=delay:25';
const PARTITIONS = 2;

describe('charging while Kafka', function () {
  this.timeout(240_000);
  let world: FaultWorld;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create({}, PARTITIONS);
  });

  after(async () => {
    await reviveServer('kafka');
    await world.close();
  });

  it('a batch fails after all retries: the broker is killed, a gateway is told PUBLISH_FAILED and publishes again, consumers go on', async () => {
    const { kafkaBrokers, topicPending, topicCompleted } = world.ledger.config;
    const topics = { pending: topicPending, completed: topicCompleted };
    const publisher = await createUsagePublisher({ brokers: kafkaBrokers.split(','), topics, retries: 1 });
    await world.publish(100);
    const child = world.start({ faults: SLOWLY });
    await world.batches(3);
    const brokenAtMs = performance.now();
    await killServer('kafka');
    const refused: unknown = await publisher.completed(usage('refused')).catch((error: unknown) => error);
    expect(isTollbookError(refused, 'PUBLISH_FAILED')).to.equal(true);
    await reviveServer('kafka');
    await waitUntil('the gateway publishes again', () =>
      publisher.completed(usage('refused')).then(
        () => true,
        () => false,
      ),
    );
    await publisher.close();
    world.besides.push(COMPLETION_COST);
    await world.recover('the broker was killed', brokenAtMs, [child]);
  });

  it('rebalance in the middle of a batch: the broker stands still for longer than the session of the consumers', async () => {
    await world.publish(100);
    const child = world.start({ faults: SLOWLY });
    await world.batches(3);
    const brokenAtMs = performance.now();
    signalServer('kafka', 'SIGSTOP');
    await waitUntil('their session is over', () => performance.now() - brokenAtMs > SESSION_MS + 1_000);
    signalServer('kafka', 'SIGCONT');
    await world.recover('the broker stood still', brokenAtMs, [child]);
  });

  it('rebalance in the middle of a batch: members join and leave all the time', async () => {
    const group = uniqueTopic('storm');
    const child = world.start({ group, faults: SLOWLY });
    const publishing = world.publish(300, { ratePerSecond: 100 });
    await world.batches(2);
    for (let time = 1; time <= 6; time += 1) await joinAndLeave(world.ledger, group);
    await publishing;
    await world.recover('a storm of rebalances', performance.now(), [child]);
  });

  it('partitions added: they are read from their start without a restart', async () => {
    await world.publish(20);
    const child = world.start();
    await world.batches(1);
    await world.ledger.admin.createPartitions({
      topicPartitions: world.ledger.topics.map((topic) => ({ topic, count: PARTITIONS + 2 })),
    });
    const brokenAtMs = performance.now();
    await world.publish(60, { tenants: 16 });
    await world.recover('partitions were added', brokenAtMs, [child]);
    const charged = await world.ledger.rows('SELECT FROM stream_cursors WHERE partition >= $1 AND topic = ANY($2)', [
      PARTITIONS,
      world.ledger.topics,
    ]);
    expect(charged.length).to.be.above(0);
  });

  for (const end of ['start', 'end'] as const) {
    it(`group offsets reset, lost, or ahead: moved to the ${end} of the logs`, async () => {
      await world.publish(60);
      const group = uniqueTopic('moved');
      const first = world.start({ group, faults: SLOWLY });
      await world.batches(2);
      first.kill('SIGTERM');
      expect(await first.ended).to.equal(0);
      await moveCommittedOffsets(world.ledger, group, end);
      await world.recover(`offsets moved to the ${end}`, performance.now(), [world.start({ group })]);
    });
  }

  it('retention removed unread messages: the partition stops and alarms until an operator accepts the gap', async () => {
    const { topicCompleted: topic } = world.ledger.config;
    const start = await endOf(topic);
    await send(world.ledger.kafka, topic, completions('removed', 10, { partition: 0 }));
    await world.ledger.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(start + 4n) }] });
    const child = world.start();
    await waitUntil('the partition is stopped', () => child.log().includes('STREAM_GAP'), 60_000);
    child.kill('SIGTERM');
    expect(await child.ended).to.equal(0);
    const place = ['--topic', topic, '--partition', '0', '--to', String(start + 4n)];
    const why = ['--actor', 'ops', '--reason', 'retention was too short'];
    const settings = world.ledger.environment as Record<string, string>;
    const accepted = await runTollbook(['cursors', 'accept-gap', ...place, ...why], settings);
    expect(accepted.exitCode, accepted.stderr).to.equal(0);
    world.besides.push(...Array.from({ length: 6 }, () => COMPLETION_COST));
    await world.recover('unread messages were removed', performance.now());
  });

  async function endOf(topic: string): Promise<bigint> {
    const offsets = await world.ledger.admin.fetchTopicOffsets(topic);
    return BigInt(offsets.find(({ partition }) => partition === 0)!.high);
  }
});

function usage(traceId: string): Parameters<Awaited<ReturnType<typeof createUsagePublisher>>['completed']>[0] {
  return {
    ...{ traceId, tenantId: 'streaming', occurredAt: new Date().toISOString(), provider: 'openai', model: 'gpt-4o' },
    ...{ stream: true, outcome: 'succeeded', usage: { inputTokens: 1000, outputTokens: 200 } },
    pricing: { inputPer1k: '0.003', outputPer1k: '0.015', currency: 'USD' },
  };
}
