/**
 * Owns: what is wrong with the items in flight of one tenant, and with the sums kept beside them.
 * Does not own: the quota hash (audit-drift.ts).
 * Invariants: pure. An item is wrong when no script wrote it, when the ledger up to the hash's version contains it, or
 * when it has outlived its time without reaching the ledger. A younger one is not: a charge is under way.
 */
import type { TraceStep } from '../ledger/ledger-reader.js';
import { itemField, SUM_AVAILABLE, sumFields, sumItems } from '../lua/quota-codec.js';
import type { ObservedOverlay } from '../lua/quota-observation.js';
import type { DropSpec, InflightItem } from '../lua/quota-scripts.js';
import { amountText, type AuditTerms, type Difference, distance } from './audit-difference.js';
import { dropsOf } from './projection.js';

/** How far an item may be ahead of our clock before its time is taken for wrong: the clocks of gateways differ. */
const CLOCK_SKEW_MAX_MS = 5 * 60_000;

/** What the ledger says of the traces in flight, and the version of the hash; null when there is none to go by. */
export interface OverlayGrounds {
  readonly steps: readonly TraceStep[];
  readonly version: number | null;
}

/** What is wrong with an overlay, and which of its items have leaked. */
export interface OverlayFindings {
  readonly differences: readonly Difference[];
  readonly leaked: readonly DropSpec[];
}

/** Judges an overlay. */
export function overlayDifferences(
  overlay: ObservedOverlay,
  grounds: OverlayGrounds,
  terms: AuditTerms,
): OverlayFindings {
  if (overlay.kind === 'unreadable') return { differences: [strangeItem(overlay.found)], leaked: [] };
  const landed = overlay.items.flatMap((item) => landedDifference(item, grounds, terms.nowMs));
  const old = overlay.items.filter((item) => isLeaked(item, grounds.steps, terms));
  return {
    differences: [
      ...overlay.strange.map(strangeItem),
      ...sumDifferences(overlay.items, overlay.sums),
      ...landed,
      ...old.map((item) => leakedDifference(item, terms)),
    ],
    leaked: old.map(({ traceId, phase }) => ({ traceId, phase })),
  };
}

/** The items that no recorded step makes obsolete: charges under way, or holds that may have leaked. */
export function unsettledItems(items: readonly InflightItem[], steps: readonly TraceStep[]): InflightItem[] {
  return items.filter((item) => landingStep(item, steps) === undefined);
}

function strangeItem(found: string): Difference {
  return {
    field: 'inflight_item',
    found,
    expected: 'an item TRACE:PHASE = AVAIL|REQUESTS|DAY|TIME',
    amountNano: 0n,
    ageMs: null,
  };
}

/** The step that makes an item obsolete, the first by seq. */
function landingStep(item: InflightItem, steps: readonly TraceStep[]): TraceStep | undefined {
  const landing = steps.filter(
    (step) =>
      step.traceId === item.traceId && dropsOf([step]).some(({ phase }) => phase === 'all' || phase === item.phase),
  );
  return landing.reduce<TraceStep | undefined>(
    (first, step) => (first && first.seq < step.seq ? first : step),
    undefined,
  );
}

function landedDifference(item: InflightItem, { steps, version }: OverlayGrounds, nowMs: number): Difference[] {
  const step = landingStep(item, steps);
  if (step === undefined || version === null || step.seq > version) return [];
  return [itemDifference(item, `nothing: entry ${step.seq} (${step.status}) is in the hash`, nowMs)];
}

function isLeaked(item: InflightItem, steps: readonly TraceStep[], { nowMs, leakAfterMs }: AuditTerms): boolean {
  const ageMs = nowMs - item.createdAtMs;
  if (ageMs <= leakAfterMs && ageMs >= -CLOCK_SKEW_MAX_MS) return false;
  return landingStep(item, steps) === undefined;
}

function leakedDifference(item: InflightItem, { nowMs, leakAfterMs }: AuditTerms): Difference {
  const isFuture = item.createdAtMs > nowMs;
  const why = isFuture ? 'it comes from the future' : `it did not reach the ledger within ${leakAfterMs / 1000} s`;
  return itemDifference(item, `nothing: ${why}`, nowMs);
}

function itemDifference(item: InflightItem, expected: string, nowMs: number): Difference {
  const { traceId, phase, availableNano, createdAtMs } = item;
  return {
    field: 'inflight_item',
    found: `${itemField(traceId, phase)} of ${amountText(availableNano)}`,
    expected,
    amountNano: distance(availableNano, 0n),
    ageMs: Math.max(0, nowMs - createdAtMs),
  };
}

function sumDifferences(items: readonly InflightItem[], found: ReadonlyMap<string, string>): Difference[] {
  const expected = sumFields(sumItems(items), items.length);
  const fields = [...new Set([...expected.keys(), ...found.keys()])].sort();
  return fields
    .filter((field) => found.get(field) !== expected.get(field))
    .map((field) => sumDifference(field, found.get(field), expected.get(field)));
}

function sumDifference(field: string, found: string | undefined, expected: string | undefined): Difference {
  const isMoney = field === SUM_AVAILABLE;
  const [foundNano, expectedNano] = [found, expected].map((text) =>
    /^-?\d{1,24}$/.test(text ?? '') ? BigInt(text ?? 0) : 0n,
  );
  return {
    field: isMoney ? 'inflight_available' : 'inflight_requests',
    found: `${field} = ${found ?? 'nothing'}`,
    expected: expected ?? 'nothing',
    amountNano: isMoney ? distance(foundNano ?? 0n, expectedNano ?? 0n) : 0n,
    ageMs: null,
  };
}
