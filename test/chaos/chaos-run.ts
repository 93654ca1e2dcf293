/**
 * Owns: a soak run on real servers: load at a steady rate, consumers as real processes, one planned fault after the other,
 * then rest, and the proof that nothing was lost, doubled or left adrift.
 * Does not own: the servers (their addresses are in the environment), the command line (main.ts).
 * Invariants: whatever went wrong is in the report; nothing that the run has started outlives it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { chooseFreePort } from '../../src/stack/free-port.js';
import { SERVER_NAMES } from '../../src/stack/stack-state.js';
import { uniqueTopic } from '../integration/kafka-topics.js';
import { reviveServer } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { startPgBouncer } from '../support/pgbouncer.js';
import { sumOf } from '../support/planned-tenants.js';
import type { ChaosReport } from './chaos-report.js';
import { ConsumerCrew } from './consumer-crew.js';
import { actOut, type Stage } from './fault-acts.js';
import { type FaultKind, planFaults } from './fault-plan.js';
import { ReadinessWatch } from './readiness-watch.js';
import { RecoveryWatch } from './recovery-watch.js';
import { SteadyPublisher } from './steady-publisher.js';

/** What a run is told. */
export interface ChaosOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly ratePerSecond: number;
  readonly consumers: number;
}

/** How far a run is. */
export interface ChaosStatus {
  readonly phase: string;
  readonly elapsedMs: number;
  readonly published: number;
  readonly faults: number;
  readonly recovered: number;
}

type Figures = Pick<ChaosReport, 'expectedTotal' | 'ledgerTotal' | 'lost' | 'doubled' | 'drift'>;

const PARTITIONS = 4;
const TENANTS = 60;
/** Of 100 requests of these simulations come so many messages. */
const MESSAGES_PER_100_REQUESTS = 165;
/** Bounds the memory of one simulation. */
const REQUESTS_PER_PLAN_MAX = 300_000;
/** Chunks as in production; holds that outlast the run, since the expectation counts them as open. */
const SETTINGS = { TOLLBOOK_CHUNK_MESSAGES_MAX: '500', TOLLBOOK_HOLD_TTL_MS: String(24 * 3_600_000) };

/** A stopped partition is tried again after 10 seconds at most, and that takes a moment. */
const RETRIED_WITHIN_MS = 15_000;

/** Runs a soak; `follow` is given what tells how far it is. Rejects only when the world cannot be set up. */
export async function runChaos(
  options: ChaosOptions,
  follow: (status: () => ChaosStatus) => void,
): Promise<ChaosReport> {
  const world = await FaultWorld.create(SETTINGS, PARTITIONS);
  const bouncer = await startPgBouncer(world.ledger.database.url);
  const ports = await freePorts(options.consumers);
  const crew = new ConsumerCrew({
    ...{ world, ports, group: uniqueTopic('chaos') },
    firstSettings: { DATABASE_URL: bouncer.through(world.ledger.database.url) },
  });
  const readiness = new ReadinessWatch(ports);
  try {
    return await new ChaosRun({ world, crew, bouncer }, readiness, options).run(follow);
  } finally {
    readiness.stop();
    await bouncer.close();
    await world.close();
  }
}

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await chooseFreePort());
  return [...ports];
}

class ChaosRun {
  readonly #faults: FaultKind[] = [];
  readonly #missed: string[] = [];
  readonly #problems: string[] = [];
  readonly #startedMs = performance.now();
  #phase = 'planning';

  constructor(
    readonly stage: Stage,
    readonly readiness: ReadinessWatch,
    readonly options: ChaosOptions,
  ) {}

  get world(): FaultWorld {
    return this.stage.world;
  }

  async run(follow: (status: () => ChaosStatus) => void): Promise<ChaosReport> {
    const { seed, durationMs, ratePerSecond, consumers } = this.options;
    await this.#planLoad();
    const { kafka, topics } = this.world.ledger;
    const publisher = new SteadyPublisher({ kafka, topics, ratePerSecond, plans: this.world.plans });
    const watch = new RecoveryWatch(this.world, publisher);
    follow(() => ({
      phase: this.#phase,
      elapsedMs: performance.now() - this.#startedMs,
      published: publisher.published,
      faults: this.#faults.length,
      recovered: watch.recovered.length,
    }));
    this.stage.crew.start();
    const loadedAtMs = performance.now();
    const plan = planFaults({ seed, durationMs, consumers });
    const publishing = publisher.run().catch((error: unknown) => this.#problems.push(`publishing: ${String(error)}`));
    const ended = publishing.then(() => performance.now() - loadedAtMs);
    await this.world.batches(consumers * 2); // until they have started, a fault would only measure their start
    await this.#suffer(plan, publisher, watch);
    const loadMs = await ended;
    await this.#comeToRest(watch);
    const figures = await this.#figures();
    return {
      ...{ seed, ratePerSecond, consumers, loadMs: Math.round(loadMs), ...figures },
      events: publisher.published,
      batchesResent: publisher.resent,
      faultsPlanned: plan.length,
      faults: this.#faults,
      missed: this.#missed,
      recoveries: watch.recovered,
      endedAlone: this.stage.crew.endedAlone,
      problems: [...this.#problems, ...watch.problems],
    };
  }

  /** Plans as many requests as the load needs, in simulations of bounded size. */
  async #planLoad(): Promise<void> {
    const { seed, durationMs, ratePerSecond } = this.options;
    const messages = (durationMs / 1_000) * ratePerSecond;
    let requests = Math.max(1, Math.ceil((messages * 100) / MESSAGES_PER_100_REQUESTS));
    for (let number = 0; requests > 0; number += 1) {
      const count = Math.min(requests, REQUESTS_PER_PLAN_MAX);
      const spoiled = { duplicates: 0.05, reorder: 'local', poison: 0.002 } as const;
      await this.world.plan(count, { seed: seed + number, tenants: TENANTS, ...spoiled });
      requests -= count;
    }
  }

  /** Does the planned faults for as long as there is load. */
  async #suffer(plan: ReturnType<typeof planFaults>, publisher: SteadyPublisher, watch: RecoveryWatch): Promise<void> {
    for (const fault of plan) {
      this.#phase = 'nothing is broken';
      await delay(fault.waitMs);
      if (publisher.isDone) return;
      this.#phase = fault.kind;
      const brokenAtMs = performance.now();
      try {
        await actOut(this.stage, fault);
        this.#faults.push(fault.kind);
        watch.begin(fault.kind, brokenAtMs);
      } catch (error) {
        this.#missed.push(`${fault.kind}: ${String(error).slice(0, 500)}`);
        await this.#reviveAll();
      }
    }
    this.#phase = 'the last events';
  }

  /** Mends everything, lets the consumers recover and stops them, and checks what must hold after every fault. */
  async #comeToRest(watch: RecoveryWatch): Promise<void> {
    this.#phase = 'coming to rest';
    const atMs = performance.now();
    await this.#reviveAll();
    await watch.all();
    const { crew } = this.stage;
    for (const name of await this.#blockedAtRest()) this.#problems.push(`${name} is stopped at the end`);
    this.readiness.stop();
    this.#problems.push(...crew.members.flatMap((member) => this.readiness.unseen(member)));
    try {
      await this.world.recover('chaos', atMs, crew.settle());
    } catch (error) {
      this.#problems.push(String(error));
    }
  }

  /** The partitions that are still stopped once each of them must have been tried again. */
  async #blockedAtRest(): Promise<readonly string[]> {
    const untilMs = performance.now() + RETRIED_WITHIN_MS;
    for (;;) {
      const blocked = await this.readiness.blockedNow();
      if (blocked.length === 0 || performance.now() > untilMs) return blocked;
      await delay(200);
    }
  }

  async #reviveAll(): Promise<void> {
    for (const name of SERVER_NAMES) {
      await reviveServer(name).catch((error: unknown) => this.#problems.push(String(error)));
    }
  }

  /** Compares the ledger with what the simulations, which know nothing of it, say it must hold. */
  async #figures(): Promise<Figures> {
    const { ledger, plans } = this.world;
    const { problems, ledgerTotal } = await ledger.prove();
    const charged = await ledger.rows<{ tenantId: string; charges: number }>(
      `SELECT tenant_id AS "tenantId", count(*)::int AS charges FROM ledger_entries
       WHERE type = 'DEDUCT' AND status = 'COMMITTED' GROUP BY tenant_id`,
    );
    const charges = new Map(charged.map(({ tenantId, charges: count }) => [tenantId, count]));
    const beyond = plans
      .flatMap(({ expectation }) => Object.entries(expectation.tenants))
      .map(([tenantId, { committed }]) => (charges.get(tenantId) ?? 0) - committed);
    const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + Math.max(0, count), 0);
    this.#problems.push(...problems);
    return {
      expectedTotal: sumOf(plans.map(({ expectation }) => expectation.totals.charged)),
      ledgerTotal,
      lost: sum(beyond.map((count) => -count)) + Number(await ledger.lag()),
      doubled: sum(beyond),
      drift: problems.length,
    };
  }
}
