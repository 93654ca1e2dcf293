/**
 * Owns: a gateway that dies while it publishes: whatever its promises acknowledged is in the ledger, and publishing again
 * charges nothing twice.
 */
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { countMessages } from '../integration/kafka-topics.js';
import { type ConsumeChild, startNode } from '../support/consume-child.js';
import { useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { COMPLETION_COST } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const GATEWAY = fileURLToPath(new URL('../support/gateway-child.js', import.meta.url));
const ACKNOWLEDGED = 2_000;
const ENDLESS = 10_000_000;
const REACH_MAX_MS = 60_000;

describe('a gateway that publishes', function () {
  this.timeout(180_000);
  let world: FaultWorld;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create({ TOLLBOOK_CHUNK_MESSAGES_MAX: '200' });
  });

  after(() => world.close());

  function startGateway(prefix: string, count: number, faults = ''): ConsumeChild {
    return startNode([GATEWAY, prefix, String(count), '400'], { ...world.ledger.environment, TOLLBOOK_FAULTS: faults });
  }

  function acknowledgedBy(gateway: ConsumeChild): string[] {
    return [...gateway.log().matchAll(/^acknowledged (\S+)$/gm)].map(([, traceId]) => traceId ?? '');
  }

  async function chargedOf(traceIds: readonly string[]): Promise<number> {
    const charged = `SELECT FROM ledger_entries WHERE trace_id = ANY($1) AND status = 'COMMITTED'`;
    return (await world.ledger.rows(charged, [traceIds])).length;
  }

  /** Takes what lies in the topic for what must be charged: every trace is published once by then. */
  async function expectTopicCharged(name: string, brokenAtMs: number): Promise<void> {
    const published = await countMessages(world.ledger.kafka, world.ledger.config.topicCompleted);
    world.besides.splice(0, Infinity, ...Array.from({ length: published }, () => COMPLETION_COST));
    await world.recover(name, brokenAtMs);
  }

  it('the gateway dies before the acknowledgement: 2,000 of 2,000 acknowledged events are charged after SIGKILL', async () => {
    const gateway = startGateway('killed', ENDLESS);
    await waitUntil('2,000 are acknowledged', () => acknowledgedBy(gateway).length >= ACKNOWLEDGED, REACH_MAX_MS);
    gateway.kill('SIGKILL');
    expect(await gateway.ended).to.equal('SIGKILL');
    const acknowledged = acknowledgedBy(gateway);
    await expectTopicCharged('gateway killed while publishing', performance.now());
    expect(acknowledged.length).to.be.at.least(ACKNOWLEDGED);
    expect(await chargedOf(acknowledged)).to.equal(acknowledged.length);
  });

  for (const point of ['publish.taken', 'publish.stored'] as const) {
    it(`the gateway dies before the acknowledgement: killed at ${point}, it publishes all again, and each is charged once`, async () => {
      const prefix = point.replace('.', '-');
      const gateway = startGateway(prefix, 500, `${point}=kill@3`);
      expect(await gateway.ended, gateway.log()).to.equal('SIGKILL');
      const acknowledged = acknowledgedBy(gateway);
      expect(acknowledged.length).to.be.within(1, 499);
      const again = startGateway(prefix, 500);
      const brokenAtMs = performance.now();
      expect(await again.ended, again.log()).to.equal(0);
      expect(acknowledgedBy(again).length).to.equal(500);
      world.besides.push(...Array.from({ length: 500 }, () => COMPLETION_COST));
      await world.recover(`gateway killed at ${point}`, brokenAtMs);
      expect(await chargedOf(acknowledgedBy(again))).to.equal(500);
    });
  }
});
