/**
 * Owns: what a soak run came to: its figures, its verdict, and how a person reads them.
 * Invariants: pure; the verdict is clean only when nothing is lost, doubled or adrift and nothing else was found wrong.
 */
import { plainTable } from '../../src/cli/plain-table.js';
import { FAULT_KINDS, type FaultKind } from './fault-plan.js';
import type { Recovery } from './recovery-watch.js';

/** The figures of a finished run; amounts are decimal strings. */
export interface ChaosReport {
  readonly seed: number;
  readonly ratePerSecond: number;
  readonly consumers: number;
  /** How long was published. */
  readonly loadMs: number;
  /** Messages planned and acknowledged. */
  readonly events: number;
  /** Batches that the publisher had to send again. */
  readonly batchesResent: number;
  readonly faultsPlanned: number;
  /** Faults that were done, in their order. */
  readonly faults: readonly FaultKind[];
  /** Faults that could not be done, and why. */
  readonly missed: readonly string[];
  readonly recoveries: readonly Recovery[];
  /** Consumers that ended without having been killed, such as for a server that was away as they started. */
  readonly endedAlone: readonly string[];
  readonly expectedTotal: string;
  readonly ledgerTotal: string;
  /** Messages without a place in a batch, and requests that should have been charged and are not. */
  readonly lost: number;
  /** Charges beyond those that there should be. */
  readonly doubled: number;
  /** What the proofs of chains, accounts and quota hashes find wrong. */
  readonly drift: number;
  readonly problems: readonly string[];
}

/** The times of some recoveries, in milliseconds. */
export interface RecoveryTimes {
  readonly recovered: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

const LISTED_MAX = 5;

/** Whether a run has proved what it was to prove. */
export function isClean({ lost, doubled, drift, problems }: ChaosReport): boolean {
  return lost === 0 && doubled === 0 && drift === 0 && problems.length === 0;
}

/** The median and the 99th percentile (nearest rank) of recoveries. */
export function recoveryTimes(recoveries: readonly Recovery[]): RecoveryTimes {
  const sorted = recoveries.map(({ ms }) => Math.round(ms)).sort((one, other) => one - other);
  const rank = (share: number): number | null => sorted[Math.ceil(sorted.length * share) - 1] ?? null;
  return { recovered: sorted.length, p50Ms: rank(0.5), p99Ms: rank(0.99) };
}

/** The report as one JSON document. */
export function chaosDocument(report: ChaosReport): object {
  const { faults, recoveries, ...figures } = report;
  return {
    format: 1,
    verdict: isClean(report) ? 'clean' : 'broken',
    ...figures,
    faultsDone: faults.length,
    recovery: recoveryTimes(recoveries),
    faultsByKind: Object.fromEntries(kindsOf(report).map(({ kind, count, times }) => [kind, { count, ...times }])),
  };
}

/** The report as a person reads it. */
export function chaosText(report: ChaosReport): string {
  const table = plainTable(['fault', 'done', 'recovered', 'p50', 'p99'], ['left', 'right', 'right', 'right', 'right']);
  const row = (name: string, count: number, { recovered, p50Ms, p99Ms }: RecoveryTimes): void =>
    void table.push([name, count, recovered, seconds(p50Ms), seconds(p99Ms)]);
  for (const { kind, count, times } of kindsOf(report)) row(kind, count, times);
  row('all', report.faults.length, recoveryTimes(report.recoveries));
  const load = `${report.events} events in ${seconds(report.loadMs)}, ${report.ratePerSecond}/s asked for`;
  return [
    `seed ${report.seed}: ${load}, ${report.consumers} consumers`,
    table.toString(),
    'a recovery ends when every partition is charged and projected again, through whatever breaks meanwhile',
    ...listed('a fault could not be done', report.missed),
    ...listed('a consumer ended by itself and was started again', report.endedAlone),
    ...listed('problem', report.problems),
    `ledger total ${report.ledgerTotal}, independent total ${report.expectedTotal}`,
    `lost ${report.lost}, doubled ${report.doubled}, drift ${report.drift}: ${isClean(report) ? 'clean' : 'BROKEN'}`,
    '',
  ].join('\n');
}

interface KindFigures {
  readonly kind: FaultKind;
  readonly count: number;
  readonly times: RecoveryTimes;
}

function kindsOf({ faults, recoveries }: ChaosReport): KindFigures[] {
  const kinds = (Object.keys(FAULT_KINDS) as FaultKind[]).filter((kind) => faults.includes(kind));
  return kinds.map((kind) => ({
    kind,
    count: faults.filter((other) => other === kind).length,
    times: recoveryTimes(recoveries.filter((recovery) => recovery.kind === kind)),
  }));
}

function listed(what: string, lines: readonly string[]): string[] {
  const more = lines.length > LISTED_MAX ? [`${what}: ${lines.length - LISTED_MAX} more`] : [];
  return [...lines.slice(0, LISTED_MAX).map((line) => `${what}: ${line}`), ...more];
}

function seconds(ms: number | null): string {
  return ms === null ? '-' : `${(ms / 1_000).toFixed(1)} s`;
}
