/**
 * Owns: the judgement of one message: which record of the ledger explains it, and whether that is right.
 * Does not own: reading either side (window-loader.ts), nor what a batch counts (judge-window.ts).
 * Invariants: every message has exactly one explanation, or a finding; a repair explains a message at the place that the
 * repair gave it, not at its own.
 */
import { OPENING_TRACE_ID } from '../../ledger/charge.js';
import { checkOpening } from './entry-check.js';
import { type EntryLine, lineOfStored } from './entry-lines.js';
import { isChargeable } from './expectation.js';
import { differentEntry, differentOutcome, extraEntry, type Finding } from './findings.js';
import { judgeCharged } from './judge-charged.js';
import { expectedAt, judgeLetter, judgeSkipped, judgeUnrecorded, missing } from './judge-set-aside.js';
import {
  asExpected,
  type Case,
  type JudgePorts,
  type Judgement,
  lineOf,
  messageFacts,
  outcomeWords,
} from './judgement.js';
import type { RecordedRepair } from './recorded-rows.js';

/** Judges a message. */
export function judge(ports: JudgePorts, subject: Case): Judgement {
  const { entries } = subject.there;
  if (!entries.some(isOpening)) return judgeRecorded(ports, subject, entries);
  const openings = entries.filter(isOpening);
  const judged = judgeRecorded(
    ports,
    subject,
    entries.filter((line) => !isOpening(line)),
  );
  return openings.reduce((sofar, opening) => withOpening(sofar, opening, { ports, subject }), judged);
}

/** Whether an entry is one that opened an account. */
export function isOpening(line: EntryLine): boolean {
  return line.traceId === OPENING_TRACE_ID;
}

function judgeRecorded(ports: JudgePorts, subject: Case, usage: readonly EntryLine[]): Judgement {
  const { repair, letter, skip } = subject.there;
  if (repair !== undefined) return alongside(usage, judgeRepaired(ports, subject, repair));
  if (letter !== undefined) return alongside(usage, judgeClosed(ports, subject, judgeLetter(ports, subject, letter)));
  if (skip !== undefined) return alongside(usage, judgeSkipped(ports, subject, skip));
  return usage.length === 0 ? judgeUnrecorded(ports, subject) : judgeCharged(ports, subject, usage);
}

/** Entries beside another record of the same message. */
function alongside(usage: readonly EntryLine[], judged: Judgement): Judgement {
  if (usage.length === 0) return judged;
  const extras = usage.map((line) => extraEntry(line, 'the ledger has recorded its message in another way'));
  return {
    ...judged,
    actual: `${judged.actual}\t${usage.map(({ text }) => text).join('\t')}`,
    findings: [...judged.findings, ...extras],
  };
}

function withOpening(
  judged: Judgement,
  opening: EntryLine,
  { ports, subject }: { ports: JudgePorts; subject: Case },
): Judgement {
  const findings = openingFindings(opening, { ports, subject });
  const actual = `${judged.actual}\topened\t${opening.text}`;
  if (findings.length === 0) return { ...judged, expected: `${judged.expected}\topened\t${opening.text}`, actual };
  return { ...judged, actual, findings: [...judged.findings, ...findings] };
}

function openingFindings(opening: EntryLine, { ports, subject }: { ports: JudgePorts; subject: Case }): Finding[] {
  const { item, place } = subject;
  if (!isChargeable(item) || opening.tenantId !== item.tenantId) {
    return [extraEntry(opening, 'its message opens no account of that tenant')];
  }
  const source = { ...place.source, kafkaOffset: place.kafkaOffset };
  const checked = checkOpening(opening, {
    event: item.event,
    source,
    tenantId: item.tenantId,
    onTaken: ports.onTaken,
  });
  return checked.kind === 'different' ? [differentEntry(opening, checked.fields)] : [];
}

/** A repair recorded the message later and elsewhere: it is judged at the place it was given there. */
function judgeRepaired(ports: JudgePorts, subject: Case, repair: RecordedRepair): Judgement {
  const { repairedAs, batchId } = repair;
  const moved: Case = {
    ...subject,
    place: { ...repairedAs, batchId },
    there: { ...subject.there, repair: undefined },
  };
  const judged = judgeAtRepair(ports, moved, repair);
  // What a repair recorded belongs to no count of the batch that passed the message.
  return {
    ...judged,
    expected: `repaired\t${judged.expected}`,
    actual: `repaired\t${judged.actual}`,
    countedAs: undefined,
  };
}

/** A dead letter that was redriven: what it came to is judged as well, at the place that the redrive gave it. */
function judgeClosed(ports: JudgePorts, subject: Case, judged: Judgement): Judgement {
  const { redrive } = subject.there;
  if (redrive === undefined) return judged;
  const { repairedAs, batchId, outcome } = redrive;
  const place = { ...repairedAs, batchId };
  const redriven = judgeAtRepair(ports, { ...(subject.amended ?? subject), place }, redrive);
  // What a redrive charged is never missing from the topic's side: no repair sends a dead letter again.
  const lacks = redriven.findings.some(({ kind }) => kind === 'missing');
  const words = { expected: `a dead letter that was redriven and ${outcome}`, found: 'one without its entry' };
  return {
    ...judged,
    expected: `${judged.expected}\tredriven\t${redriven.expected}`,
    actual: `${judged.actual}\tredriven\t${redriven.actual}`,
    findings: [...judged.findings, ...(lacks ? [differentOutcome(messageFacts(subject), words)] : redriven.findings)],
  };
}

function judgeAtRepair(ports: JudgePorts, moved: Case, { outcome }: RecordedRepair): Judgement {
  const { letter } = moved.there;
  if (outcome === 'deadLetter') {
    return letter === undefined ? missing(moved, expectedAt(ports, moved)) : judgeLetter(ports, moved, letter);
  }
  if (outcome === 'charged') return judgeRepairedCharge(ports, moved);
  const expectation = expectedAt(ports, moved);
  if (expectation.kind === outcome) return asExpected(lineOf(moved.place.kafkaOffset, expectation), undefined);
  return {
    expected: lineOf(moved.place.kafkaOffset, expectation),
    actual: `${moved.place.kafkaOffset}\t${outcome}`,
    countedAs: undefined,
    findings: [differentOutcome(messageFacts(moved), { expected: outcomeWords(expectation), found: outcome })],
  };
}

function judgeRepairedCharge(ports: JudgePorts, moved: Case): Judgement {
  const { source, kafkaOffset } = moved.place;
  const stored = moved.facts.trace.find(
    ({ entry }) =>
      entry.source.topic === source.topic &&
      entry.source.partition === source.partition &&
      entry.source.kafkaOffset === kafkaOffset,
  );
  if (stored === undefined) return missing(moved, expectedAt(ports, moved));
  return judgeCharged(ports, moved, [lineOfStored(stored)]);
}
