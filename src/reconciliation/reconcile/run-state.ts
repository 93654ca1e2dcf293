/**
 * Owns: how far a reconciliation has come and what it has found so far: all that a report is made of, and all that is
 * needed to go on after an interruption.
 * Does not own: the judgement; the file it is kept in (checkpoint.ts).
 * Invariants: bounded whatever the size of the topics: findings are listed up to a bound and counted beyond it; the
 * digests are chained by sealed batch, so that they can be continued, and do not depend on where a run was cut.
 */
import { hash } from 'node:crypto';
import type { BatchCounts } from '../../ledger/batch.js';
import type { OffsetRange } from '../topic/partition-reader.js';
import type { TakenAsRecorded } from './entry-check.js';
import type { EntryLine } from './entry-lines.js';
import { type Finding, FINDING_KINDS, type FindingKind } from './findings.js';
import type { FrozenRange } from './frozen-ranges.js';

/** What became of the messages of a range. */
export type OutcomeCounts = Record<keyof BatchCounts | 'messages' | 'repaired' | 'acceptedGap' | 'missing', number>;

/** How far one range has been compared. */
export interface RangeState {
  readonly range: FrozenRange;
  position: bigint;
  readonly counts: OutcomeCounts;
  /** Offsets that Kafka removed while the run was reading. */
  readonly expired: OffsetRange[];
  /** Chained SHA-256 of the lines of both sides, as 64 hexadecimal digits. */
  expectedDigest: string;
  actualDigest: string;
}

/** A message to repair: where it is, when the batch that passed it was sealed, and where in the order of all. */
export interface Repairable {
  /** Index of its range. */
  readonly range: number;
  readonly kafkaOffset: bigint;
  readonly sealedAt: string | null;
}

/** The state of a run. */
export interface RunState {
  readonly startedAt: string;
  readonly ranges: readonly RangeState[];
  /** The last batch id that has been walked. */
  after: number;
  readonly through: number;
  readonly findings: Finding[];
  readonly findingCounts: Record<FindingKind, number>;
  readonly taken: Partial<Record<TakenAsRecorded, number>>;
  readonly repairable: Repairable[];
  /** More than could be kept: repair, then run again. */
  repairableLeftOff: number;
  /** Entries whose offsets have not been walked yet: their batch is not where they are. */
  stray: EntryLine[];
}

/** Findings told one by one; the others are counted. */
export const FINDINGS_LISTED_MAX = 1_000;
/** About 100 bytes each. */
export const REPAIRABLE_MAX = 200_000;

/** The digest before the first line: 64 zeros. */
export const DIGEST_GENESIS = '0'.repeat(64);

/** A run that has not begun. */
export function newRun(
  ranges: readonly FrozenRange[],
  { startedAt, after, through }: Pick<RunState, 'startedAt' | 'after' | 'through'>,
): RunState {
  return {
    startedAt,
    ranges: ranges.map((range) => ({
      range,
      position: range.from,
      counts: noCounts(),
      expired: [],
      expectedDigest: DIGEST_GENESIS,
      actualDigest: DIGEST_GENESIS,
    })),
    ...{ after, through },
    findings: [],
    findingCounts: Object.fromEntries(FINDING_KINDS.map((kind) => [kind, 0])) as Record<FindingKind, number>,
    taken: {},
    repairable: [],
    repairableLeftOff: 0,
    stray: [],
  };
}

function noCounts(): OutcomeCounts {
  return {
    ...{ messages: 0, charged: 0, openings: 0, duplicates: 0, superseded: 0, skipped: 0, unpriced: 0 },
    ...{ deadLetters: 0, repaired: 0, acceptedGap: 0, missing: 0 },
  };
}

/** Notes a finding. */
export function noteFinding(state: RunState, finding: Finding): void {
  state.findingCounts[finding.kind] += 1;
  if (state.findings.length < FINDINGS_LISTED_MAX) state.findings.push(finding);
}

/** Notes a message that a repair can send. */
export function noteRepairable(state: RunState, repairable: Repairable): void {
  if (state.repairable.length < REPAIRABLE_MAX) state.repairable.push(repairable);
  else state.repairableLeftOff += 1;
}

/** Notes that the ledger's word was taken. */
export function noteTaken(state: RunState, what: TakenAsRecorded): void {
  state.taken[what] = (state.taken[what] ?? 0) + 1;
}

/** How many things were found wrong. */
export function findingsOf({ findingCounts }: Pick<RunState, 'findingCounts'>): number {
  return Object.values(findingCounts).reduce((sum, count) => sum + count, 0);
}

/** The digest of a chain with the lines of one more segment. */
export function chained(digest: string, lines: readonly string[]): string {
  return hash('sha256', `${digest}\n${lines.join('\n')}`, 'hex');
}
