/** Owns: topics as the ledger needs them: made so, checked at start, and reached at addresses of either kind. */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import { killConsumers, startConsume } from '../support/consume-child.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completions, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';
import { createTopics, deleteTopics, testBrokers, testKafka, uniqueTopic } from './kafka-topics.js';

const WAIT_MS = 60_000;

describe('the usage topics', function () {
  this.timeout(240_000);
  let world: LedgerWorld;
  const made: string[] = [];

  before(async () => {
    world = await LedgerWorld.create({ partitions: 1 });
  });

  after(async () => {
    killConsumers();
    await world.close();
    await deleteTopics(testKafka(), made);
  });

  function newNames(): { TOLLBOOK_TOPIC_PENDING: string; TOLLBOOK_TOPIC_COMPLETED: string } {
    const names = [uniqueTopic('usage.pending'), uniqueTopic('usage.completed')] as const;
    made.push(...names);
    return { TOLLBOOK_TOPIC_PENDING: names[0], TOLLBOOK_TOPIC_COMPLETED: names[1] };
  }

  async function settingsOf(name: string, ...configNames: string[]): Promise<Record<string, string>> {
    const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name, configNames };
    const { resources } = await world.admin.describeConfigs({ includeSynonyms: false, resources: [resource] });
    const entries = resources.flatMap(({ configEntries }) => configEntries);
    return Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue]));
  }

  async function change(topic: string, name: string, value: string): Promise<void> {
    const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] };
    await world.admin.alterConfigs({ validateOnly: false, resources: [resource] });
  }

  it('are created with the settings that keep events, and one copy where there is one broker', async () => {
    const names = newNames();
    const { exitCode, stderr } = await runTollbook(['topics', 'create', '--partitions', '2'], names);
    expect(exitCode, stderr).to.equal(0);
    const topic = names.TOLLBOOK_TOPIC_COMPLETED;
    const wanted = { 'cleanup.policy': 'delete', 'min.insync.replicas': '1', 'compression.type': 'producer' };
    expect(await settingsOf(topic, ...Object.keys(wanted))).to.deep.equal(wanted);
    const { topics } = await world.admin.fetchTopicMetadata({ topics: [topic] });
    expect(topics[0]?.partitions.map(({ replicas }) => replicas.length)).to.deep.equal([1, 1]);
  });

  it('that exist with other partitions than asked for are left, and the difference is told', async () => {
    const names = { TOLLBOOK_TOPIC_PENDING: world.topics[0], TOLLBOOK_TOPIC_COMPLETED: world.topics[1] };
    const { stdout } = await runTollbook(['topics', 'create', '--partitions', '8'], names);
    expect(stdout).to.include('every topic exists');
    for (const topic of world.topics) expect(stdout).to.include(`${topic} has 1 partitions, not 8`);
  });

  it('are refused at the start of a consumer when Kafka compacts them, with what is allowed', async () => {
    const names = newNames();
    await createTopics(testKafka(), Object.values(names), 1);
    await change(names.TOLLBOOK_TOPIC_PENDING, 'cleanup.policy', 'compact,delete');
    const child = startConsume({ ...world.environment, ...names });
    expect(await child.ended, child.log()).to.equal(1);
    expect(child.log()).to.include('TOPIC_MISCONFIGURED').and.to.include(names.TOLLBOOK_TOPIC_PENDING);
    expect(child.log()).to.include('cleanup.policy is compact,delete, allowed: delete');
  });

  it('are told of at the start when a replica that lags may become their leader', async () => {
    await change(world.topics[0], 'unclean.leader.election.enable', 'true');
    const ledger = await world.start();
    await world.stop(ledger);
    const told = world.log.filter(({ msg }) => msg.includes('may lose acknowledged events'));
    expect(told).to.have.lengthOf(1);
    expect(told[0]).to.include({ topic: world.topics[0], setting: 'unclean.leader.election.enable', found: 'true' });
  });

  it('are reached at an IPv6 address in brackets, by commands and consumers', async () => {
    // The address of IPv4 in the form of IPv6: it is there also where IPv6 itself is switched off.
    const brokers = testBrokers().map((address) => `[::ffff:${address.replace(/:(\d+)$/, ']:$1')}`);
    const changed = { KAFKA_BROKERS: brokers.join(','), TOLLBOOK_CONSUMER_GROUP: uniqueTopic('ledger') };
    const settings = { ...world.environment, ...changed } as Record<string, string>;
    const { exitCode, stderr } = await runTollbook(['topics', 'create'], settings);
    expect(exitCode, stderr).to.equal(0);
    const child = startConsume(settings);
    await send(world.kafka, world.topics[1], completions('six', 3, { partition: 0 }));
    const entries = `SELECT FROM ledger_entries WHERE tenant_id = 'six' AND type = 'DEDUCT'`;
    const areCharged = async (): Promise<boolean> => (await world.rows(entries)).length === 3;
    await waitUntil('three are charged', areCharged, WAIT_MS).catch(() => expect.fail(child.log()));
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
  });
});
