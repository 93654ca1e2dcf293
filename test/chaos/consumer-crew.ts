/**
 * Owns: the consumers of a soak run: real processes of one group, each replaced as soon as it has ended, as a supervisor
 * does, until the crew is told that nothing is broken any more.
 * Invariants: as many as at the start run or are being started; whoever ends without having been killed is told.
 */
import type { ConsumeChild } from '../support/consume-child.js';
import type { FaultWorld } from '../support/fault-world.js';

/** The processes that consume. */
export class ConsumerCrew {
  /** What processes that ended by themselves said last: a server was away while they started, or something is wrong. */
  readonly endedAlone: string[] = [];
  readonly #children: ConsumeChild[] = [];
  readonly #vacant = new Set<number>();
  #isSettled = false;

  constructor(
    readonly world: FaultWorld,
    readonly group: string,
  ) {}

  /** Starts the consumers. */
  start(count: number): void {
    for (let place = 0; place < count; place += 1) this.#start(place);
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

  /** Replaces nobody from now on; returns the processes that run. */
  settle(): readonly ConsumeChild[] {
    this.#isSettled = true;
    return this.#children;
  }

  #start(place: number, faults = ''): ConsumeChild {
    const child = this.world.start({ group: this.group, faults });
    this.#children[place] = child;
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
