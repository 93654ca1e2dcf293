/**
 * Owns: one schedule of a simulation from its seed to its verdict: processes that are started, paused, cut off, killed and
 * started again between any two steps, a Redis that may lose everything or have its hashes overwritten, and then the quiet in which all comes to rest.
 *
 * Does not own: what the processes do (simulated-world.ts), what must hold (properties.ts).
 * Invariants: the same seed gives the same schedule; a schedule always ends.
 */
import { SeededRandom } from '../../src/simulator/seeded-random.js';
import { TENANTS } from './gateway-plan.js';
import { problemAtRest, problemNow } from './properties.js';
import type { Removal } from './removals.js';
import { HOLD_TTL_MS, SimulatedWorld } from './simulated-world.js';
import type { SimulatedProcess } from './step-scheduler.js';

/** Steps in which anything may go wrong. */
const STORMY_STEPS = 140;
/** Steps in which everything must have come to rest: some ten times what it takes. */
const QUIET_STEPS_MAX = 20_000;
/** A process is interfered with at one step in so many. */
const MISHAP_EVERY = 9;

type Role = 'consume' | 'command' | 'gateway' | 'work';

const ROLES: readonly Role[] = ['consume', 'consume', 'consume', 'command', 'command', 'gateway', 'work'];

/** Runs the schedule of a seed; returns what did not hold, undefined when all did. */
export async function simulate(seed: number, removed?: Removal): Promise<string | undefined> {
  const random = new SeededRandom(seed, 0x70_6c, 0x6c_62);
  const world = new SimulatedWorld(random, removed);
  const giveBackTimers = world.scheduler.takeTimers();
  try {
    return await new Simulation(world, random).verdict();
  } finally {
    giveBackTimers();
  }
}

class Simulation {
  readonly #world: SimulatedWorld;
  readonly #random: SeededRandom;
  readonly #processes: { readonly role: Role; process: SimulatedProcess }[];
  #started = 0;
  #working = 0;

  constructor(world: SimulatedWorld, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
    this.#processes = ROLES.map((role) => ({ role, process: this.#start(role) }));
  }

  async verdict(): Promise<string | undefined> {
    for (let step = 0; step < STORMY_STEPS; step += 1) {
      if (this.#random.below(MISHAP_EVERY) === 0) this.#mishap();
      await this.#world.scheduler.draw();
      const problem = problemNow(this.#world);
      if (problem !== undefined) return problem;
    }
    return this.#comeToRest();
  }

  /** Everybody goes on, nobody is hurt any more, and what is left to do is done. */
  async #comeToRest(): Promise<string | undefined> {
    const world = this.#world;
    world.isEnding = true;
    world.weather.lostAnswers = 0;
    world.weather.cutCalls = 0;
    for (const { process } of this.#processes) process.isPaused = false;
    for (const work of [() => world.command(), () => world.consumeRest(), () => world.workRest()]) {
      const problem = await this.#finish(work);
      if (problem !== undefined) return problem;
    }
    return problemAtRest(world);
  }

  /** Lets who is under way finish, then one more. */
  async #finish(work: () => Promise<void>): Promise<string | undefined> {
    for (const next of [undefined, work]) {
      if (next !== undefined) this.#run({ name: 'last', isPaused: false, isDead: false }, next);
      for (let step = 0; this.#working > 0; step += 1) {
        if (step > QUIET_STEPS_MAX) return 'it does not come to rest';
        if (!(await this.#world.scheduler.draw())) return 'somebody waits for ever';
        const problem = problemNow(this.#world);
        if (problem !== undefined) return problem;
      }
    }
    return undefined;
  }

  #mishap(): void {
    const { ledger, redis, scheduler, isRedisFaithful } = this.#world;
    const victim = this.#processes[this.#random.below(this.#processes.length)];
    if (victim === undefined) return;
    const { process, role } = victim;
    const mishaps: (() => void)[] = [
      () => void (process.isPaused = true),
      () => void (process.isPaused = true),
      () => void (process.isPaused = false),
      () => ledger.loseLocks(process),
      () => ledger.cut(process),
      () => {
        this.#kill(process);
        victim.process = this.#start(role);
      },
      () => scheduler.passTime(HOLD_TTL_MS),
      () => {
        if (!isRedisFaithful) redis.loseAll();
      },
      () => {
        const tenantId = TENANTS[this.#random.below(TENANTS.length)] ?? TENANTS[0];
        if (!isRedisFaithful) redis.ruin(tenantId, this.#random.below(2) === 0 ? 'stale' : 'poor');
      },
    ];
    mishaps[this.#random.below(mishaps.length)]?.();
  }

  #kill(process: SimulatedProcess): void {
    this.#done(process);
    this.#world.ledger.cut(process);
  }

  #start(role: Role): SimulatedProcess {
    const process = { name: `${role}-${(this.#started += 1)}`, isPaused: false, isDead: false };
    this.#run(process, () => this.#world[role]());
    return process;
  }

  #run(process: SimulatedProcess, work: () => Promise<void>): void {
    this.#working += 1;
    this.#world.scheduler.start(process, () => {
      void work().then(
        () => this.#done(process),
        (error: unknown) => {
          this.#world.problems.push(`${process.name} ended: ${String(error)}`);
          this.#done(process);
        },
      );
    });
  }

  #done(process: SimulatedProcess): void {
    if (!process.isDead) this.#working -= 1;
    process.isDead = true;
  }
}
