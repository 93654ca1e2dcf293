/**
 * Owns: whether the servers that a process needs answer, since when, and what is wrong when they do not.
 * Does not own: how a server is asked (the probes), nor what follows from it.
 * Invariants: a check ends within its deadline, also when a server stands still; a probe that has not ended is not asked again;
 * checks that are asked for at the same time are one.
 */
import type { Clock } from './clock.js';
import { isTollbookError } from './errors.js';

/** The servers of a process. */
export type ServerName = 'kafka' | 'postgres' | 'redis';

/** How a server stands. */
export interface ServerState {
  readonly name: ServerName;
  readonly isOk: boolean;
  /** Why not; undefined while it answers. */
  readonly cause: { readonly code: string; readonly message: string } | undefined;
  /** Since when it is so, in milliseconds since the Unix epoch. */
  readonly sinceMs: number;
  /** How long its last answer took; undefined without one. */
  readonly latencyMs: number | undefined;
}

/** Asks a server; rejects when it is not well. */
export type Probe = () => Promise<unknown>;

interface Watched {
  readonly probe: Probe;
  state: ServerState;
  underWay: Promise<void> | undefined;
}

/** Long enough for a busy machine, short enough for whoever waits for the answer. */
const DEADLINE_MS = 2_000;

/** Watches servers. */
export class ServerWatch {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #watched = new Map<ServerName, Watched>();
  #check: Promise<void> | undefined;

  constructor(clock: Clock, deadlineMs: number = DEADLINE_MS) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
  }

  /** Watches a server from now on; it counts as away until it has answered. */
  add(name: ServerName, probe: Probe): void {
    const cause = { code: 'NO_ANSWER', message: 'it has not answered yet' };
    const state = { name, isOk: false, cause, sinceMs: this.#clock.nowMs(), latencyMs: undefined };
    this.#watched.set(name, { probe, state, underWay: undefined });
  }

  /** Asks all servers; resolves when each has answered or its time is over. Never rejects. */
  check(): Promise<void> {
    this.#check ??= Promise.all([...this.#watched.values()].map((each) => this.#ask(each))).then(() => {
      this.#check = undefined;
    });
    return this.#check;
  }

  /** How the servers stood at the last check. */
  states(): readonly ServerState[] {
    return [...this.#watched.values()].map(({ state }) => state);
  }

  async #ask(watched: Watched): Promise<void> {
    const startedMs = performance.now();
    watched.underWay ??= this.#probe(watched, startedMs);
    let timer: NodeJS.Timeout | undefined;
    const isLate = await Promise.race([
      watched.underWay.then(() => false),
      new Promise<boolean>((resolve) => (timer = setTimeout(resolve, this.#deadlineMs, true))),
    ]);
    clearTimeout(timer);
    if (isLate)
      this.#note(watched, { code: 'NO_ANSWER', message: `no answer within ${this.#deadlineMs} ms` }, undefined);
  }

  /** Never rejects. */
  async #probe(watched: Watched, startedMs: number): Promise<void> {
    try {
      await watched.probe();
      this.#note(watched, undefined, performance.now() - startedMs);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const code = isTollbookError(error) ? error.code : 'NO_ANSWER';
      this.#note(watched, { code, message }, undefined);
    } finally {
      watched.underWay = undefined;
    }
  }

  #note(watched: Watched, cause: ServerState['cause'], latencyMs: number | undefined): void {
    const { name, isOk: wasOk, sinceMs } = watched.state;
    const isOk = cause === undefined;
    watched.state = { name, isOk, cause, latencyMs, sinceMs: isOk === wasOk ? sinceMs : this.#clock.nowMs() };
  }
}
