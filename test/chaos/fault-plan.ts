/**
 * Owns: which faults a soak run suffers, in which order and how long each: a pure function of the seed.
 * Does not own: doing them (fault-acts.ts); when exactly each happens, which is up to the servers.
 * Invariants: every round of as many faults as there are kinds has each kind once, so that a short run misses none; a
 * longer run of the same seed begins with the faults of the shorter one.
 */
import { FAULT_POINTS, type FaultPoint } from '../../src/runtime/fault-points.js';
import { SeededRandom } from '../../src/simulator/seeded-random.js';

/** Every kind of fault, and for how many milliseconds it lasts: at least, at most. */
export const FAULT_KINDS = {
  'consumer killed': [0, 3_000],
  'consumer killed at a fault point': [0, 0],
  // Beyond the session of 6 s it comes back as a zombie.
  'consumer stopped, then continued': [1_000, 9_000],
  'redis killed, back empty': [500, 4_000],
  'redis stopped, then continued': [500, 4_000],
  'redis FLUSHALL': [0, 0],
  'redis SCRIPT FLUSH': [0, 0],
  'postgres immediate stop': [0, 3_000],
  'postgres connections cut': [0, 0],
  'kafka killed': [0, 3_000],
  'kafka stopped, then continued': [1_000, 8_000],
  'group rebalanced': [0, 0],
  // As in a failover: the old server takes no writes any more.
  'postgres read-only': [1_000, 5_000],
  'pgbouncer killed': [0, 0],
  'batches compressed and unreadable': [0, 0],
  'consumer with a slow clock': [2_000, 5_000],
  'redis keys spoiled': [0, 0],
} as const satisfies Record<string, readonly [number, number]>;

/** One word of the closed set of faults. */
export type FaultKind = keyof typeof FAULT_KINDS;

/** A fault that is to happen; times in milliseconds. */
export interface PlannedFault {
  readonly kind: FaultKind;
  /** How long nothing is broken before it. */
  readonly waitMs: number;
  /** How long it lasts. */
  readonly holdMs: number;
  /** Which consumer it strikes, from 0, when it strikes one. */
  readonly victim: number;
  /** Where that consumer dies, and at which pass, when it dies at a fault point. */
  readonly point: FaultPoint;
  readonly pass: number;
}

/** For how long faults are planned, and for how many consumers. */
export interface FaultPlanOptions {
  /** A whole number from 0 to 2^53 − 1. */
  readonly seed: number;
  readonly durationMs: number;
  readonly consumers: number;
}

const WAIT_MS = [1_000, 4_000] as const;
const PASS_MAX = 20;
const UINT32_SPAN = 2 ** 32;
const KINDS = Object.keys(FAULT_KINDS) as FaultKind[];

/** The points that every consumer under load passes again and again. */
const POINTS = (Object.keys(FAULT_POINTS) as FaultPoint[]).filter((point) =>
  /^(charge|database|ledger|projection)\./.test(point),
);

/** Plans the faults of a run, until waiting and lasting fill its duration. */
export function planFaults({ seed, durationMs, consumers }: FaultPlanOptions): PlannedFault[] {
  const random = new SeededRandom(seed % UINT32_SPAN, Math.floor(seed / UINT32_SPAN), KINDS.length);
  const faults: PlannedFault[] = [];
  let bag: FaultKind[] = [];
  for (let plannedMs = 0; ;) {
    if (bag.length === 0) bag = shuffled(KINDS, random);
    const fault = planFault(bag.pop() ?? 'consumer killed', consumers, random);
    plannedMs += fault.waitMs + fault.holdMs;
    if (plannedMs > durationMs) return faults;
    faults.push(fault);
  }
}

/** Draws as much whatever the kind is, so that another kind would not change the faults after it. */
function planFault(kind: FaultKind, consumers: number, random: SeededRandom): PlannedFault {
  return {
    kind,
    waitMs: within(WAIT_MS, random),
    holdMs: within(FAULT_KINDS[kind], random),
    victim: random.below(consumers),
    point: POINTS[random.below(POINTS.length)] ?? 'charge.decided',
    pass: 1 + random.below(PASS_MAX),
  };
}

function within([least, most]: readonly [number, number], random: SeededRandom): number {
  return least + random.below(most - least + 1);
}

/** The shuffle of Fisher and Yates. */
function shuffled<T>(list: readonly T[], random: SeededRandom): T[] {
  const result = [...list];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const other = random.below(last + 1);
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}
