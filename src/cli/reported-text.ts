/** Owns: the line that says in which providers' shapes a simulation reported its usage. */
import type { SimulationExpectation } from '../simulator/expectation.js';
import { USAGE_SHAPES, type UsageShape } from '../simulator/provider-shapes.js';

/** Names the shapes with the number of requests in each, and how many streams were cut. */
export function reportedText({ shapes, cutStreams }: SimulationExpectation['reported']): string {
  const counts = (Object.keys(USAGE_SHAPES) as UsageShape[])
    .filter((shape) => shapes[shape] > 0)
    .map((shape) => `${USAGE_SHAPES[shape]} ${shapes[shape]}`);
  return `usage reported in the providers' shapes: ${counts.join(', ')}; ${cutStreams} streams cut before the final count`;
}
