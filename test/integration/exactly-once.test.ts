/**
 * Owns: that a simulated trace with duplicates, full reordering and malformed messages is charged exactly once, however
 * often, by whom and from where it is read. The expected figures come from the simulator, which knows nothing of the ledger.
 */
import { expect } from 'chai';
import type { ChunkOutcome } from '../../src/consumers/charge-protocol.js';
import type { SimulationPlan } from '../../src/simulator/plan.js';
import { planSimulation } from '../../src/simulator/simulate.js';
import { moveCommittedOffsets } from '../support/committed-offsets.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { assertTenantsAsPlanned, sumOf } from '../support/planned-tenants.js';
import { COMPLETION_COST, completions, send } from '../support/usage-messages.js';
import { uniqueTopic } from './kafka-topics.js';

const PARTITIONS = 4;
const SPOILED = { duplicates: 0.2, reorder: 'full', poison: 0.01 } as const;

describe('charging exactly once', function () {
  this.timeout(60_000);
  let world: LedgerWorld;
  const charged: SimulationPlan[] = [];
  /** One a publication of a simulation. */
  const published: SimulationPlan[] = [];
  /** The costs of what was charged beside the simulations. */
  const markerCosts: string[] = [];

  /** Plans a simulation with tenants of its own and gives them credit. */
  async function creditedPlan(seed: number, requests: number): Promise<SimulationPlan> {
    const plan = await planSimulation({ seed, requests, tenants: 30, tenantPrefix: `run${seed}-`, ...SPOILED });
    await world.credit(plan);
    charged.push(plan);
    return plan;
  }

  async function publish(plan: SimulationPlan, ratePerSecond = 0): Promise<void> {
    published.push(plan);
    await world.publish(plan, { ratePerSecond });
  }

  /** Fails unless the ledger holds exactly what all simulations so far must come to, and every proof is clean. */
  async function assertAllCharged(): Promise<void> {
    for (const { expectation } of charged) await assertTenantsAsPlanned(world, expectation);
    const planned = charged.map(({ expectation }) => expectation.totals.charged);
    expect(await world.assertProven()).to.equal(sumOf([...planned, ...markerCosts]));
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
    for (const { expectation } of published) {
      for (const [reason, count] of Object.entries(expectation.expected.deadLetters)) {
        sums[reason] = (sums[reason] ?? 0) + count;
      }
    }
    return sums;
  }

  /** Runs a group until everything is charged; returns what that added to the ledger. */
  async function chargeRest(consumerGroup: string): Promise<{ entries: number; deadLetters: number }> {
    const before = { entries: await world.count('ledger_entries'), deadLetters: await world.count('dead_letters') };
    const ledger = await world.start({ config: { consumerGroup } });
    await world.drain();
    await world.stop(ledger);
    return {
      entries: (await world.count('ledger_entries')) - before.entries,
      deadLetters: (await world.count('dead_letters')) - before.deadLetters,
    };
  }

  /** Publishes one new completion a partition, each of a new tenant: an opening and a charge. */
  async function publishMarkers(name: string): Promise<void> {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      await send(world.kafka, world.config.topicCompleted, completions(`${name}-${partition}`, 1, { partition }));
      markerCosts.push(COMPLETION_COST);
    }
  }

  before(async () => {
    world = await LedgerWorld.create({ partitions: PARTITIONS, settings: { TOLLBOOK_CHUNK_MESSAGES_MAX: '200' } });
    const plan = await creditedPlan(1, 3_000);
    const ledger = await world.start();
    await publish(plan);
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

  it('charges what was read from the shape of every provider, and what a cut stream had counted, as the total says', async () => {
    const { shapes, cutStreams } = charged[0]!.expectation.reported;
    expect(Math.min(...Object.values(shapes), cutStreams)).to.be.above(0);
    const rows = await world.rows<{ meter: string }>(
      `SELECT DISTINCT meter FROM ledger_entries, jsonb_object_keys(meters) AS meter WHERE status = 'COMMITTED'`,
    );
    const meters = rows.map(({ meter }) => meter);
    expect(meters).to.include.members([
      'cached_input_tokens',
      'cache_creation_input_tokens',
      'reasoning_output_tokens',
    ]);
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

  it('adds nothing but what is new when the group is sent back to offset 0', async () => {
    await moveCommittedOffsets(world, world.config.consumerGroup, 'start');
    await publishMarkers('again');
    expect(await chargeRest(world.config.consumerGroup)).to.deep.equal({ entries: PARTITIONS * 2, deadLetters: 0 });
    await assertAllCharged();
  });

  it('adds nothing but what is new when another group reads the topics', async () => {
    await publishMarkers('newcomer');
    expect(await chargeRest(uniqueTopic('newcomer'))).to.deep.equal({ entries: PARTITIONS * 2, deadLetters: 0 });
    await assertAllCharged();
  });

  it('adds nothing when all messages are published a second time', async () => {
    await publish(charged[0]!);
    const { entries } = await chargeRest(world.config.consumerGroup);
    expect(entries).to.equal(0);
    await assertAllCharged();
  });

  it('misses nothing when the committed offsets of the group were moved past what it has not read', async () => {
    const plan = await creditedPlan(2, 500);
    await publish(plan);
    await moveCommittedOffsets(world, world.config.consumerGroup, 'end');
    expect(await world.lag()).to.equal(BigInt(plan.expectation.published.total));
    await chargeRest(world.config.consumerGroup);
    await assertAllCharged();
  });

  it('charges exactly once when two consumers share the group and one leaves in mid-stream', async () => {
    const plan = await creditedPlan(3, 1_000);
    const chunks = { leaving: 0, staying: 0 };
    const counting =
      (who: keyof typeof chunks) =>
      (outcome: ChunkOutcome): void => {
        if (outcome.kind === 'charged') chunks[who] += 1;
      };
    const leaving = await world.start({ onChunk: counting('leaving') });
    const staying = await world.start({ onChunk: counting('staying') });
    const publishing = publish(plan, 1_000);
    await world.until('both consumers charge', () => chunks.leaving > 2 && chunks.staying > 2);
    await world.stop(leaving);
    const before = chunks.staying;
    await publishing;
    await world.drain();
    await world.stop(staying);
    expect(chunks.staying).to.be.above(before);
    await assertAllCharged();
  });

  it('charges exactly once when the consumer is stopped and started again and again in mid-stream', async () => {
    const plan = await creditedPlan(4, 1_500);
    await publish(plan);
    for (let round = 1; round <= 4; round += 1) {
      let chunks = 0;
      const ledger = await world.start({ config: { chunkMessagesMax: 20 }, onChunk: () => (chunks += 1) });
      await world.until('some chunks are charged', () => chunks >= 3);
      await world.stop(ledger);
      expect(await world.lag(), `left after round ${round}`).to.satisfy((lag: bigint) => lag > 0n);
    }
    await chargeRest(world.config.consumerGroup);
    await assertAllCharged();
  });
});
