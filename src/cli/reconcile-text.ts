/** Owns: what `tollbook reconcile` prints for people: the verdict, what was compared, and what is wrong. */
import { leftOutWords, type ProducerVerdict } from '../reconciliation/reconcile/producer-gaps.js';
import type { ReconcileReport } from '../reconciliation/reconcile/report.js';
import { visibleLine } from '../runtime/printable.js';
import type { RepairDocument } from './reconcile-repair.js';

/** Findings and repairs told one by one; the report has more. */
const LINES_MAX = 50;

const VERDICT_WORDS: Readonly<Record<ReconcileReport['verdict'], string>> = {
  equal: 'equal: every message compared is in the ledger as it must be, and nothing else is',
  different: 'different',
  incomplete: 'incomplete: nothing differs, but Kafka no longer holds everything that was asked for',
};

/** The text of a run, with its repair if there was one. */
export function reconcileText(
  report: ReconcileReport,
  { repair, afterRepair }: { readonly repair?: RepairDocument; readonly afterRepair?: ReconcileReport },
): string {
  const lines = [
    ...reportLines(report),
    ...(repair === undefined ? [] : ['', ...repairLines(repair)]),
    ...(afterRepair === undefined ? [] : ['', 'after the repair:', ...reportLines(afterRepair)]),
  ];
  return `${lines.join('\n')}\n`;
}

function reportLines(report: ReconcileReport): string[] {
  const { counts, findings, producers, digests } = report;
  const listed = findings.listed.slice(0, LINES_MAX);
  const leftOff = findings.total - listed.length;
  return [
    VERDICT_WORDS[report.verdict],
    `${counts.messages} messages of ${report.ranges.length} partitions compared: ${countWords(report)}`,
    ...(report.notChargedYet === '0' ? [] : [`${report.notChargedYet} offsets are not charged yet`]),
    ...expiredLines(report),
    producersLine(producers),
    ...listed.map(({ kind, finding, advice }) => visibleLine(`${kind}: ${finding}. ${advice}`)),
    ...(leftOff === 0 ? [] : [`… and ${leftOff} more findings`]),
    `expected ${digests.expected}`,
    `actual   ${digests.actual}`,
    `run ${report.runId}${report.signedBy === null ? '' : `, signed by ${report.signedBy}`}, report ${report.reportDigest}`,
  ];
}

const TOLD_COUNTS = [
  ['charged', 'entries'],
  ['openings', 'accounts opened'],
  ['duplicates', 'duplicates'],
  ['superseded', 'superseded'],
  ['skipped', 'skipped'],
  ['unpriced', 'unpriced'],
  ['deadLetters', 'dead letters'],
  ['repaired', 'repaired'],
  ['acceptedGap', 'in accepted losses'],
  ['missing', 'missing'],
] as const;

function countWords({ counts }: ReconcileReport): string {
  const told = TOLD_COUNTS.filter(([name]) => counts[name] > 0);
  return told.length === 0 ? 'nothing' : told.map(([name, words]) => `${counts[name]} ${words}`).join(', ');
}

function expiredLines({ ranges }: ReconcileReport): string[] {
  return ranges.flatMap(({ topic, partition, expired, expiredWhileReading }) =>
    [...(expired === null ? [] : [expired]), ...expiredWhileReading].map(
      ({ from, to }) => `offsets ${from} to ${BigInt(to) - 1n} of ${topic}/${partition} are no longer in Kafka`,
    ),
  );
}

function repairLines(repair: RepairDocument): string[] {
  const { dryRun, messages, outcomes, repairedBefore, expired, refused, leftForNextRun, told } = repair;
  const would = dryRun ? 'would be ' : '';
  const parts = [
    ...Object.entries(outcomes).map(([outcome, count]) => `${count} ${would}${outcome}`),
    ...(repairedBefore === 0 ? [] : [`${repairedBefore} repaired before`]),
    ...(expired === 0 ? [] : [`${expired} no longer in Kafka`]),
    ...(refused === 0 ? [] : [`${refused} refused`]),
  ];
  const shown = told.slice(0, LINES_MAX);
  return [
    `${dryRun ? 'the plan of the repair' : 'repaired'}: ${messages} messages: ${parts.join(', ')}${dryRun ? '; nothing written' : ''}`,
    ...shown.map((each) => `${each.position}  ${repairWords(each, would)}`),
    ...(messages > shown.length ? [`… and ${messages - shown.length} more messages`] : []),
    ...(leftForNextRun === 0 ? [] : [`${leftForNextRun} more are missing: run it again`]),
  ];
}

function repairWords({ result, outcome, entry }: RepairDocument['told'][number], would: string): string {
  if (result === 'expired') return 'no longer in Kafka: it cannot be repaired';
  if (result === 'refused') {
    return 'refused: rows of its tenant were removed, perhaps its own, and are still in the balance; see `tollbook verify`';
  }
  if (result === 'repairedBefore') return 'was repaired before';
  const became =
    entry === undefined ? '' : ` as ${entry.tenantId}#${entry.seq} ${entry.status} ${entry.amount} ${entry.currency}`;
  return `${would}${outcome ?? ''}${became}`;
}

function producersLine(producers: ProducerVerdict): string {
  if (!producers.judged) return `producers: not judged, ${producers.why}`;
  const { gaps, accepted, until, leftOut } = producers;
  const missing = accepted === 0 ? 'no number is missing' : 'no number is missing that was not accepted as lost';
  const words = accepted === 0 ? '' : `; accepted as lost: ${accepted}`;
  return `producers: ${gaps === 0 ? missing : `${gaps} gaps`} before ${until}${words}${leftOutWords(leftOut)}`;
}
