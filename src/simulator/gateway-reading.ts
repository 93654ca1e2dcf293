/**
 * Owns: what the simulated gateway makes of a provider's answer: it reads it with `usageFrom`, as every gateway should.
 * Does not own: the answer (provider-reports.ts), nor what it must cost (settlement.ts).
 * Invariants: nothing that the expectation is summed from passes through here, so that a token counted twice, or dropped,
 * shows as a difference between the two totals. The provider's own totals are not sent for the same reason: with them the
 * consumer's gate would refuse such an event before it could be charged.
 */
import { usageFrom, usageFromStream } from '../gateway/usage/usage-from.js';
import type { UsageOptions, UsageReading } from '../gateway/usage/usage-reading.js';
import { METERS } from '../ledger/meters.js';
import { providerReport } from './provider-reports.js';
import { usageShapeOf } from './provider-shapes.js';
import type { SimulatedRequest } from './simulated-request.js';

const PLAIN: UsageOptions = {};
const REASONING_APART: UsageOptions = { pricedApart: [METERS.reasoningOutputTokens] };

/** Reads the usage of a request from what its provider answers. */
export function gatewayReading(request: SimulatedRequest): UsageReading {
  const shape = usageShapeOf(request);
  const report = providerReport(request);
  const options = request.model.reasoningPer1k === undefined ? PLAIN : REASONING_APART;
  if (report.kind === 'whole') return usageFrom[shape](report.body, options);
  const reader = usageFromStream[shape](options);
  for (const chunk of report.chunks) reader.read(chunk);
  return reader.reading();
}
