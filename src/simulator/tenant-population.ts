/**
 * Owns: the tenants of a simulation: their names, which of them never get credit, and how often each one calls.
 * Does not own: what they call.
 * Invariants: tenant k (from 1) calls in proportion to 1 / k^skew (Zipf's law); the unfunded are drawn by seed, so that
 * a busy tenant is as likely as a quiet one; with a share above zero there is at least one unfunded tenant.
 */
import type { RandomSource } from './seeded-random.js';

/** The tenants of a simulation, by position from 0. */
export interface TenantPopulation {
  readonly ids: readonly string[];
  readonly funded: readonly boolean[];
  /** Returns the tenant that a uniform number of [0, 1) falls on. */
  pick(fraction: number): number;
}

/** How many tenants there are, how unevenly they call, and which share of them never gets credit. */
export interface PopulationOptions {
  readonly tenants: number;
  readonly tenantPrefix: string;
  readonly tenantSkew: number;
  readonly unfundedShare: number;
}

/** Makes the tenants of a simulation. */
export function createPopulation(options: PopulationOptions, random: RandomSource): TenantPopulation {
  const width = Math.max(4, String(options.tenants).length);
  const ids = Array.from(
    { length: options.tenants },
    (_, place) => `${options.tenantPrefix}${String(place + 1).padStart(width, '0')}`,
  );
  const ceilings = cumulativeWeights(options.tenants, options.tenantSkew);
  return { ids, funded: drawFunded(options, random), pick: (fraction) => firstAbove(ceilings, fraction) };
}

function cumulativeWeights(count: number, skew: number): Float64Array {
  const ceilings = new Float64Array(count);
  let sum = 0;
  for (let place = 0; place < count; place += 1) ceilings[place] = sum += 1 / (place + 1) ** skew;
  return ceilings.map((ceiling) => ceiling / sum);
}

function firstAbove(ceilings: Float64Array, fraction: number): number {
  let low = 0;
  let high = ceilings.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ceilings[middle] ?? 1) > fraction) high = middle;
    else low = middle + 1;
  }
  return low;
}

function drawFunded({ tenants, unfundedShare }: PopulationOptions, random: RandomSource): boolean[] {
  const funded = new Array<boolean>(tenants).fill(true);
  const generator = random('population', 0);
  let left = unfundedShare === 0 ? 0 : Math.max(1, Math.round(tenants * unfundedShare));
  while (left > 0) {
    const place = generator.below(tenants);
    if (funded[place] === true) left -= 1;
    funded[place] = false;
  }
  return funded;
}
