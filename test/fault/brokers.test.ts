/**
 * Owns: gateways and a ledger on three brokers, of which one after the other fails under load: whatever was acknowledged
 * is in the ledger, once. `node dist/test/chaos/brokers.js` does the same for longer.
 */
import { expect } from 'chai';
import { BROKER_NAMES } from '../../src/stack/stack-state.js';
import { AcknowledgedLoad } from '../support/acknowledged-load.js';
import { killBroker, restartAll } from '../support/broker-failures.js';
import { dropClusterStack, useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { COMPLETION_COST } from '../support/usage-messages.js';

const RATE_PER_SECOND = 400;
const PARTITIONS = 6;

describe('gateways on three brokers', function () {
  this.timeout(900_000);
  let world: FaultWorld;

  useFaultStack({ brokers: BROKER_NAMES.length });

  before(async () => {
    world = await FaultWorld.create({ TOLLBOOK_CHUNK_MESSAGES_MAX: '1000' }, PARTITIONS);
  });

  after(async () => {
    await world.close();
    await dropClusterStack();
  });

  /** Publishes and charges while something fails, and fails unless each acknowledged event is charged once. */
  async function chargedThrough(name: string, failing: () => Promise<void>): Promise<void> {
    const { kafkaBrokers, topicPending, topicCompleted } = world.ledger.config;
    const load = await AcknowledgedLoad.start({
      ...{ brokers: kafkaBrokers.split(','), topics: { pending: topicPending, completed: topicCompleted } },
      ...{ ratePerSecond: RATE_PER_SECOND, prefix: name.replaceAll(' ', '-') },
    });
    const child = world.start();
    try {
      await failing();
    } catch (error) {
      load.abandon();
      throw error;
    }
    const brokenAtMs = performance.now();
    await load.stop();
    expect(load.acknowledged.length).to.be.above(RATE_PER_SECOND);
    expect(await world.uncharged(load.acknowledged, child), 'acknowledged and not charged').to.deep.equal([]);
    for (const _ of load.acknowledged) world.besides.push(COMPLETION_COST);
    await world.recover(name, brokenAtMs, [child]);
  }

  it('a broker is stopped while gateways publish: a rolling restart loses nothing that was acknowledged', () =>
    chargedThrough('rolling restart', () => restartAll(world.replicated)));

  it('a broker is killed while gateways publish: SIGKILL of one loses nothing that was acknowledged', () =>
    chargedThrough('brokers killed', async () => {
      await killBroker('kafka', world.replicated);
      await killBroker('kafka-3', world.replicated);
    }));
});
