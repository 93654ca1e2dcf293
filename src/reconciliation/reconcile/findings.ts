/**
 * Owns: what a reconciliation can find wrong, in a form for machines and in words, with what an operator can do about it.
 * Does not own: finding it.
 * Invariants: every finding names where it is; entries that are there are never to be changed, so what is advised for
 * them is a further entry.
 */
import type { DeadLetterReason } from '../../ledger/dead-letter.js';
import { letterName } from '../../ledger/dead-letter.js';
import type { EntrySource } from '../../ledger/entry.js';
import { columnOf, type EntryLine } from './entry-lines.js';
import type { FieldDifference } from './entry-check.js';

/** What can be wrong, in the order in which a report tells it. */
export const FINDING_KINDS = [
  'missing',
  'extra',
  'different',
  'position',
  'counts',
  'unsealed',
  'lost',
  'producerGap',
] as const;

/**
 * missing: a message left no trace in the ledger. extra: an entry that no message, or none of its kind, explains.
 * different: recorded, but not as it must be. position: recorded in a batch that does not cover its offset. counts: a
 * sealed batch counts other messages than it covers. unsealed: offsets before the cursor that no batch covers. lost:
 * removed from Kafka before the ledger read it. producerGap: numbers a producer gave that are in no topic.
 */
export type FindingKind = (typeof FINDING_KINDS)[number];

/** One thing that is wrong. */
export interface Finding {
  readonly kind: FindingKind;
  /** TOPIC/PARTITION/OFFSET, or TOPIC/PARTITION/FROM-TO for a range; a producer for its numbers. */
  readonly at: string;
  readonly tenantId?: string;
  readonly traceId?: string;
  /** The entry it is about: TENANT#SEQ. */
  readonly entry?: string;
  readonly fields?: readonly FieldDifference[];
  /** One sentence. */
  readonly finding: string;
  /** What an operator can do. */
  readonly advice: string;
}

const REPAIR = 'tollbook reconcile --repair sends it through the charge protocol';

/** The name of a stored entry: TENANT#SEQ. */
export function entryName(line: EntryLine): string {
  return `${line.tenantId}#${columnOf(line, 'seq')}`;
}

/** What names a message. */
export interface MessageFacts {
  readonly position: EntrySource;
  readonly tenantId: string | undefined;
  readonly traceId: string | undefined;
}

function identityOf({ tenantId, traceId }: MessageFacts): Pick<Finding, 'tenantId' | 'traceId'> {
  return { ...(tenantId === undefined ? {} : { tenantId }), ...(traceId === undefined ? {} : { traceId }) };
}

/** A message that must have become something, and of which the ledger has nothing. */
export function missingMessage(
  message: MessageFacts,
  { expected, later }: { readonly expected: string; readonly later: string | undefined },
): Finding {
  const at = letterName(message.position);
  const meanwhile = later === undefined ? '' : `; the same request was recorded later, by ${later}`;
  return {
    ...{ kind: 'missing', at, ...identityOf(message) },
    finding: `the message at ${at} must have become ${expected}; the ledger has nothing of it${meanwhile}`,
    advice: REPAIR,
  };
}

/** An entry that its message, or the lack of one, does not explain. */
export function extraEntry(line: EntryLine, why: string): Finding {
  const at = letterName({ ...line.source, kafkaOffset: line.kafkaOffset });
  const name = entryName(line);
  return {
    ...{ kind: 'extra', at, entry: name, ...lineIdentity(line) },
    finding: `entry ${name} says it comes from ${at}, but ${why}`,
    advice: adviceFor(line),
  };
}

/** A row other than an entry at a position that holds no message of its kind. */
export function extraRow(at: string, what: string): Finding {
  return {
    kind: 'extra',
    at,
    finding: `the ledger has ${what} at ${at}, where Kafka holds no message`,
    advice: 'look at the row; nothing was charged by it',
  };
}

/** An entry that is not what its message must have become. */
export function differentEntry(line: EntryLine, fields: readonly FieldDifference[]): Finding {
  const at = letterName({ ...line.source, kafkaOffset: line.kafkaOffset });
  const name = entryName(line);
  const words = fields.map(({ field, expected, found }) => `${field} is ${shown(found)}, must be ${shown(expected)}`);
  return {
    ...{ kind: 'different', at, entry: name, ...lineIdentity(line), fields },
    finding: `entry ${name} of the message at ${at} is not what it must be: ${words.join('; ')}`,
    advice: adviceFor(line),
  };
}

/** A message that was recorded as something else than it must have become. */
export function differentOutcome(
  message: MessageFacts,
  { expected, found }: { readonly expected: string; readonly found: string },
): Finding {
  const at = letterName(message.position);
  return {
    ...{ kind: 'different', at, ...identityOf(message) },
    finding: `the message at ${at} was recorded as ${found}, it must have become ${expected}`,
    advice: 'look at the message: `tollbook dead-letters show` and `tollbook trace show` tell what became of it',
  };
}

/** An entry whose batch does not cover the offset it comes from. */
export function misplacedEntry(line: EntryLine, batch: string): Finding {
  const at = letterName({ ...line.source, kafkaOffset: line.kafkaOffset });
  const name = entryName(line);
  return {
    ...{ kind: 'position', at, entry: name, ...lineIdentity(line) },
    finding: `entry ${name} comes from ${at}, which ${batch} covers, but it says that batch id ${line.batchId} sealed it`,
    advice: 'run `tollbook verify`: the row was changed or inserted outside of Tollbook',
  };
}

/** A sealed batch that counts other messages than it covers. */
export function wrongCounts(at: string, counts: readonly { name: string; counted: number; found: number }[]): Finding {
  const words = counts.map(
    ({ name, counted, found }) => `${name}: it counts ${counted}, its messages came to ${found}`,
  );
  return {
    kind: 'counts',
    at,
    finding: `the sealed batch of ${at} does not add up: ${words.join('; ')}`,
    advice: counts.every(({ counted, found }) => counted < found) ? REPAIR : 'run `tollbook verify`',
  };
}

/** Offsets before the cursor that no sealed batch covers. */
export function unsealedOffsets(at: string, messages: number): Finding {
  return {
    kind: 'unsealed',
    at,
    finding: `no sealed batch covers ${at}, where Kafka holds ${messages} message${messages === 1 ? '' : 's'}`,
    advice: 'run `tollbook verify`: a batch was removed, or the cursor was moved by hand',
  };
}

/** Offsets that Kafka removed before the ledger had read them. */
export function lostOffsets(at: string): Finding {
  return {
    kind: 'lost',
    at,
    finding: `Kafka has removed ${at} before the ledger had charged it`,
    advice: 'find out what was lost, then `tollbook cursors accept-gap`',
  };
}

/** More numbers in a row than a gateway can lose: years of events at ten a second. */
const JUMP_NUMBERS = 1_000_000_000;

/** Numbers of a producer that are in no topic. */
export function producerGap(at: string, { from, to }: { readonly from: number; readonly to: number }): Finding {
  const numbers = from === to ? `number ${from}` : `numbers ${from} to ${to}`;
  if (to - from >= JUMP_NUMBERS) {
    return {
      kind: 'producerGap',
      at,
      finding: `producer ${at} went on with number ${to + 1} after ${numbers}, which are in no topic: too many for a loss`,
      advice:
        'find the event with that number: a counter was set wrong, or somebody else used the name of that gateway',
    };
  }
  return {
    kind: 'producerGap',
    at,
    finding: `${numbers} of producer ${at} are in no topic: ${to - from + 1} event${from === to ? '' : 's'} lost before Kafka`,
    advice:
      'ask the gateway of that name to publish it again, charging is idempotent; `tollbook producers accept-gap` accepts what ' +
      'is lost for good',
  };
}

function lineIdentity(line: EntryLine): Pick<Finding, 'tenantId' | 'traceId'> {
  return { tenantId: line.tenantId, traceId: line.traceId };
}

function adviceFor(line: EntryLine): string {
  const isCharge = columnOf(line, 'type') === 'DEDUCT' && columnOf(line, 'status') === 'COMMITTED';
  return isCharge
    ? `\`tollbook refund ${line.tenantId} --entry ${columnOf(line, 'seq')} …\` puts back what was charged wrongly, ` +
        '`tollbook adjust` corrects a difference; `tollbook verify` tells whether the row was tampered with'
    : '`tollbook trace show` tells the life of the trace; `tollbook verify` whether the row was tampered with';
}

function shown(value: string | null): string {
  return value === null ? 'absent' : value;
}

/** A dead letter in words. */
export function letterWords(reason: DeadLetterReason): string {
  return `a dead letter (${reason})`;
}
