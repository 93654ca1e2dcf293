/** Owns: small traces, prices and options for the tests of the simulator. */
import { parsePriceMap, type PriceMap } from '../../../src/simulator/price-map.js';
import { randomSource } from '../../../src/simulator/seeded-random.js';
import { requestOf, type SimulatedRequest } from '../../../src/simulator/simulated-request.js';
import { resolveOptions, type SimulationOptions } from '../../../src/simulator/simulation-options.js';
import { createPopulation } from '../../../src/simulator/tenant-population.js';
import { createTimeline } from '../../../src/simulator/timeline.js';
import { parseTrace, type Trace } from '../../../src/simulator/trace-file.js';

/** The end of every simulation of these tests. */
export const END_AT_MS = Date.parse('2026-03-31T09:30:00Z');

/** Three requests in the first second of a trace. */
export const TRACE: Trace = parseTrace(
  `TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:17:04.0781490,110,27
`,
  'trace.csv',
);

/** One model without and one with a price for cached input. */
export const PRICES: PriceMap = parsePriceMap(
  `{ "plain": { "mode": "chat", "litellm_provider": "acme", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05 },
     "cached": { "mode": "chat", "litellm_provider": "acme", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
                 "cache_read_input_token_cost": 3e-07 } }`,
  'prices.json',
);

/** Options with nothing unusual in them: every request succeeds, nothing is repeated, moved or malformed. */
export function quietOptions(changes: Partial<SimulationOptions> = {}): SimulationOptions {
  const quiet: Partial<SimulationOptions> = {
    requests: 300,
    tenants: 5,
    unfundedShare: 0,
    cancelledShare: 0,
    failedShare: 0,
    abandonedShare: 0,
    unpricedShare: 0,
    skippedShare: 0,
    meteredShare: 0,
    duplicates: 0,
    reorder: 'none',
    poison: 0,
    endAtMs: END_AT_MS,
  };
  return resolveOptions({ ...quiet, ...changes }, END_AT_MS);
}

/** The requests of a simulation, without the messages they send. */
export function requestsOf(options: SimulationOptions, prices: PriceMap): SimulatedRequest[] {
  const random = randomSource(String(options.seed));
  const population = createPopulation(options, random);
  const timeline = createTimeline(TRACE, options.requests);
  const sources = { options, prices, population, timeline, random };
  return Array.from({ length: options.requests }, (_, number) => requestOf(number, sources));
}

/** Options with a good part of everything. */
export function wildOptions(changes: Partial<SimulationOptions> = {}): SimulationOptions {
  return quietOptions({
    requests: 4_000,
    tenants: 20,
    unfundedShare: 0.2,
    cancelledShare: 0.1,
    failedShare: 0.1,
    abandonedShare: 0.05,
    unpricedShare: 0.05,
    skippedShare: 0.1,
    meteredShare: 0.5,
    duplicates: 0.2,
    reorder: 'full',
    poison: 0.05,
    ...changes,
  });
}
