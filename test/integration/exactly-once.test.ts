/**
 * Owns: that a simulated trace with duplicates, full reordering and malformed messages is charged exactly once, however
 * often, by whom and from where it is read. The expected figures come from the simulator, which knows nothing of the ledger.
 */
import { expect } from 'chai';
import type { ChunkOutcome } from '../../src/consumers/charge-protocol.js';
import type { SimulationPlan } from '../../src/simulator/plan.js';
import { planSimulation } from '../../src/simulator/simulate.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { assertTenantsAsPlanned, sumOf } from '../support/planned-tenants.js';
import { completions, send } from '../support/usage-messages.js';
import { uniqueTopic } from './kafka-topics.js';

const PARTITIONS = 4;
const SPOILED = { duplicates: 0.2, reorder: 'full', poison: 0.01 } as const;

describe('charging exactly once', function () {
  this.timeout(60_000);
  let world: LedgerWorld;
  const charged: SimulationPlan[] = [];

  /** Plans a simulation with tenants of its own and gives them credit. */
  async function creditedPlan(seed: number, requests: number): Promise<SimulationPlan> {
    const plan = await planSimulation({ seed, requests, tenants: 30, tenantPrefix: `run${seed}-`, ...SPOILED });
    await world.credit(plan);
    charged.push(plan);
    return plan;
  }

  /** Fails unless the ledger holds exactly what all simulations so far must come to, and every proof is clean. */
  async function assertAllCharged(): Promise<void> {
    for (const { expectation } of charged) await assertTenantsAsPlanned(world, expectation);
    expect(await world.assertProven()).to.equal(sumOf(charged.map(({ expectation }) => expectation.totals.charged)));
    expect(await deadLettersByReason()).to.deep.equal(expectedDeadLetters());
  }

  async function deadLettersByReason(): Promise<Record<string, number>> {
    const rows = await world.rows<{ reason: string; count: string }>(
      'SELECT reason, count(*) FROM dead_letters GROUP BY reason',
    );
    return Object.fromEntries(rows.map(({ reason, count }) => [reason, Number(count)]));
  }

  function expectedDeadLetters(): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const { expectation } of charged) {
      for (const [reason, count] of Object.entries(expectation.expected.deadLetters)) {
        sums[reason] = (sums[reason] ?? 0) + count;
      }
    }
    return sums;
  }

  /** Sets the offsets that Kafka has committed for the group, which must be empty, to one end of every log. */
  async function moveCommittedOffsets(to: 'start' | 'end'): Promise<void> {
    const { consumerGroup: groupId } = world.config;
    for (const topic of world.topics) {
      const offsets = await world.admin.fetchTopicOffsets(topic);
      const partitions = offsets.map(({ partition, low, high }) => ({ partition, offset: to === 'start' ? low : high }));
      await world.admin.setOffsets({ groupId, topic, partitions });
    }
  }

  /** Runs a group over the topics once more; a new event on each partition tells that it is through. */
  async function readAgain(consumerGroup: string): Promise<{ entries: number; deadLetters: number }> {
    const before = { entries: await world.count('ledger_entries'), deadLetters: await world.count('dead_letters') };
    const ledger = await world.start({ config: { consumerGroup } });
    await world.drain();
    await world.stop(ledger);
    return {
      entries: (await world.count('ledger_entries')) - before.entries,
      deadLetters: (await world.count('dead_letters')) - before.deadLetters,
    };
  }

  /** Publishes one event a partition, on each topic of completions, and returns how many. */
  async function publishMarkers(tenantId: string): Promise<number> {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      await send(world.kafka, world.config.topicCompleted, completions(`${tenantId}-${partition}`, 1, { partition }));
    }
    return PARTITIONS;
  }

  before(async () => {
    world = await LedgerWorld.create({ partitions: PARTITIONS, settings: { TOLLBOOK_CHUNK_MESSAGES_MAX: '200' } });
    const plan = await creditedPlan(1, 3_000);
    const ledger = await world.start();
    await world.publish(plan);
    await world.drain();
    await world.stop(ledger);
  });

  after(() => world.close());

  it('comes to the independent total to the nano-unit, for every tenant and every dead letter', async () => {
    const { expectation } = charged[0]!;
    expect(expectation.expected.repeats).to.be.above(500);
    expect(expectation.expected.deadLettersTotal).to.be.above(40);
    await assertAllCharged();
  });

  it('accounts for every message of the topics in the counts of the sealed batches', async () => {
    const [sums] = await world.rows<Record<string, string>>(
      `SELECT sum(charged) AS entries, sum(duplicates + superseded) AS without, sum(skipped) AS skipped,
         sum(charged + duplicates + superseded + skipped + unpriced + dead_letters) AS messages
       FROM ledger_batches WHERE topic = ANY($1)`,
      [world.topics],
    );
    const { published, orderDependent } = charged[0]!.expectation;
    expect(Number(sums?.['messages'])).to.equal(published.total);
    expect(Number(sums?.['entries'])).to.be.within(orderDependent.entries.min, orderDependent.entries.max);
    expect(Number(sums?.['without'])).to.be.within(orderDependent.withoutEntry.min, orderDependent.withoutEntry.max);
  });

  it('adds nothing when the group reads the topics again from offset 0', async () => {
    await moveCommittedOffsets('start');
    const markers = await publishMarkers('again');
    const added = await readAgain(world.config.consumerGroup);
    expect(added).to.deep.equal({ entries: markers * 2, deadLetters: 0 }); // an opening and a charge each
  });

  it('adds nothing when a new consumer group reads the topics', async () => {
    const markers = await publishMarkers('newcomer');
    const added = await readAgain(uniqueTopic('newcomer'));
    expect(added).to.deep.equal({ entries: markers * 2, deadLetters: 0 });
  });
});
