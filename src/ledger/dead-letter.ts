/** Owns: the closed set of reasons why a message cannot be charged, and the dead letter that keeps it. */

/** Every reason, in the order in which they are found. */
export const DEAD_LETTER_REASONS = [
  'EMPTY_MESSAGE',
  'MESSAGE_TOO_LARGE',
  'INVALID_UTF8',
  'INVALID_JSON',
  'UNKNOWN_SCHEMA_VERSION',
  'INVALID_EVENT',
  'OCCURRED_AT_IN_FUTURE',
  'OCCURRED_AT_TOO_OLD',
  'CURRENCY_MISMATCH',
  'AMOUNT_OUT_OF_RANGE',
  'CONFLICTING_DUPLICATE',
] as const;

/** Why a message cannot be charged. */
export type DeadLetterReason = (typeof DEAD_LETTER_REASONS)[number];

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
}
