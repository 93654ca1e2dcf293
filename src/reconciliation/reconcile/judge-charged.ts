/**
 * Owns: the judgement of a message with usage entries at its position: one of them is its own, and right in every field;
 * any other is one too many.
 * Does not own: the check of the fields (entry-check.ts).
 */
import { parseAmount } from '../../ledger/money.js';
import type { EventPricing } from '../../ledger/events.js';
import { NO_TRACE, type TraceState } from '../../ledger/trace.js';
import { checkEntry, type EntryCheck } from './entry-check.js';
import { columnOf, type EntryLine } from './entry-lines.js';
import { type Chargeable, type Expectation, isChargeable, lastBefore, stateAfterEntry } from './expectation.js';
import { differentEntry, entryName, extraEntry } from './findings.js';
import { asExpected, type Case, type JudgePorts, type Judgement, lineOf, outcomeWords } from './judgement.js';

/** Judges a message by its entries, of which there is at least one. */
export function judgeCharged(ports: JudgePorts, subject: Case, usage: readonly EntryLine[]): Judgement {
  const { item } = subject;
  if (!isChargeable(item)) {
    const outcome: Expectation =
      item.kind === 'deadLetter'
        ? { kind: 'deadLetter', reason: item.letter.reason }
        : { kind: 'skipped', reason: item.reason };
    return notChargeable(subject, usage, outcome);
  }
  const own = usage.find((line) => isOf(line, item));
  const main = own ?? usage[0];
  if (main === undefined) return { expected: '', actual: '', countedAs: undefined, findings: [] };
  const judged = judgeMain(subject, main, check(ports, subject, { item, main, isOwn: own !== undefined }));
  return usage.length === 1 ? judged : withExtras(judged, main, usage);
}

/** Whether an entry stands under the trace of a message. */
export function isOf(line: EntryLine, { tenantId, event }: Chargeable): boolean {
  return line.traceId === event.traceId && line.tenantId === tenantId;
}

/** Whether what a line tells of the step before it is enough to decide by; else the whole trace must be looked up. */
export function tellsEnough({ prior }: EntryLine): boolean {
  return prior?.status !== 'COMMITTED' && prior?.status !== 'FAILED';
}

function notChargeable(subject: Case, usage: readonly EntryLine[], outcome: Expectation): Judgement {
  const offset = subject.message.kafkaOffset;
  const why = `its message must have become ${outcomeWords(outcome)}`;
  return {
    expected: lineOf(offset, outcome),
    actual: `${offset}\tcharged\t${textOf(usage)}`,
    countedAs: undefined,
    findings: usage.map((line) => extraEntry(line, why)),
  };
}

function check(
  ports: JudgePorts,
  { place, facts }: Case,
  { item, main, isOwn }: { item: Chargeable; main: EntryLine; isOwn: boolean },
): EntryCheck {
  const { source, kafkaOffset } = place;
  const last = facts.isComplete ? lastBefore(facts.trace, place) : undefined;
  const lookedUp = last === undefined ? NO_TRACE : stateAfterEntry(last.entry);
  return checkEntry(main, {
    event: item.event,
    pricing: pricingOf(ports, item, main),
    source: { ...source, kafkaOffset },
    state: isOwn && !facts.isComplete ? stateOfPrior(main) : lookedUp,
    settings: ports.settings,
    onTaken: ports.onTaken,
  });
}

function stateOfPrior({ prior }: EntryLine): TraceState {
  if (prior === undefined) return NO_TRACE;
  const { status, held, countedOn } = prior;
  switch (status) {
    case 'PENDING':
      return { status, heldNano: parseAmount(held), countedOn };
    case 'REFUSED':
    case 'EXPIRED':
    case 'VOIDED':
      return { status };
    case 'COMMITTED':
    case 'FAILED':
      return NO_TRACE;
  }
}

/** What the event carries; else what the price book says that the entry names. */
function pricingOf({ quoteOf }: JudgePorts, item: Chargeable, main: EntryLine): EventPricing {
  if (item.kind === 'billable') return item.pricing;
  const priceVersion = columnOf(main, 'price_version');
  const quote = priceVersion === null ? undefined : quoteOf(priceVersion, item);
  return quote ?? { currency: columnOf(main, 'currency') ?? '' };
}

function judgeMain({ place }: Case, main: EntryLine, checked: EntryCheck): Judgement {
  const offset = place.kafkaOffset;
  const actual = `${offset}\tcharged\t${main.text}`;
  switch (checked.kind) {
    case 'equal':
      return asExpected(actual, 'charged');
    case 'different': {
      const expected = `${offset}\tcharged\t${checked.expectedText}`;
      return { expected, actual, countedAs: 'charged', findings: [differentEntry(main, checked.fields)] };
    }
    case 'noEntry': {
      const why = `by what its trace had come to, its message is ${noEntryWords(checked.decision.kind)}`;
      const expected = `${offset}\t${checked.decision.kind}`;
      return { expected, actual, countedAs: 'charged', findings: [extraEntry(main, why)] };
    }
  }
}

function noEntryWords(kind: (EntryCheck & { kind: 'noEntry' })['decision']['kind']): string {
  switch (kind) {
    case 'duplicate':
      return 'a duplicate';
    case 'superseded':
      return 'superseded';
    case 'conflict':
      return 'in conflict with the charge';
    case 'unpriced':
      return 'without a price';
    case 'outOfRange':
      return 'out of range';
  }
}

function withExtras(judged: Judgement, main: EntryLine, usage: readonly EntryLine[]): Judgement {
  const others = usage.filter((line) => line !== main);
  const why = `the message there is charged by entry ${entryName(main)}`;
  return {
    ...judged,
    actual: `${judged.actual}\t${textOf(others)}`,
    findings: [...judged.findings, ...others.map((line) => extraEntry(line, why))],
  };
}

function textOf(lines: readonly EntryLine[]): string {
  return lines.map(({ text }) => text).join('\t');
}
