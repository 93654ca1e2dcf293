/**
 * Owns: the judgement of messages without an entry: dead letters, skipped events, parked completions, duplicates, and
 * those of which there is nothing.
 * Invariants: the bytes of a dead letter are compared, and its reason is found again, but where it depended on the time
 * or on a setting of then; a duplicate or a superseded event leaves no trace but the count of its batch.
 */
import { NOT_BILLABLE } from '../../consumers/intake.js';
import type { IntakeItem } from '../../consumers/intake.js';
import { createHash } from 'node:crypto';
import type { DeadLetterReason } from '../../ledger/dead-letter.js';
import { type Expectation, expectationOf, UNPRICED_ESTIMATE } from './expectation.js';
import { differentOutcome, missingMessage } from './findings.js';
import {
  asExpected,
  type Case,
  type CountedAs,
  type JudgePorts,
  type Judgement,
  lineOf,
  messageFacts,
  outcomeWords,
} from './judgement.js';
import type { RecordedLetter, RecordedSkip } from './recorded-rows.js';

/** What a message must have become at its place, by everything that was looked up. */
export function expectedAt({ settings }: JudgePorts, { item, place, facts }: Case): Expectation {
  return expectationOf(item, { place, facts, settings });
}

/** Judges a message of which the ledger has a dead letter. */
export function judgeLetter(ports: JudgePorts, subject: Case, letter: RecordedLetter): Judgement {
  const { message, place } = subject;
  const bytes = `${digestOf(message.value)}\t${digestOf(message.key)}`;
  const recordedBytes = `${letter.valueDigest ?? '-'}\t${letter.keyDigest ?? '-'}`;
  const reason = reasonOf(ports, subject, letter);
  const actual = `${lineOf(place.kafkaOffset, letterOf(letter.reason))}\t${recordedBytes}`;
  if (reason === letter.reason && bytes === recordedBytes) return asExpected(actual, 'deadLetters');
  const expectation = reason === letter.reason ? letterOf(reason) : expectedAt(ports, subject);
  const found = `${outcomeWords(letterOf(letter.reason))}${bytes === recordedBytes ? '' : ' with other bytes'}`;
  return {
    expected: `${lineOf(place.kafkaOffset, expectation)}\t${bytes}`,
    actual,
    countedAs: 'deadLetters',
    findings: [differentOutcome(messageFacts(subject), { expected: outcomeWords(expectation), found })],
  };
}

function letterOf(reason: DeadLetterReason): Expectation {
  return { kind: 'deadLetter', reason };
}

function digestOf(bytes: Buffer | null): string {
  return bytes === null ? '-' : createHash('sha256').update(bytes).digest('hex');
}

/** The reason found again, or the recorded one where it cannot be; undefined: the message is no dead letter. */
function reasonOf(ports: JudgePorts, subject: Case, letter: RecordedLetter): DeadLetterReason | undefined {
  const found = refoundReason(ports, subject, letter);
  if (found === letter.reason || letter.state === 'open') return found;
  // What became readable, or acceptable, since then was redriven; what was discarded is closed for good.
  ports.onTaken('redrivenOrDiscarded');
  return letter.reason;
}

function refoundReason(
  ports: JudgePorts,
  subject: Case,
  { reason, detail }: RecordedLetter,
): DeadLetterReason | undefined {
  const { message, item, sealedAt } = subject;
  switch (reason) {
    case 'MESSAGE_TOO_LARGE':
      ports.onTaken('eventSizes');
      return detail.includes(`has ${message.value?.length ?? 0} bytes`) ? reason : undefined;
    case 'OCCURRED_AT_IN_FUTURE':
    case 'OCCURRED_AT_TOO_OLD': {
      if (item.kind === 'deadLetter' || sealedAt === undefined) return undefined;
      ports.onTaken('eventTimes');
      return item.event.occurredAt > sealedAt === (reason === 'OCCURRED_AT_IN_FUTURE') ? reason : undefined;
    }
    case 'AMOUNT_OUT_OF_RANGE': {
      // The cost alone is too large, or the balance after it would be: that depends on the account of then.
      const expectation = expectedAt(ports, subject);
      return expectation.kind === 'entry' ? reason : reasonIn(expectation);
    }
    case 'KEY_NOT_TENANT':
    case 'PRODUCER_NOT_ALLOWED':
    case 'UNKNOWN_TENANT':
    case 'COST_TOO_LARGE':
      ports.onTaken('bounds');
      return reason;
    case 'PROCESSING_FAILED':
      // What threw then may be mended since: nothing but the record tells.
      ports.onTaken('processingFailures');
      return reason;
    case 'UNREADABLE_BATCH':
    case 'TOO_MANY_HEADERS':
    case 'EMPTY_MESSAGE':
    case 'INVALID_UTF8':
    case 'INVALID_JSON':
    case 'UNKNOWN_SCHEMA_VERSION':
    case 'INVALID_EVENT':
    case 'CURRENCY_MISMATCH':
    case 'CONFLICTING_DUPLICATE':
      return reasonIn(expectedAt(ports, subject));
  }
}

function reasonIn(expectation: Expectation): DeadLetterReason | undefined {
  return expectation.kind === 'deadLetter' ? expectation.reason : undefined;
}

/** Judges a message of which the ledger has a skipped event. */
export function judgeSkipped(ports: JudgePorts, subject: Case, skip: RecordedSkip): Judgement {
  const { item, place } = subject;
  const recorded: Expectation = { kind: 'skipped', reason: skip.reason };
  const actual = `${lineOf(place.kafkaOffset, recorded)}\t${skip.tenantId ?? '-'}\t${skip.traceId}`;
  if (isSkippedByBook(item, skip)) {
    ports.onTaken('priceBooks');
    return asExpected(actual, 'skipped');
  }
  const expectation = expectedAt(ports, subject);
  const [tenantId, traceId] =
    item.kind === 'deadLetter' ? ['-', '-'] : [item.event.tenantId ?? '-', item.event.traceId];
  const expected = `${lineOf(place.kafkaOffset, expectation)}\t${tenantId}\t${traceId}`;
  if (expected === actual) return asExpected(actual, 'skipped');
  const words = { expected: outcomeWords(expectation), found: outcomeWords(recorded) };
  return { expected, actual, countedAs: 'skipped', findings: [differentOutcome(messageFacts(subject), words)] };
}

/** Skipped because no price book was set, or because it had no price: a setting, or a book, of that time. */
function isSkippedByBook(item: IntakeItem, { reason, tenantId, traceId }: RecordedSkip): boolean {
  if (item.kind !== 'unquoted' || item.event.traceId !== traceId || item.tenantId !== tenantId) return false;
  return reason === NOT_BILLABLE || (item.event.kind === 'pending' && reason.startsWith(UNPRICED_ESTIMATE));
}

/** Judges a message of which the ledger has nothing at its position. */
export function judgeUnrecorded(ports: JudgePorts, subject: Case): Judgement {
  const expectation = unrecordedExpectation(ports, subject);
  switch (expectation.kind) {
    case 'duplicate':
      return asExpected(lineOf(subject.place.kafkaOffset, expectation), 'duplicates');
    case 'superseded':
      return asExpected(lineOf(subject.place.kafkaOffset, expectation), 'superseded');
    case 'unpriced':
      return isParkedHere(subject) ? judgeParked(ports, subject, expectation) : missing(subject, expectation);
    case 'deadLetter':
      return expectation.reason === 'CONFLICTING_DUPLICATE'
        ? passedAsDuplicate(subject, expectation)
        : missing(subject, expectation);
    case 'entry':
    case 'skipped':
      return missing(subject, expectation);
  }
}

/**
 * Nothing is recorded of a message that conflicts with the charge as it stands. Nearly always that charge was changed since;
 * whether the message was dropped instead, only the count of duplicates in its batch tells.
 */
function passedAsDuplicate(subject: Case, expectation: Expectation): Judgement {
  const { kafkaOffset } = subject.place;
  return {
    expected: lineOf(kafkaOffset, expectation),
    actual: lineOf(kafkaOffset, { kind: 'duplicate' }),
    countedAs: 'duplicates',
    findings: [differentOutcome(messageFacts(subject), { expected: outcomeWords(expectation), found: 'a duplicate' })],
  };
}

function unrecordedExpectation(ports: JudgePorts, subject: Case): Expectation {
  const expectation = expectedAt(ports, subject);
  const isTooLarge = (subject.message.value?.length ?? 0) > ports.settings.eventBytesMax;
  return isTooLarge && expectation.kind === 'entry' ? letterOf('MESSAGE_TOO_LARGE') : expectation;
}

function isParkedHere({ place, facts: { park } }: Case): boolean {
  const { source, kafkaOffset } = place;
  return (
    park?.kafkaOffset === kafkaOffset &&
    park.source.topic === source.topic &&
    park.source.partition === source.partition
  );
}

function judgeParked(
  ports: JudgePorts,
  subject: Case,
  expectation: Extract<Expectation, { kind: 'unpriced' }>,
): Judgement {
  const recorded: Expectation = { kind: 'unpriced', meters: subject.facts.park?.meters ?? [] };
  const expected = lineOf(subject.place.kafkaOffset, expectation);
  const actual = lineOf(subject.place.kafkaOffset, recorded);
  const countedAs: CountedAs = 'unpriced';
  if (expected === actual) return asExpected(expected, countedAs);
  if (subject.item.kind === 'unquoted' && isPartOf(recorded.meters, expectation.meters)) {
    // The price book of then had prices for the others.
    ports.onTaken('priceBooks');
    return asExpected(actual, countedAs);
  }
  const words = { expected: outcomeWords(expectation), found: outcomeWords(recorded) };
  return { expected, actual, countedAs, findings: [differentOutcome(messageFacts(subject), words)] };
}

/** Whether some meters without a price, at least one, are among others. */
function isPartOf(meters: readonly string[], others: readonly string[]): boolean {
  return meters.length > 0 && meters.every((meter) => others.includes(meter));
}

/** The judgement of a message that left no trace in the ledger. */
export function missing(subject: Case, expectation: Expectation): Judgement {
  const { place, facts } = subject;
  const later = facts.trace.find(
    ({ entry, batchId }) => batchId >= place.batchId && (entry.status === 'COMMITTED' || entry.status === 'FAILED'),
  )?.entry;
  const words = {
    expected: outcomeWords(expectation),
    later: later === undefined ? undefined : `entry ${later.tenantId}#${later.seq}`,
  };
  return {
    expected: lineOf(place.kafkaOffset, expectation),
    actual: `${place.kafkaOffset}\tnothing`,
    countedAs: undefined,
    findings: [missingMessage(messageFacts(subject), words)],
  };
}
