/**
 * Owns: starting and stopping as supervisors do it: processes before their servers, in any order, and SIGTERM under load,
 * also while a server does not answer.
 * What is promised: a process waits for a server that is not there yet, says so, and goes on by itself; it ends within
 * 10 s of SIGTERM with code 0, whatever state it and the servers are in; what was under way is charged once, by the next.
 */
import { expect } from 'chai';
import { SERVER_NAMES } from '../../src/stack/stack-state.js';
import { type ConsumeChild, killConsumers, startTollbook } from '../support/consume-child.js';
import { haltServer, reviveServer, signalServer, useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { waitUntil } from '../support/wait-until.js';

const STOP_WITHIN_MS = 10_000;
const TOLD_MAX_MS = 60_000;
const SERVERS = SERVER_NAMES;
type ServerName = (typeof SERVERS)[number];
/** What a process says while it waits; Kafka's client tries for 14 s before it gives up for the first time. */
const WAITS: Readonly<Record<ServerName, RegExp>> = {
  kafka: /Connection error: connect ECONNREFUSED|Kafka does not answer/,
  postgres: /a server is away or not ready: waiting for it before starting/,
  redis: /Redis is away: connecting until it answers/,
};

describe('a process and its servers', function () {
  this.timeout(180_000);
  let world: FaultWorld;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create();
  });

  afterEach(killConsumers);

  after(async () => {
    for (const server of SERVERS) await reviveServer(server);
    await world.close();
  });

  async function told(child: ConsumeChild, words: RegExp): Promise<void> {
    await waitUntil(`it says ${String(words)}`, () => words.test(child.log()), TOLD_MAX_MS).catch((error: unknown) =>
      expect.fail(`${String(error)}:\n${child.log()}`),
    );
  }

  /** Sends SIGTERM; fails unless the process then ends with code 0 in time. */
  async function expectEnds(child: ConsumeChild): Promise<void> {
    const askedMs = performance.now();
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
    expect(performance.now() - askedMs, child.log()).to.be.below(STOP_WITHIN_MS);
  }

  /** Stops a server in the middle of its work, PostgreSQL with the processes that serve consumers; returns how it goes on. */
  async function standStill(server: ServerName): Promise<() => void> {
    const serving = await world.ledger.rows<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name = 'tollbook-consume' AND datname = current_database()`,
    );
    const signal = (name: NodeJS.Signals): void => {
      signalServer(server, name);
      if (server === 'postgres') for (const { pid } of serving) process.kill(pid, name);
    };
    signal('SIGSTOP');
    return () => signal('SIGCONT');
  }

  describe('start order does not matter:', () => {
    for (const last of SERVERS) {
      it(`a consumer that starts before ${last} says so, waits, and charges once it is there; SIGTERM ends the wait`, async () => {
        await world.publish(40);
        await haltServer(last);
        const [child, another] = [world.start(), world.start()];
        await told(another, WAITS[last]);
        await expectEnds(another);
        await told(child, WAITS[last]);
        await reviveServer(last);
        await world.recover(`${last} started last`, performance.now(), [child]);
      });
    }

    it('a consumer that starts before all servers goes on as they come, in the worst order', async () => {
      await world.publish(40);
      for (const server of SERVERS) await haltServer(server);
      const child = world.start();
      await told(child, WAITS.postgres);
      await reviveServer('redis');
      await reviveServer('postgres');
      await told(child, WAITS.kafka);
      await reviveServer('kafka');
      await world.recover('all servers started after the consumer', performance.now(), [child]);
    });

    it('a projecting process that starts before PostgreSQL and Redis waits for both, and then projects', async () => {
      await world.publish(40);
      await haltServer('postgres');
      await haltServer('redis');
      const projecting = startTollbook(['project', '--sweep-interval', '1'], world.ledger.environment);
      await told(projecting, WAITS.postgres);
      await reviveServer('postgres');
      await told(projecting, WAITS.redis);
      await reviveServer('redis');
      await told(projecting, /Redis is connected/);
      await world.recover('PostgreSQL and Redis started after the projector', performance.now());
      await expectEnds(projecting);
    });
  });

  describe('graceful stop under load loses nothing and charges nothing twice:', () => {
    const SETTINGS = { TOLLBOOK_CHUNK_MESSAGES_MAX: '25' };

    /** A consumer in the middle of a backlog that it does not come to the end of. */
    async function underLoad(): Promise<ConsumeChild> {
      await world.publish(600);
      const child = world.start({ faults: 'database.before-commit=delay:20', settings: SETTINGS });
      await world.batches(4);
      return child;
    }

    it('SIGTERM at full drain', async () => {
      const child = await underLoad();
      await expectEnds(child);
      expect(child.log()).to.include('"msg":"stopped"').and.not.include('stopping without it');
      expect(await world.ledger.lag()).to.satisfy((lag: bigint) => lag > 0n);
      await world.recover('stopped at full drain', performance.now());
    });

    for (const server of SERVERS) {
      it(`SIGTERM while ${server} stands still (SIGSTOP)`, async () => {
        const child = await underLoad();
        const goOn = await standStill(server);
        try {
          await expectEnds(child);
        } finally {
          goOn();
        }
        await world.recover(`stopped while ${server} stood still`, performance.now());
      });
    }
  });
});
