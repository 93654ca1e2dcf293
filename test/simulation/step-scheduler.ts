/**
 * Owns: the order in which everything of a simulation happens, and its time: every await of a simulated port, and every
 * timer, is a step that waits until the scheduler draws it; one seed gives one order.
 * Does not own: what the steps do.
 * Invariants: between two draws everything runs until it waits for a step again, so whatever is called then belongs to the
 * process whose step was drawn last; the steps of a dead process are never drawn, those of a paused one not yet.
 */
import type { SeededRandom } from '../../src/simulator/seeded-random.js';

/** One process of a simulation. */
export interface SimulatedProcess {
  readonly name: string;
  isPaused: boolean;
  isDead: boolean;
}

interface Step {
  readonly process: SimulatedProcess;
  readonly isReady: () => boolean;
  readonly go: () => void;
}

/** How far time moves with a step at most, in milliseconds. */
const STEP_MS_MAX = 8;
const ALWAYS = (): boolean => true;

/** Draws steps by seed; also the clock of the simulation. */
export class StepScheduler {
  readonly #random: SeededRandom;
  readonly #timers = new Map<number, Step & { readonly dueMs: number }>();
  #steps: Step[] = [];
  #timerIds = 0;
  #nowMs: number;
  #running: SimulatedProcess = { name: 'nobody', isPaused: false, isDead: false };

  constructor(random: SeededRandom, nowMs: number) {
    this.#random = random;
    this.#nowMs = nowMs;
  }

  /** The process whose step was drawn last. */
  get running(): SimulatedProcess {
    return this.#running;
  }

  readonly nowMs = (): number => this.#nowMs;

  /** Lets time pass. */
  passTime(ms: number): void {
    this.#nowMs += ms;
  }

  /** Resolves when the step is drawn, which it can be once `isReady` says so. */
  step(isReady: () => boolean = ALWAYS): Promise<void> {
    return new Promise((go) => void this.#steps.push({ process: this.#running, isReady, go }));
  }

  /** Starts work as a process. */
  start(process: SimulatedProcess, work: () => void): void {
    this.#steps.push({ process, isReady: ALWAYS, go: work });
  }

  /** Draws one step and runs everything that follows from it; false when there is none. */
  async draw(): Promise<boolean> {
    this.#nowMs += this.#random.below(STEP_MS_MAX);
    const ready = this.#ready();
    const drawn = ready[this.#random.below(Math.max(1, ready.length))];
    if (drawn === undefined) return this.#awaitTimer();
    this.#steps = this.#steps.filter((step) => step !== drawn && !step.process.isDead);
    for (const [id, timer] of this.#timers) if (timer === drawn || timer.process.isDead) this.#timers.delete(id);
    this.#running = drawn.process;
    drawn.go();
    // A tick comes after all microtasks, those included that they cause; a turn of the event loop would cost as much as a step.
    await new Promise((resolve) => process.nextTick(resolve));
    return true;
  }

  /** Puts the simulated time in the place of the real timers; returns what undoes it. */
  takeTimers(): () => void {
    const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
    const start = (go: () => void, delayMs = 0): number => {
      this.#timerIds += 1;
      const dueMs = this.#nowMs + delayMs;
      const isReady = (): boolean => dueMs <= this.#nowMs;
      this.#timers.set(this.#timerIds, { process: this.#running, isReady, go, dueMs });
      return this.#timerIds;
    };
    globalThis.setTimeout = start as unknown as typeof setTimeout;
    globalThis.clearTimeout = ((id: number) => this.#timers.delete(id)) as unknown as typeof clearTimeout;
    performance.now = this.nowMs;
    return () => {
      globalThis.setTimeout = real.setTimeout;
      globalThis.clearTimeout = real.clearTimeout;
      Reflect.deleteProperty(performance, 'now'); // what stood before is the method of its prototype
    };
  }

  #ready(): Step[] {
    return [...this.#steps, ...this.#timers.values()].filter(
      ({ process, isReady }) => !process.isDead && !process.isPaused && isReady(),
    );
  }

  /** Lets time pass until the next timer of a process that lives. */
  #awaitTimer(): boolean {
    const due = [...this.#timers.values()].filter(({ process }) => !process.isDead && !process.isPaused);
    if (due.length === 0) return false;
    this.#nowMs = Math.min(...due.map(({ dueMs }) => dueMs));
    return true;
  }
}
