/**
 * Owns: writers that lose their place: paused and overtaken, without the answer to their commit, or beside another one with
 * the same chunk. Each test names its row of docs/failure-windows.md.
 */
import { expect } from 'chai';
import { uniqueTopic } from '../integration/kafka-topics.js';
import type { ConsumeChild } from '../support/consume-child.js';
import { useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { COMPLETION_COST, completions, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const JOIN_MAX_MS = 60_000;
/** PostgreSQL ends a database transaction that is idle for 30 s. */
const TAKEN_OVER_MAX_MS = 90_000;

describe('a writer that is overtaken', function () {
  this.timeout(240_000);
  let world: FaultWorld;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create();
  });

  after(() => world.close());

  it("the commit's answer is lost: the chunk is charged again, and the cursor tells that it was charged", async () => {
    await world.publish(60);
    const child = world.start({ faults: 'database.committed=throw:POSTGRES_UNAVAILABLE@4' });
    await world.reached(child, 'database.committed');
    await world.recover("the commit's answer was lost", performance.now(), [child]);
  });

  it("the commit's answer is lost: nothing was committed, and the chunk is charged", async () => {
    await world.publish(60);
    const child = world.start({ faults: 'database.before-commit=throw:POSTGRES_UNAVAILABLE@4' });
    await world.reached(child, 'database.before-commit');
    await world.recover('the commit failed', performance.now(), [child]);
  });

  it('the consumer is paused beyond its session (zombie): with and without an open database transaction, it is overtaken and fenced', async () => {
    const group = uniqueTopic('zombies');
    const inside = world.start({ group, faults: 'charge.asked=hang@2' });
    const outside = world.start({ group, faults: 'charge.decoded=hang@2' });
    await joined([inside, outside]);
    await world.publish(60);
    await world.reached(inside, 'charge.asked');
    await world.reached(outside, 'charge.decoded');
    const brokenAtMs = performance.now();
    const successor = world.start({ group });
    await waitUntil(
      'the others have charged everything',
      async () => (await world.ledger.lag()) === 0n,
      TAKEN_OVER_MAX_MS,
    );
    for (const child of [inside, outside]) child.kill('SIGCONT');
    await world.recover('two consumers paused beyond their session', brokenAtMs, [inside, outside, successor]);
  });

  it('two consumers charge the same chunk: two groups read the same messages, one waits for the other and trims', async () => {
    const children = [
      world.start({ faults: 'charge.asked=delay:1000@1' }),
      world.start({ faults: 'charge.decoded=hang@2' }),
    ];
    await joined(children);
    await world.publish(80);
    await world.reached(children[0]!, 'charge.asked');
    await world.reached(children[1]!, 'charge.decoded');
    await waitUntil('one has charged everything', async () => (await world.ledger.lag()) === 0n, TAKEN_OVER_MAX_MS);
    children[1]!.kill('SIGCONT');
    await world.recover('two consumers with the same chunks', performance.now(), children);
  });

  it('crash after 7, before the Kafka offset is committed: a chunk of another cut that overlaps the dead one is trimmed', async () => {
    const { kafka, config } = world.ledger;
    await send(kafka, config.topicCompleted, completions('overlap', 20, { partition: 0 }));
    world.besides.push(...Array.from({ length: 20 }, () => COMPLETION_COST));
    const whole = world.start({ faults: 'charge.decoded=hang@2' });
    await world.reached(whole, 'charge.decoded');
    const shorter = { TOLLBOOK_CHUNK_MESSAGES_MAX: '7' };
    const dead = world.start({ faults: 'charge.woken=kill@1', settings: shorter });
    expect(await dead.ended, dead.log()).to.equal('SIGKILL');
    const brokenAtMs = performance.now();
    whole.kill('SIGCONT');
    await world.recover('an overlapping chunk', brokenAtMs, [whole]);
    const sql = 'SELECT charged FROM ledger_batches WHERE topic = $1 AND partition = 0 ORDER BY batch_no DESC LIMIT 3';
    const cuts = await world.ledger.rows<{ charged: number }>(sql, [config.topicCompleted]);
    expect(cuts.map(({ charged }) => charged)).to.deep.equal([3, 7, 10]);
  });

  it('two chunks touch the same tenants: one waits for the other, and a conflict repeats the chunk', async () => {
    await world.publish(80, { tenants: 2, tenantSkew: 0 });
    const group = uniqueTopic('pair');
    const conflict = 'ledger.accounts-locked=throw:POSTGRES_CONFLICT@2';
    const children = [world.start({ group, faults: conflict }), world.start({ group })];
    await world.recover('two chunks with the same tenants', performance.now(), children);
  });

  it('a charge between reading and the script, two projectors at once: newer items stay in flight until they are projected', async () => {
    await world.publish(80);
    const faults = 'projection.inflight-read=delay:150';
    const children = [world.start({ faults }), world.start({ faults })];
    await world.recover('two slow projectors', performance.now(), children);
  });

  it('poison message: a flood of them stops nobody, and each is a dead letter with its reason', async () => {
    await world.publish(60, { poison: 1 });
    const { deadLetters } = world.plans.at(-1)!.expectation.expected;
    const before = await deadLettersByReason();
    await world.recover('a flood of poison', performance.now());
    const found = await deadLettersByReason();
    for (const [reason, count] of Object.entries(deadLetters)) {
      expect(found.get(reason), reason).to.equal((before.get(reason) ?? 0) + count);
    }
  });

  async function joined(children: readonly ConsumeChild[]): Promise<void> {
    const has = (child: ConsumeChild): boolean => child.log().includes('joined the consumer group');
    await waitUntil('all have joined their group', () => children.every(has), JOIN_MAX_MS);
  }

  async function deadLettersByReason(): Promise<Map<string, number>> {
    const sql = 'SELECT reason, count(*) FROM dead_letters GROUP BY reason';
    const rows = await world.ledger.rows<{ reason: string; count: string }>(sql);
    return new Map(rows.map(({ reason, count }) => [reason, Number(count)]));
  }
});
