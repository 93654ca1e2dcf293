/**
 * Owns: the workloads of the benchmarks: how many tenants, how uneven, how many messages are repeated.
 * Does not own: the events themselves: the simulator makes them from the real trace and the real price map.
 */
import type { SimulationPlan } from '../src/simulator/plan.js';
import { planSimulation } from '../src/simulator/simulate.js';

/** How requests fall on tenants. */
export interface Workload {
  readonly name: string;
  readonly tenants: number;
  /** Exponent of Zipf's law over the tenants. */
  readonly skew: number;
}

/** The workloads that are reported, by name. */
export const WORKLOADS = {
  spread: { name: 'spread', tenants: 1_000, skew: 0.3 },
  zipf: { name: 'zipf', tenants: 100_000, skew: 1 },
  hot: { name: 'hot', tenants: 1, skew: 0 },
} as const satisfies Record<string, Workload>;

/** One of WORKLOADS. */
export type WorkloadName = keyof typeof WORKLOADS;

/** Shares of messages that are published a second time. */
export const DUPLICATE_SHARES: readonly number[] = [0, 0.1, 0.5];

/** What is planned besides the workload. */
export interface PlanSize {
  readonly requests: number;
  readonly duplicates: number;
  readonly seed?: number;
}

/** Messages a request comes to: every one completes, six of ten are announced. Measured on the trace: 1.596. */
export const MESSAGES_PER_REQUEST = 1.6;

/** Plans the real pending + completed mix without malformed messages; every tenant may spend. */
export function planWorkload({ tenants, skew }: Workload, size: PlanSize): Promise<SimulationPlan> {
  return planSimulation({
    ...size,
    tenants,
    tenantSkew: skew,
    poison: 0,
    unfundedShare: 0,
    reorder: 'local',
    endAtMs: Date.now() - 10_000,
  });
}
