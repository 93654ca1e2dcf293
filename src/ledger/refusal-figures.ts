/**
 * Owns: the figures that a refused entry records of its refusal, or a charge of the quota it exceeds; and reading them back.
 * Does not own: the rule (quota-rule.ts), nor whether recorded figures are right (reconciliation/verify-refusals.ts).
 * Invariants: pure. The figures explain the refusal without a look elsewhere: what was in flight is named where it counted,
 * and what is available is balance_before + credit limit - held_before + in_flight.
 */
import { unreachable } from '../runtime/errors.js';
import { type AmountNano, formatAmount } from './money.js';
import type { QuotaExceeded, QuotaRefusal } from './quota-rule.js';

/** The figures of a refusal as an entry records them: amounts in decimal, requests as counts. */
export function refusalFigures(refusal: QuotaRefusal): Readonly<Record<string, string>> {
  switch (refusal.code) {
    case 'INSUFFICIENT_BALANCE': {
      const { availableNano, inFlightNano, requiredNano } = refusal;
      const figures = { available: decimal(availableNano), required: decimal(requiredNano) };
      return inFlightNano === undefined ? figures : { ...figures, in_flight: decimal(inFlightNano) };
    }
    case 'DAILY_QUOTA_EXCEEDED':
    case 'MONTHLY_QUOTA_EXCEEDED': {
      const { inFlight } = refusal;
      const figures = { limit: String(refusal.limit), used: String(refusal.used) };
      return inFlight === undefined ? figures : { ...figures, in_flight: String(inFlight) };
    }
    default:
      return unreachable(refusal);
  }
}

/** The figures of a quota that a charge exceeds, as its entry records them: the code stands beside them. */
export function exceededFigures(exceeded: QuotaExceeded): Readonly<Record<string, string>> {
  return { exceeded: exceeded.code, ...refusalFigures(exceeded) };
}

/** Reads the quota that a charge records to exceed; undefined when it records none, or figures that no quota has. */
export function recordedExceeded(detail: Readonly<Record<string, string>> | null): QuotaExceeded | undefined {
  const recorded = recordedRefusal(detail?.['exceeded'] ?? null, detail);
  return recorded?.code === 'INSUFFICIENT_BALANCE' ? undefined : recorded;
}

/** Reads the refusal that an entry records; undefined when it records none, or figures that no refusal has. */
export function recordedRefusal(
  description: string | null,
  detail: Readonly<Record<string, string>> | null,
): QuotaRefusal | undefined {
  if (detail === null) return undefined;
  const { required, available, limit: limitText, used: usedText, in_flight: inFlightText } = detail;
  if (description === 'INSUFFICIENT_BALANCE') {
    const [requiredNano, availableNano, inFlightNano] = [required, available, inFlightText].map(nanoOf);
    if (requiredNano === undefined || availableNano === undefined) return undefined;
    const figures = { code: description, requiredNano, availableNano } as const;
    return inFlightNano === undefined ? figures : { ...figures, inFlightNano };
  }
  if (description !== 'DAILY_QUOTA_EXCEEDED' && description !== 'MONTHLY_QUOTA_EXCEEDED') return undefined;
  const [limit, used, inFlight] = [limitText, usedText, inFlightText].map(countOf);
  if (limit === undefined || used === undefined) return undefined;
  return inFlight === undefined ? { code: description, limit, used } : { code: description, limit, used, inFlight };
}

function decimal(nano: bigint): string {
  return formatAmount(nano as AmountNano);
}

/** What is available may be beyond the range of amounts: it is a sum of three. */
function nanoOf(text: string | undefined): bigint | undefined {
  return text !== undefined && /^-?\d{1,11}\.\d{9}$/.test(text) ? BigInt(text.replace('.', '')) : undefined;
}

function countOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
