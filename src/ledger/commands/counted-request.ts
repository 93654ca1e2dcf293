/** Owns: whether the request of a trace is counted against the quotas, and on which day, read off its entries. */
import type { LedgerEntry } from '../entry.js';

/**
 * The UTC day (YYYY-MM-DD) on which the request of a trace is counted; undefined when it is not: never counted, or given
 * back. `trace` holds every entry of the trace by seq; what refunds gave back is not among them.
 */
export function requestOf(trace: readonly LedgerEntry[]): string | undefined {
  const net = trace.reduce((sum, { requests }) => sum + requests, 0);
  if (net <= 0) return undefined;
  return trace.findLast(({ requests }) => requests > 0)?.countedOn ?? undefined;
}
