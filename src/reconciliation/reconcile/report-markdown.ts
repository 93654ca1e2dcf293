/** Owns: the report of a reconciliation for people, as Markdown; it says what the document says (report.ts). */
import { ownValue } from '../../runtime/name-map.js';
import { FINDING_KINDS } from './findings.js';
import { leftOutWords, type ProducerVerdict } from './producer-gaps.js';
import type { RangeReport, ReconcileReport, TextRange } from './report.js';
import type { OutcomeCounts } from './run-state.js';

const VERDICT_WORDS: Readonly<Record<ReconcileReport['verdict'], string>> = {
  equal: '**equal**: every message compared is in the ledger as it must be, and nothing else is',
  different: '**different**: see the findings',
  incomplete: '**incomplete**: nothing differs, but Kafka no longer holds everything that was asked for',
};

/** The report as Markdown. */
export function reportMarkdown(report: ReconcileReport): string {
  return `${[
    '# Reconciliation of the ledger with its topics',
    `Verdict: ${VERDICT_WORDS[report.verdict]}.`,
    factsTable(report),
    '## What was compared',
    rangesTable(report.ranges),
    ...outsideParts(report.ranges),
    '## What the messages came to',
    countsTable(report),
    ...takenPart(report.takenAsRecorded),
    '## Numbers of the producers',
    producersSentence(report.producers),
    '## Findings',
    findingsPart(report),
    '## Digests',
    'SHA-256 over what every message must have become, and over what the ledger has. They are equal exactly when nothing differs.',
    table(['side', 'SHA-256'], Object.entries(report.digests)),
    `Digest of the JSON report: \`${report.reportDigest}\``,
  ].join('\n\n')}\n`;
}

function factsTable(report: ReconcileReport): string {
  return table(
    ['', ''],
    [
      ['run', report.runId],
      ['signed by', report.signedBy ?? 'nobody'],
      ['made by', report.tool],
      ['Kafka cluster', report.cluster],
      ['asked for', report.request],
      ['ranges frozen at', report.startedAt],
      ['finished at', report.finishedAt],
      ['messages compared', String(report.counts.messages)],
      ['not charged yet', report.notChargedYet],
      ['findings', String(report.findings.total)],
    ],
  );
}

function rangesTable(ranges: readonly RangeReport[]): string {
  const rows = ranges.map(({ topic, partition, from, to, counts, digests }) => [
    ...[`${topic}/${partition}`, from, to, String(counts.messages)],
    ...[digests.expected.slice(0, 16), digests.actual.slice(0, 16)],
  ]);
  return table(['partition', 'from', 'up to', 'messages', 'expected', 'actual'], rows);
}

function outsideParts(ranges: readonly RangeReport[]): string[] {
  const rows = ranges.flatMap(({ topic, partition, expired, expiredWhileReading, lost, notChargedYet }) => {
    const name = `${topic}/${partition}`;
    const all: [string, TextRange | null][] = [
      ['no longer in Kafka', expired],
      ...expiredWhileReading.map((range): [string, TextRange] => ['removed from Kafka while it was read', range]),
      ['removed from Kafka before it was charged', lost],
      ['not charged yet', notChargedYet],
    ];
    return all.flatMap(([why, range]) => (range === null ? [] : [[name, range.from, range.to, why]]));
  });
  return rows.length === 0 ? [] : ['Outside of the comparison:', table(['partition', 'from', 'up to', 'why'], rows)];
}

const COUNT_WORDS: Readonly<Record<keyof OutcomeCounts, string>> = {
  messages: 'messages',
  charged: 'entries of usage',
  openings: 'accounts opened',
  duplicates: 'duplicates',
  superseded: 'superseded',
  skipped: 'skipped, not billable',
  unpriced: 'parked for want of a price',
  deadLetters: 'dead letters',
  repaired: 'repaired',
  acceptedGap: 'in a loss that an operator accepted',
  missing: 'missing',
};

function countsTable({ counts }: ReconcileReport): string {
  const names = Object.keys(COUNT_WORDS) as (keyof OutcomeCounts)[];
  return table(
    ['', 'count'],
    names.map((name) => [COUNT_WORDS[name], String(counts[name])]),
  );
}

const TAKEN_WORDS: Readonly<Record<string, string>> = {
  refusals: 'refusals: what was available, or used, just then only whoever refused knew',
  estimateLimits: 'estimates bounded by another setting than today',
  openingTerms: 'terms that accounts were opened with',
  eventTimes: 'events too old, or in the future, at that time',
  eventSizes: 'messages too large for the limit of that time',
  priceBooks: 'events without pricing, skipped because no price book was set or had no price',
  bounds: 'dead letters by a bound on forged events, such as the largest cost of one, as it was set then',
  processingFailures: 'dead letters of messages that could not be charged for an error of that release',
  redrivenOrDiscarded: 'dead letters that were redriven or discarded since, and would be none today',
};

function takenPart(taken: Readonly<Record<string, number>>): string[] {
  const rows = Object.entries(taken).map(([what, count]) => [ownValue(TAKEN_WORDS, what) ?? what, String(count)]);
  return rows.length === 0
    ? []
    : ['Taken as the ledger recorded it, because no message tells:', table(['what', 'count'], rows)];
}

function producersSentence(producers: ProducerVerdict): string {
  if (!producers.judged) return `Not judged: ${producers.why}.`;
  const { gaps, accepted, until, leftOut } = producers;
  const left = `${accepted === 0 ? '' : `; accepted as lost: ${accepted} events`}${leftOutWords(leftOut)}`;
  if (gaps > 0) return `${gaps} gaps: events that a gateway numbered before ${until} are in no topic${left}.`;
  return accepted === 0
    ? `Every number that a gateway gave before ${until} is in a topic: nothing was lost before Kafka${left}.`
    : `No gap but what was accepted, among the numbers that gateways gave before ${until}${left}.`;
}

function findingsPart({ findings }: ReconcileReport): string {
  if (findings.total === 0) return 'None.';
  const counts = FINDING_KINDS.filter((kind) => findings.byKind[kind] > 0).map((kind) => [
    kind,
    String(findings.byKind[kind]),
  ]);
  const lines = findings.listed.map(({ kind, finding, advice }) => `- **${kind}**: ${finding}. ${capital(advice)}.`);
  const rest = findings.leftOff === 0 ? [] : [`- … and ${findings.leftOff} more`];
  return [table(['kind', 'count'], counts), [...lines, ...rest].join('\n')].join('\n\n');
}

function capital(sentence: string): string {
  return sentence.slice(0, 1).toUpperCase() + sentence.slice(1);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeCell).join(' | ')} |`;
  return [line(head), `| ${head.map(() => '---').join(' | ')} |`, ...rows.map(line)].join('\n');
}

function escapeCell(text: string): string {
  return text.replaceAll('|', String.raw`\|`);
}
