/**
 * Owns: the closed set of reasons why a message cannot be charged, the dead letter that keeps it, and what may become of
 * it: open until it is redriven or discarded, once and for ever.
 * Does not own: reading and writing it (dead-letter-store.ts), nor the redrive itself (consumers/redrive.ts).
 */
import type { StreamSource } from './batch.js';
import { commandSource } from './commands/command-stream.js';
import type { EntrySource } from './entry.js';

/** Every reason, in the order in which they are found. */
export const DEAD_LETTER_REASONS = [
  'UNREADABLE_BATCH',
  'TOO_MANY_HEADERS',
  'EMPTY_MESSAGE',
  'MESSAGE_TOO_LARGE',
  'INVALID_UTF8',
  'INVALID_JSON',
  'UNKNOWN_SCHEMA_VERSION',
  'INVALID_EVENT',
  'KEY_NOT_TENANT',
  'PRODUCER_NOT_ALLOWED',
  'OCCURRED_AT_IN_FUTURE',
  'OCCURRED_AT_TOO_OLD',
  'UNKNOWN_TENANT',
  'CURRENCY_MISMATCH',
  'COST_TOO_LARGE',
  'AMOUNT_OUT_OF_RANGE',
  'CONFLICTING_DUPLICATE',
  'PROCESSING_FAILED',
] as const;

/** Why a message cannot be charged. */
export type DeadLetterReason = (typeof DEAD_LETTER_REASONS)[number];

/** Why the bytes of a log cannot be read as a message: a whole batch of them, which one letter stands for, or one message. */
export type UnreadableReason = 'UNREADABLE_BATCH' | 'TOO_MANY_HEADERS';

/** A message that cannot be charged: its original bytes and position, and why. */
export interface DeadLetter {
  readonly kafkaOffset: bigint;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Header values by name, each base64. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly reason: DeadLetterReason;
  /** Names the field, the value found and what is allowed. */
  readonly detail: string;
  readonly tenantId: string | null;
  readonly traceId: string | null;
  readonly eventId: string | null;
}

/** What a dead letter can be: open, or what became of it. */
export const LETTER_STATES = ['open', 'redriven', 'discarded'] as const;

/** Whether a dead letter is open, or what became of it. */
export type LetterState = (typeof LETTER_STATES)[number];

/** Where a dead letter stands: the position of the message that could not be charged. */
export type LetterPosition = EntrySource;

/** A dead letter without its bytes. */
export interface LetterSummary extends LetterPosition {
  readonly reason: DeadLetterReason;
  readonly detail: string;
  readonly tenantId: string | null;
  readonly traceId: string | null;
  readonly eventId: string | null;
  readonly state: LetterState;
  /** When the batch that passed it was sealed. */
  readonly recordedAt: string;
  /** Of the value; 0 without one. */
  readonly valueBytes: number;
}

/** A dead letter with its bytes, and what the ledger knows around it. */
export interface StoredLetter extends DeadLetter, LetterPosition {
  readonly state: LetterState;
  readonly batchId: number;
  readonly recordedAt: string;
}

/** What a redriven message came to, as its batch counts it. */
export type RedriveOutcome = 'charged' | 'duplicate' | 'superseded' | 'skipped' | 'unpriced';

/** The record of what became of a dead letter. */
export type LetterAction = LetterPosition & {
  readonly actor: string;
  readonly actedAt: string;
} & (
    | { readonly action: 'discarded'; readonly reason: string }
    | {
        readonly action: 'redriven';
        readonly reason: string | null;
        readonly outcome: RedriveOutcome;
        /** As the redriven message names them; null where it names none. */
        readonly tenantId: string | null;
        readonly traceId: string;
        /** The number of the message in the redrive stream: where its entry says it comes from. */
        readonly source: EntrySource;
        readonly batchId: number;
        /** The corrected copy that was charged in place of the value; null: the message itself was. */
        readonly amendedValue: Buffer | null;
      }
  );

/** The topic name of redrive streams: no Kafka topic can start with `~`. */
export const REDRIVE_TOPIC = '~redrive';

/** The stream in which a dead letter is redriven: by its tenant, where it is known. */
export function redriveSource(tenantId: string | null): StreamSource {
  return { topic: REDRIVE_TOPIC, partition: tenantId === null ? 0 : commandSource(tenantId).partition };
}

/** What `parseLetterPosition` reads. */
export const LETTER_POSITION_ALLOWED = 'TOPIC/PARTITION/OFFSET, such as usage.completed/3/1207';

const POSITION = /^([A-Za-z0-9._-]{1,249})\/(\d{1,9})\/(\d{1,18})$/;

/** Writes a position as TOPIC/PARTITION/OFFSET. */
export function letterName({ topic, partition, kafkaOffset }: LetterPosition): string {
  return `${topic}/${partition}/${kafkaOffset}`;
}

/** Reads a position written as TOPIC/PARTITION/OFFSET; undefined for any other text. */
export function parseLetterPosition(text: string): LetterPosition | undefined {
  const [, topic, partition, kafkaOffset] = POSITION.exec(text) ?? [];
  if (topic === undefined || partition === undefined || kafkaOffset === undefined) return undefined;
  return { topic, partition: Number(partition), kafkaOffset: BigInt(kafkaOffset) };
}
