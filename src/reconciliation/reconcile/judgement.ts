/**
 * Owns: the words of judging one message: the case, the judgement, and the line each side of it is written as.
 * Does not own: any judgement (judge-*.ts).
 * Invariants: the lines of both sides are equal exactly when nothing is wrong; the digests are made of them.
 */
import type { IntakeItem } from '../../consumers/intake.js';
import type { StreamSource } from '../../ledger/batch.js';
import type { EventPricing } from '../../ledger/events.js';
import { formatAmount } from '../../ledger/money.js';
import type { TopicMessage } from '../topic/partition-reader.js';
import type { TakenAsRecorded } from './entry-check.js';
import type { EntryLine } from './entry-lines.js';
import type { Chargeable, Expectation, ExpectationSettings, LedgerPlace, TraceFacts } from './expectation.js';
import { type Finding, letterWords, type MessageFacts } from './findings.js';
import type { RecordedLetter, RedrivenLetter, RecordedRepair, RecordedSkip } from './recorded-rows.js';

/** What the ledger has at the position of a message. */
export interface RecordedThere {
  readonly entries: readonly EntryLine[];
  readonly letter: RecordedLetter | undefined;
  readonly skip: RecordedSkip | undefined;
  readonly repair: RecordedRepair | undefined;
  /** What became of its dead letter. */
  readonly redrive: RedrivenLetter | undefined;
}

/** A message to judge. */
export interface Case {
  /** Where Kafka has it. */
  readonly origin: StreamSource;
  readonly message: TopicMessage;
  readonly item: IntakeItem;
  /** Where the ledger charged it, or should have: its own position, or the one that a repair gave it. */
  readonly place: LedgerPlace;
  /** When the batch that passed it was sealed (ISO 8601 UTC); undefined where no batch covers it. */
  readonly sealedAt: string | undefined;
  readonly there: RecordedThere;
  /** What was looked up for it, if it needs more than what is there. */
  facts: TraceFacts;
  /** Of a dead letter that was amended: the corrected copy, which was charged in its place. */
  readonly amended?: Case | undefined;
}

/** The settings that judging depends on, as they are now. */
export interface JudgeSettings extends ExpectationSettings {
  readonly eventBytesMax: number;
}

/** What judging works with. */
export interface JudgePorts {
  readonly settings: JudgeSettings;
  /** The prices that a book, named as BOOK@VERSION, has for the event of an item. */
  readonly quoteOf: (priceVersion: string, item: Chargeable) => EventPricing | undefined;
  readonly onTaken: (what: TakenAsRecorded) => void;
}

/** As what a message is counted in its batch; what is charged is counted by entries. */
export type CountedAs = 'charged' | 'duplicates' | 'superseded' | 'skipped' | 'unpriced' | 'deadLetters';

/** What the judgement of a message is. */
export interface Judgement {
  readonly expected: string;
  readonly actual: string;
  /** Undefined: nothing was recorded, or a repair recorded it elsewhere. */
  readonly countedAs: CountedAs | undefined;
  readonly findings: readonly Finding[];
}

const NOTHING_WRONG: readonly Finding[] = [];

/** The judgement of a message that is on both sides what it must be. */
export function asExpected(line: string, countedAs: CountedAs | undefined): Judgement {
  return { expected: line, actual: line, countedAs, findings: NOTHING_WRONG };
}

/** The line of a message that must have become this, or did. */
export function lineOf(kafkaOffset: bigint, outcome: Expectation): string {
  return `${kafkaOffset}\t${outcomeText(outcome)}`;
}

function outcomeText(outcome: Expectation): string {
  switch (outcome.kind) {
    case 'entry':
      return `charged\t${outcome.intent.granted.status}\t${formatAmount(outcome.intent.granted.amountNano)}`;
    case 'duplicate':
    case 'superseded':
      return outcome.kind;
    case 'skipped':
      return `skipped\t${outcome.reason}`;
    case 'unpriced':
      return `unpriced\t${outcome.meters.join(',')}`;
    case 'deadLetter':
      return `deadLetter\t${outcome.reason}`;
  }
}

/** What a message must have become, or did, in words. */
export function outcomeWords(outcome: Expectation): string {
  switch (outcome.kind) {
    case 'entry': {
      const { granted, currency } = outcome.intent;
      return `a ${granted.status} entry of ${formatAmount(granted.amountNano)} ${currency}`;
    }
    case 'duplicate':
      return 'a duplicate';
    case 'superseded':
      return 'superseded';
    case 'skipped':
      return `skipped (${outcome.reason})`;
    case 'unpriced':
      return `parked for want of a price of ${outcome.meters.join(', ')}`;
    case 'deadLetter':
      return letterWords(outcome.reason);
  }
}

/** What names a message in a finding. */
export function messageFacts({ origin, message, item }: Case): MessageFacts {
  const event = item.kind === 'deadLetter' ? undefined : item.event;
  return {
    position: { ...origin, kafkaOffset: message.kafkaOffset },
    tenantId: event?.tenantId,
    traceId: event?.traceId,
  };
}
