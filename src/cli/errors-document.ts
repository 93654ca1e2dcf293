/**
 * Owns: the text of docs/errors.md, from the tables in the code.
 * Does not own: the codes (src/runtime/errors.ts) and the reasons (src/ledger/dead-letter.ts).
 */
import { DEAD_LETTER_REASONS, type DeadLetterReason } from '../ledger/dead-letter.js';
import { ERROR_CODES, type Disposition } from '../runtime/errors.js';

/** Where the document of this version is committed. */
export const ERRORS_DOCUMENT_FILE = 'docs/errors.md';

const INTRODUCTION = `# Errors and dead letters

Generated from the code by \`tollbook docs errors --out ${ERRORS_DOCUMENT_FILE}\`; do not edit.

Every error carries a code, a disposition and a context. The code is one of those below and keeps its meaning. The
disposition says what the process does with it; nothing else decides about a retry.`;

const DISPOSITIONS: Readonly<Record<Disposition, string>> = {
  retry: 'the same work is tried again, from fresh state',
  deadLetter: 'the message is kept as a dead letter and the consumer goes on',
  abandon: 'this piece of work is given up; the process goes on',
  halt: 'a command or a start fails; while charging, the partition stops, and is tried again every 10 seconds',
};

const REASONS: Readonly<Record<DeadLetterReason, string>> = {
  UNREADABLE_BATCH:
    'A whole record batch cannot be read: damaged or unknown compression, more than 16 MiB when decompressed, or records that do not fit their bytes. One letter at its first offset stands for all of its offsets, which the detail names; its value is the batch as it was sent, up to 2 MiB, beyond them the detail has length and SHA-256. It cannot be redriven: have its events published again, then discard it.',
  TOO_MANY_HEADERS:
    'The message has more than 256 headers, or more than 64 KiB of them; they are kept as they were sent, under the name `(raw)`. A redrive charges its value.',
  EMPTY_MESSAGE: 'The message has no value, or an empty one.',
  MESSAGE_TOO_LARGE: 'The value is longer than `TOLLBOOK_EVENT_BYTES_MAX`; it is not even parsed.',
  INVALID_UTF8: 'The value is not UTF-8 text.',
  INVALID_JSON: 'The value is not one JSON document.',
  UNKNOWN_SCHEMA_VERSION: 'The event names a schema version that this release does not know.',
  INVALID_EVENT:
    'The event breaks the published contract; the detail names each field, what was found and what is allowed.',
  KEY_NOT_TENANT: 'The key of the message is not the tenant of the event, and `TOLLBOOK_KEY_MUST_BE_TENANT` is true.',
  PRODUCER_NOT_ALLOWED:
    'The instance that published the event is none that `TOLLBOOK_PRODUCERS_FILE` allows for its tenant.',
  OCCURRED_AT_IN_FUTURE: 'The event says that it occurred more than five minutes from now: a clock is wrong.',
  OCCURRED_AT_TOO_OLD: 'The event occurred longer ago than `TOLLBOOK_EVENT_AGE_MAX_MS`.',
  UNKNOWN_TENANT: 'The tenant has no account, and `TOLLBOOK_AUTO_OPEN_ACCOUNTS` is false: open it, then redrive.',
  CURRENCY_MISMATCH: 'The event is priced in another currency than the account has; amounts are never converted.',
  COST_TOO_LARGE: 'The event costs more than `TOLLBOOK_EVENT_COST_MAX`.',
  AMOUNT_OUT_OF_RANGE:
    'The cost, or a balance after it, would reach 2^63 nano-units (about 9.22 billion currency units).',
  CONFLICTING_DUPLICATE:
    'The trace was charged before with different content; the first charge stands and the detail names the fields.',
  PROCESSING_FAILED:
    'Charging it throws: a bug of this release, or data that cannot be stored; the detail has the error and its stack.',
};

/** Writes the document: every disposition, every error code and every dead-letter reason, in the order of the code. */
export function errorsDocument(): string {
  const dispositions = Object.entries(DISPOSITIONS).map(([name, meaning]) => `- **${name}**: ${meaning}.`);
  const codes = Object.entries(ERROR_CODES).map(
    ([code, { disposition, meaning, remedy }]) =>
      `### ${code}\n\n${meaning}\n\n- Disposition: ${disposition}\n- What to do: ${remedy}`,
  );
  const reasons = DEAD_LETTER_REASONS.map((reason) => `- \`${reason}\`: ${REASONS[reason]}`);
  return `${[
    INTRODUCTION,
    '## Dispositions',
    dispositions.join('\n'),
    '## Error codes',
    ...codes,
    '## Dead-letter reasons',
    'A message that cannot be charged is written to `dead_letters` with its original bytes and the first reason found.',
    reasons.join('\n'),
  ].join('\n\n')}\n`;
}
