/**
 * Owns: the consumers of a soak run: real processes of one group, each replaced as soon as it has ended, as a supervisor
 * does, until the crew is told that nothing is broken any more.
 * Invariants: as many as at the start run or are being started; whoever ends without having been killed is told.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Environment } from '../../src/runtime/config.js';
import type { ConsumeChild } from '../support/consume-child.js';
import type { FaultWorld } from '../support/fault-world.js';

const STEPPED_CLOCK = new URL('../support/stepped-clock.js', import.meta.url).href;
const SLOW_SECONDS = -600;

/** A process that ran, and the port of its /readyz. */
export interface CrewMember {
  readonly port: number;
  readonly child: ConsumeChild;
}

/** Who consumes. */
export interface CrewOptions {
  readonly world: FaultWorld;
  readonly group: string;
  /** Where each place listens with /readyz; one place for each. */
  readonly ports: readonly number[];
  /** What the process at place 0 is started with besides. */
  readonly firstSettings: Environment;
}

/** The processes that consume. */
export class ConsumerCrew {
  /** What processes that ended by themselves said last: a server was away while they started, or something is wrong. */
  readonly endedAlone: string[] = [];
  /** Every process with a right clock that has been started. */
  readonly members: CrewMember[] = [];
  readonly #options: CrewOptions;
  readonly #children: ConsumeChild[] = [];
  readonly #vacant = new Set<number>();
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'tollbook-chaos-'));
  #isSettled = false;

  constructor(options: CrewOptions) {
    this.#options = options;
  }

  /** The consumer group. */
  get group(): string {
    return this.#options.group;
  }

  /** Starts the consumers. */
  start(): void {
    for (const place of this.#options.ports.keys()) this.#start(place);
  }

  /** Sends a signal to the consumer at a place. */
  signal(place: number, signal: NodeJS.Signals): void {
    this.#childAt(place).kill(signal);
  }

  /** Kills the consumer at a place as a power cut does; the place stays empty until `fill`. */
  async kill(place: number): Promise<void> {
    this.#vacant.add(place);
    const child = this.#childAt(place);
    child.kill('SIGKILL');
    await child.ended;
  }

  /** Starts a consumer at a place that was emptied, with fault points armed or not. */
  fill(place: number, faults = ''): ConsumeChild {
    this.#vacant.delete(place);
    return this.#start(place, faults);
  }

  /** Starts a consumer whose clock is ten minutes slow at a place that was emptied; the place still counts as empty. */
  fillSlow(place: number): ConsumeChild {
    const file = path.join(this.#folder, 'slow');
    writeFileSync(file, String(SLOW_SECONDS));
    const settings = { NODE_OPTIONS: `--import ${STEPPED_CLOCK}`, CLOCK_STEP_FILE: file, CLOCK_STEPS_AT_START: '1' };
    const child = this.#options.world.start({ group: this.group, settings });
    this.#children[place] = child;
    return child;
  }

  /** Replaces nobody from now on; returns the processes that run. */
  settle(): readonly ConsumeChild[] {
    this.#isSettled = true;
    rmSync(this.#folder, { recursive: true, force: true });
    return this.#children;
  }

  #start(place: number, faults = ''): ConsumeChild {
    const { world, group, ports, firstSettings } = this.#options;
    const port = ports[place] ?? 0;
    const settings = { TOLLBOOK_METRICS_PORT: String(port), ...(place === 0 ? firstSettings : {}) };
    const child = world.start({ group, faults, settings });
    this.#children[place] = child;
    this.members.push({ port, child });
    void child.ended.then((end) => {
      if (this.#isSettled || this.#vacant.has(place) || this.#children[place] !== child) return;
      if (end !== 'SIGKILL') this.endedAlone.push(`ended with ${end}: ${child.log().slice(-500)}`);
      this.#start(place);
    });
    return child;
  }

  #childAt(place: number): ConsumeChild {
    return this.#children[place] ?? this.#start(place);
  }
}
