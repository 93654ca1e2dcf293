/**
 * Owns: the report of a reconciliation, as one document for machines.
 * Does not own: the same for people (report-markdown.ts).
 * Invariants: offsets are decimal strings; the report names the digest of itself, so that a copy can be told from a
 * forgery by the run that the ledger has recorded; equal digests of both sides mean that nothing differs.
 */
import { hash } from 'node:crypto';
import type { OffsetRange } from '../topic/partition-reader.js';
import type { Finding, FindingKind } from './findings.js';
import type { FrozenRange } from './frozen-ranges.js';
import type { ProducerVerdict } from './producer-gaps.js';
import { type ReconcileResult, requestText } from './reconcile.js';
import { findingsOf, type OutcomeCounts, type RangeState } from './run-state.js';

/** Offsets of a report: from, up to, not including, to. */
export interface TextRange {
  readonly from: string;
  readonly to: string;
}

/** One partition in a report. */
export interface RangeReport extends TextRange {
  readonly topic: string;
  readonly partition: number;
  readonly log: TextRange;
  readonly cursor: string | null;
  readonly expired: TextRange | null;
  readonly expiredWhileReading: readonly TextRange[];
  readonly lost: TextRange | null;
  readonly notChargedYet: TextRange | null;
  readonly counts: Readonly<OutcomeCounts>;
  readonly digests: SideDigests;
}

/** SHA-256 of what the messages must have become, and of what the ledger has. */
export interface SideDigests {
  readonly expected: string;
  readonly actual: string;
}

/** The report of a run. */
export interface ReconcileReport {
  readonly format: 1;
  readonly tool: string;
  readonly runId: string;
  /** Who signed it; null when nobody did. */
  readonly signedBy: string | null;
  readonly cluster: string;
  readonly request: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly verdict: ReconcileResult['verdict'];
  readonly ranges: readonly RangeReport[];
  readonly counts: Readonly<OutcomeCounts>;
  /** Offsets that are asked for and beyond the cursors. */
  readonly notChargedYet: string;
  readonly takenAsRecorded: Readonly<Record<string, number>>;
  readonly producers: ProducerVerdict;
  readonly findings: {
    readonly total: number;
    readonly byKind: Readonly<Record<FindingKind, number>>;
    readonly listed: readonly Finding[];
    readonly leftOff: number;
  };
  readonly digests: SideDigests;
  /** SHA-256 of the JSON text of this document without this field. */
  readonly reportDigest: string;
}

/** What names a report. */
export interface ReportIdentity {
  readonly runId: string;
  readonly version: string;
  readonly signedBy: string | null;
}

/** Makes the report of a run. */
export function reportOf(result: ReconcileResult, { runId, version, signedBy }: ReportIdentity): ReconcileReport {
  const { state, clusterId, request, finishedAt, verdict, producers } = result;
  const ranges = state.ranges.map(rangeReport);
  const total = findingsOf(state);
  const document = {
    ...{ format: 1 as const, tool: `tollbook ${version} reconcile`, runId, signedBy, cluster: clusterId },
    ...{ request: requestText(request), startedAt: state.startedAt, finishedAt, verdict, ranges },
    counts: totals(state.ranges),
    notChargedYet: lengthOf(state.ranges.map(({ range }) => range.notChargedYet)).toString(),
    ...{ takenAsRecorded: state.taken, producers },
    findings: { total, byKind: state.findingCounts, listed: state.findings, leftOff: total - state.findings.length },
    digests: overallDigests(ranges),
  };
  return { ...document, reportDigest: hash('sha256', JSON.stringify(document), 'hex') };
}

function rangeReport({ range, counts, expired, expectedDigest, actualDigest }: RangeState): RangeReport {
  const { source, from, to, logStart, logEnd, cursor } = range;
  return {
    ...source,
    ...textOf({ from, to }),
    log: textOf({ from: logStart, to: logEnd }),
    cursor: cursor === null ? null : cursor.toString(),
    ...outsideOf(range),
    expiredWhileReading: expired.map(textOf),
    counts,
    digests: { expected: expectedDigest, actual: actualDigest },
  };
}

function outsideOf({ expired, lost, notChargedYet }: FrozenRange): {
  expired: TextRange | null;
  lost: TextRange | null;
  notChargedYet: TextRange | null;
} {
  const text = (range: OffsetRange | null): TextRange | null => (range === null ? null : textOf(range));
  return { expired: text(expired), lost: text(lost), notChargedYet: text(notChargedYet) };
}

function textOf({ from, to }: OffsetRange): TextRange {
  return { from: from.toString(), to: to.toString() };
}

function lengthOf(ranges: readonly (OffsetRange | null)[]): bigint {
  return ranges.reduce((sum, range) => sum + (range === null ? 0n : range.to - range.from), 0n);
}

/** The sums over some ranges. */
function totals(ranges: readonly RangeState[]): OutcomeCounts {
  const [first, ...others] = ranges.map(({ counts }) => counts);
  const sums = { ...(first ?? ({} as OutcomeCounts)) };
  for (const counts of others) {
    for (const name of Object.keys(sums) as (keyof OutcomeCounts)[]) sums[name] += counts[name];
  }
  return sums;
}

/** One digest a side, over the ranges and their digests. */
function overallDigests(ranges: readonly RangeReport[]): SideDigests {
  const over = (side: keyof SideDigests): string => {
    const lines = ranges.map(({ topic, partition, from, to, digests }) =>
      [topic, partition, from, to, digests[side]].join('\t'),
    );
    return hash('sha256', lines.join('\n'), 'hex');
  };
  return { expected: over('expected'), actual: over('actual') };
}
