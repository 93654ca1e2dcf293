/**
 * Owns: a ledger that is charged by real processes on servers that may be broken: what they are started with, what is
 * published for them, what a fault leaves behind, and the check afterwards.
 * Does not own: the check itself (after-fault.ts), the servers (fault-stack.ts).
 */
import { distinctTraces, traceKey } from '../../src/ledger/ledger-store.js';
import type { Environment } from '../../src/runtime/config.js';
import type { SimulationOptions } from '../../src/simulator/simulation-options.js';
import type { SimulationPlan } from '../../src/simulator/plan.js';
import { planSimulation } from '../../src/simulator/simulate.js';
import { uniqueTopic } from '../integration/kafka-topics.js';
import { expect } from 'chai';
import { expectRecovered, isPassing, type Survivor } from './after-fault.js';
import { type ConsumeChild, killConsumers, startConsume } from './consume-child.js';
import type { Replicated } from './broker-failures.js';
import { LedgerWorld } from './ledger-world.js';
import { waitUntil } from './wait-until.js';

/** How a process differs from the usual one. */
export interface ProcessSettings {
  /** What TOLLBOOK_FAULTS is. */
  readonly faults?: string;
  /** Joins the group of this name; a new one unless given, since Kafka waits for dead members of an old one. */
  readonly group?: string;
  readonly settings?: Environment;
}

/** What a fault left between the stores. */
export interface LeftBehind {
  /** Items in Redis whose trace the ledger does not know. */
  readonly inFlightWithoutEntry: number;
  /** Tenants whose hash is missing or behind the ledger. */
  readonly hashesBehind: number;
}

/** Small, so that a backlog has many chunks to break between; times so short that sweeps take part. */
const SETTINGS: Environment = {
  TOLLBOOK_CHUNK_MESSAGES_MAX: '10',
  TOLLBOOK_INFLIGHT_TTL_MS: '2000',
  TOLLBOOK_SESSION_TIMEOUT_MS: '6000',
};
const SWEEP_MS = 1_000;
const REACH_MAX_MS = 60_000;
const CHARGED_MAX_MS = 480_000;

/** A LedgerWorld with processes that may be broken. */
export class FaultWorld {
  readonly plans: SimulationPlan[] = [];
  readonly besides: string[] = [];

  private constructor(readonly ledger: LedgerWorld) {}

  /** Creates a world on the servers of the environment; `settings` go to every process. */
  static async create(settings: Environment = {}, partitions = 2): Promise<FaultWorld> {
    return new FaultWorld(await LedgerWorld.create({ partitions, settings: { ...SETTINGS, ...settings } }));
  }

  /** Publishes requests of new tenants that have credit, with duplicates, out of order, some of it malformed. */
  async publish(
    requests: number,
    options: Partial<SimulationOptions> & { ratePerSecond?: number } = {},
  ): Promise<void> {
    const { ratePerSecond = 0, ...simulation } = options;
    const plan = await this.plan(requests, simulation);
    await this.ledger.publish(plan, { ratePerSecond });
  }

  /** Plans requests and gives their tenants credit. */
  async plan(requests: number, options: Partial<SimulationOptions> = {}): Promise<SimulationPlan> {
    const seed = this.plans.length + 1;
    const spoiled = { duplicates: 0.2, reorder: 'full', poison: 0.02 } as const;
    const plan = await planSimulation({
      seed,
      requests,
      tenants: 8,
      tenantPrefix: `t${seed}-`,
      ...spoiled,
      ...options,
    });
    await this.ledger.credit(plan);
    this.plans.push(plan);
    return plan;
  }

  /** Starts `tollbook consume`. */
  start({ faults = '', group = uniqueTopic('group'), settings = {} }: ProcessSettings = {}): ConsumeChild {
    const environment = { TOLLBOOK_CONSUMER_GROUP: group, TOLLBOOK_FAULTS: faults, ...settings };
    return startConsume({ ...this.ledger.environment, ...environment }, ['--sweep-interval', String(SWEEP_MS / 1_000)]);
  }

  /** Waits until a process has acted at a fault point. */
  async reached(child: ConsumeChild, point: string): Promise<void> {
    let end: number | NodeJS.Signals | undefined;
    void child.ended.then((how) => (end = how));
    const tells = (): boolean => child.log().includes(`fault point ${point}:`);
    await waitUntil(`a process reaches ${point}`, () => tells() || end !== undefined, REACH_MAX_MS).catch(
      () => undefined,
    );
    if (!tells()) throw new Error(`${point} was not reached (${end ?? 'still running'}):\n${child.log()}`);
  }

  /** Waits until `count` more batches than now are sealed. */
  async batches(count: number): Promise<void> {
    const before = await this.ledger.count('ledger_batches');
    await waitUntil(
      `${count} more chunks are charged`,
      async () => (await this.ledger.count('ledger_batches')) >= before + count,
      REACH_MAX_MS,
    );
  }

  /** The topics, for whoever breaks brokers. */
  get replicated(): Replicated {
    return { admin: this.ledger.admin, topics: this.ledger.topics };
  }

  /** Waits until a process has charged everything that was published; returns those of the traces that are not. */
  async uncharged(traceIds: readonly string[], child: ConsumeChild): Promise<string[]> {
    const end = { hasCome: false };
    void child.ended.then(() => (end.hasCome = true));
    const isOver = async (): Promise<boolean> => end.hasCome || (await this.isCharged());
    await waitUntil('everything published is charged', isOver, CHARGED_MAX_MS).catch((error: unknown) =>
      expect.fail(`${String(error)}\n${child.log().slice(-3_000)}`),
    );
    if (end.hasCome) expect.fail(`the process ended by itself:\n${child.log().slice(-3_000)}`);
    const rows = await this.ledger.rows<{ traceId: string }>(
      `SELECT trace_id AS "traceId" FROM ledger_entries WHERE status = 'COMMITTED'`,
    );
    const charged = new Set(rows.map(({ traceId }) => traceId));
    return traceIds.filter((traceId) => !charged.has(traceId));
  }

  private async isCharged(): Promise<boolean> {
    try {
      return (await this.ledger.lag()) === 0n;
    } catch (error) {
      if (isPassing(error)) return false;
      throw error;
    }
  }

  /** The tenants of all simulations. */
  tenantIds(): string[] {
    return this.plans.flatMap(({ expectation }) => Object.keys(expectation.tenants));
  }

  /** What lies between ledger and Redis now. */
  async leftBehind(): Promise<LeftBehind> {
    const { reader, scripts } = this.ledger;
    const tenantIds = this.tenantIds();
    const [inFlight, versions, accounts] = [
      await scripts.readInflight(tenantIds),
      await scripts.versions(tenantIds),
      await reader.readAccounts(tenantIds),
    ];
    const traces = tenantIds.flatMap((tenantId, index) =>
      (inFlight[index] ?? []).map(({ traceId }) => ({ tenantId, traceId })),
    );
    const known = new Set((await reader.readSteps(distinctTraces(traces))).map(traceKey));
    return {
      inFlightWithoutEntry: traces.filter((trace) => !known.has(traceKey(trace))).length,
      hashesBehind: tenantIds.filter((tenantId, index) => (accounts.get(tenantId)?.seq ?? -1) > (versions[index] ?? -1))
        .length,
    };
  }

  /**
   * Lets the processes that are left recover, and checks everything. Where none is left, one inside this process takes
   * over: starting another would take longer than the recovery.
   */
  async recover(name: string, brokenAtMs: number, left: readonly ConsumeChild[] = []): Promise<void> {
    const survivors = left.length === 0 ? [await this.successor()] : left.map(survivorOf);
    await expectRecovered(this.ledger, { name, brokenAtMs, survivors, plans: this.plans, besides: this.besides });
  }

  private async successor(): Promise<Survivor> {
    const config = { consumerGroup: uniqueTopic('group') };
    const ledger = await this.ledger.start({ config, sweepIntervalMs: SWEEP_MS });
    return {
      ended: new Promise(() => undefined),
      log: () => JSON.stringify(this.ledger.log),
      stop: () => this.ledger.stop(ledger),
    };
  }

  /** Ends every process and removes what the world has made. */
  async close(): Promise<void> {
    killConsumers();
    await this.ledger.close();
  }
}

function survivorOf(child: ConsumeChild): Survivor {
  const stop = async (): Promise<void> => {
    await waitUntil('it listens for SIGTERM', () => child.log().includes('SIGTERM stops cleanly'), REACH_MAX_MS);
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
  };
  return { ended: child.ended, log: () => child.log(), stop };
}
