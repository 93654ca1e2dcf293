/**
 * Owns: the one error class of the project, the closed set of its codes, and what each code means for a retry.
 * Does not own: expected outcomes (duplicate, refused, superseded); those are values, never errors.
 * Invariants: every code is documented in docs/errors.md (a test compares); the disposition is written here,
 * never decided in a catch; `context` never holds a secret.
 */

/** What a caller does with an error: try again, park the message, give up this piece of work, or stop until somebody acted. */
export type Disposition = 'retry' | 'deadLetter' | 'abandon' | 'halt';

interface ErrorCodeRow {
  readonly disposition: Disposition;
  readonly meaning: string;
  readonly remedy: string;
}

/** Every error code with its disposition, its meaning and what the reader can do about it. */
export const ERROR_CODES = {
  CONFIG_INVALID: {
    disposition: 'halt',
    meaning: 'One or more settings are missing, malformed or out of bounds; all problems are listed together.',
    remedy: 'Correct the environment variables named in the message.',
  },
  USAGE_INVALID: {
    disposition: 'abandon',
    meaning: 'A command was called with an argument that is not allowed.',
    remedy: 'Correct the argument named in the message; `tollbook COMMAND --help` shows what is allowed.',
  },
  MONEY_MALFORMED: {
    disposition: 'deadLetter',
    meaning: 'An amount or price is not a plain decimal string, or has more decimals than the currency unit carries.',
    remedy: 'Send money as a decimal string such as "0.003", never as a JSON number.',
  },
  MONEY_OUT_OF_RANGE: {
    disposition: 'deadLetter',
    meaning: 'An amount or balance would reach 2^63 nano-units in magnitude (about 9.22 billion currency units).',
    remedy: 'Split the amount, or correct the quantity or the price.',
  },
  EVENT_INVALID: {
    disposition: 'deadLetter',
    meaning:
      'An event breaks the published contract; the message names each field, the value found and what is allowed.',
    remedy: 'Correct the producer; the dead letter keeps the original bytes for a redrive.',
  },
  PUBLISHER_BUFFER_FULL: {
    disposition: 'retry',
    meaning: 'The publisher holds as many unacknowledged events as its buffer allows; this event was not accepted.',
    remedy: 'Slow down, retry later, or raise the buffer limit; check that Kafka is reachable.',
  },
  PUBLISHER_CLOSED: {
    disposition: 'abandon',
    meaning: 'An event was handed to a publisher after close() was called.',
    remedy: 'Publish before closing.',
  },
  PUBLISH_FAILED: {
    disposition: 'retry',
    meaning: 'Kafka did not acknowledge an event within the retries of the producer; it may or may not be in the log.',
    remedy: 'Publish it again with the same trace_id: charging is idempotent.',
  },
  KAFKA_UNAVAILABLE: {
    disposition: 'retry',
    meaning: 'No Kafka broker answered.',
    remedy: 'Check KAFKA_BROKERS and that the brokers run; `tollbook stack status` shows the local one.',
  },
  TOPIC_MISSING: {
    disposition: 'halt',
    meaning: 'A topic the command needs does not exist.',
    remedy: 'Create it with `tollbook topics create`.',
  },
  TOPIC_MISCONFIGURED: {
    disposition: 'halt',
    meaning: 'A usage topic has a setting with which Kafka deletes events that were not charged.',
    remedy:
      'Set it to what the message allows, with `kafka-configs.sh --alter --topic TOPIC --add-config cleanup.policy=delete`.',
  },
  CONSUMER_CRASHED: {
    disposition: 'halt',
    meaning: 'The Kafka consumer stopped and will not restart by itself.',
    remedy: 'The process exits; its supervisor starts it again and it resumes from the cursors.',
  },
  STREAM_GAP: {
    disposition: 'halt',
    meaning:
      'Kafka no longer holds messages that the ledger has not read: the log starts behind the cursor, or lacks offsets in between.',
    remedy:
      'Find out what was lost (retention too short? a compacted topic?), then accept it with `tollbook cursors accept-gap`.',
  },
  BATCH_CRC_MISMATCH: {
    disposition: 'retry',
    meaning:
      'Messages in a log are not as they were written: the checksum of their batch is wrong. Nothing of it is charged.',
    remedy:
      'Check the disk of the broker named; the partition is read again, and goes on once another replica leads it. Without a whole copy, accept the loss with `tollbook cursors accept-gap`.',
  },
  CURSOR_AHEAD_OF_LOG: {
    disposition: 'halt',
    meaning: 'The cursor points past the end of the partition: the topic was recreated or truncated.',
    remedy: 'Check that the topic is the one this ledger was fed from; never reuse a topic name for a new log.',
  },
  CLUSTER_MISMATCH: {
    disposition: 'halt',
    meaning: 'The cursors belong to another Kafka cluster than the one now connected.',
    remedy: 'Connect to the cluster named in the message; offsets of two clusters cannot be mixed.',
  },
  CHARGE_STALLED: {
    disposition: 'retry',
    meaning:
      'A chunk has been in work for more than 5 seconds: something it needs is locked, or a server is very slow.',
    remedy: 'Look for a lock that nobody releases (`SELECT * FROM pg_stat_activity`), and at the load of the servers.',
  },
  FENCED: {
    disposition: 'abandon',
    meaning: 'Another consumer advanced the cursor of this partition first; nothing of this chunk was committed.',
    remedy: 'None needed: the other consumer charged the same messages.',
  },
  LOG_REPLACED: {
    disposition: 'halt',
    meaning:
      'The log of a partition is not the one this ledger was charged from: its topic was deleted and created again, or the log was cut off and written anew.',
    remedy:
      'Find out what the old log held beyond the cursor; then go on with the new log from its start by `tollbook cursors accept-log`, or bring the old one back.',
  },
  CLOCK_SKEWED: {
    disposition: 'retry',
    meaning:
      'The clock of this machine differs from that of PostgreSQL by more than TOLLBOOK_CLOCK_SKEW_MAX_MS; nothing is charged or booked meanwhile.',
    remedy: 'Set the clock right (is NTP running?); charging goes on by itself within seconds.',
  },
  POSTGRES_UNAVAILABLE: {
    disposition: 'retry',
    meaning:
      'PostgreSQL cannot be reached, refused the login, cut the connection, or cannot write now: it starts, stops, fails over, or is full.',
    remedy:
      'Check DATABASE_URL, the password and that the server runs and has room; consumers wait and resume by themselves.',
  },
  POSTGRES_CONFLICT: {
    disposition: 'retry',
    meaning: 'A database transaction lost against a concurrent one (deadlock or unique key), or took too long.',
    remedy: 'None needed: the work is repeated from fresh state.',
  },
  POSTGRES_LOCKED: {
    disposition: 'retry',
    meaning: 'A row stays locked by another session; only the work that needs it waits, and is repeated.',
    remedy: 'Look at the sessions that the context names; end the one that should not be there.',
  },
  POSTGRES_REJECTED: {
    disposition: 'deadLetter',
    meaning:
      'PostgreSQL cannot store the data of a statement: out of range, a text that it does not accept, or a check that fails.',
    remedy: 'Read the SQLSTATE in the context; the message that carries the data is found and set aside.',
  },
  POSTGRES_FAILED: {
    disposition: 'retry',
    meaning:
      'PostgreSQL refused a statement for a condition of the server or of the database: rights, changed tables, a fault inside of it.',
    remedy: 'Read the SQLSTATE in the context; the work is tried again until the condition has passed.',
  },
  SCHEMA_OUT_OF_DATE: {
    disposition: 'retry',
    meaning: 'The database lacks migrations that this version needs, or its tables are not those of this version.',
    remedy: 'Run `tollbook migrate`; processes wait for it and go on by themselves.',
  },
  REDIS_UNAVAILABLE: {
    disposition: 'retry',
    meaning: 'Redis cannot be reached or did not answer within its deadline; PostgreSQL decides meanwhile.',
    remedy: 'Check REDIS_URL and that the server runs; hashes are rebuilt by themselves.',
  },
  REDIS_FAILED: {
    disposition: 'retry',
    meaning: 'Redis refused a script or replied something that is not documented.',
    remedy: 'Read the reply in the context; check memory limits and that no one else writes these keys.',
  },
  IDEMPOTENCY_KEY_REUSED: {
    disposition: 'abandon',
    meaning: 'A command came with an idempotency key that an earlier, different command has used.',
    remedy: 'Use a new key for a new command; re-sending the same command with its key is safe.',
  },
  ACCOUNT_UNKNOWN: {
    disposition: 'abandon',
    meaning: 'No account exists for the tenant.',
    remedy: 'Check the tenant id; an account opens with the first billable event or credit.',
  },
  ACCOUNT_EXISTS: {
    disposition: 'abandon',
    meaning: 'An account was to be opened for a tenant that has one.',
    remedy: 'Use `tollbook limits` to change its terms; its currency never changes.',
  },
  TRACE_UNKNOWN: {
    disposition: 'abandon',
    meaning: 'A command names a trace or an entry that the ledger of the tenant does not have.',
    remedy: 'Check the tenant, and the trace id or the number of the entry.',
  },
  REFUND_NOT_ALLOWED: {
    disposition: 'abandon',
    meaning: 'A refund names something other than a charge: a hold, a credit, an adjustment or another refund.',
    remedy: 'Refund the COMMITTED entry of the trace; correct anything else with `tollbook adjust`.',
  },
  REFUND_EXCEEDS_CHARGE: {
    disposition: 'abandon',
    meaning: 'The refunds of a charge would together put back more than it took.',
    remedy: 'Refund at most what is left; the message tells what was charged, refunded, and is left.',
  },
  COLLECT_NOT_ALLOWED: {
    disposition: 'abandon',
    meaning: 'Only a trace whose charge was refused (FAILED) can be collected, and only once.',
    remedy: 'Look at the trace: the message names its last entry.',
  },
  INSUFFICIENT_BALANCE: {
    disposition: 'abandon',
    meaning: 'What is available in the account does not cover what a command wants to charge.',
    remedy: 'Top the account up, raise its credit limit, or allow a negative balance.',
  },
  HOLD_NOT_OPEN: {
    disposition: 'abandon',
    meaning: 'A hold was to be voided that has ended, or that the trace never had.',
    remedy: 'None needed when it has ended: the message names the entry that ended it.',
  },
  CURRENCY_MISMATCH: {
    disposition: 'abandon',
    meaning:
      'A command names another currency than that of the account or the price book; amounts are never converted.',
    remedy: 'Send the amount in the currency of the account; import prices of another currency as another book.',
  },
  UNPRICED_UNKNOWN: {
    disposition: 'abandon',
    meaning: 'A trace was to be priced that is not parked as unpriced.',
    remedy: 'Check the tenant and the trace id; `tollbook unpriced list` shows what is parked.',
  },
  PRICE_NOT_ALLOWED: {
    disposition: 'abandon',
    meaning: 'A parked trace was to be priced that has been charged meanwhile, or whose charge was refused for good.',
    remedy: 'None when it is COMMITTED; `tollbook collect` charges a trace that is FAILED.',
  },
  PRICE_MISSING: {
    disposition: 'abandon',
    meaning: 'A parked trace was to be priced without a price for every meter that it used.',
    remedy: 'Give a price for each meter that the message names, or import a price book that has them.',
  },
  PRICE_BOOK_UNKNOWN: {
    disposition: 'halt',
    meaning: 'A price book was named, by TOLLBOOK_PRICE_BOOK or on the command line, that has never been imported.',
    remedy:
      'Import it with `tollbook prices import FILE --book NAME`, or correct the name; `tollbook prices list` shows them.',
  },
  PRICES_RETROACTIVE: {
    disposition: 'abandon',
    meaning: 'A new version of a price book would take effect in the past, or before the version that it follows.',
    remedy: 'Let it take effect now or later; what was charged too high or too low is mended by an adjustment.',
  },
  DEAD_LETTER_UNKNOWN: {
    disposition: 'abandon',
    meaning: 'No dead letter stands at the position named.',
    remedy: 'Check topic, partition and offset; `tollbook dead-letters list --state all` shows every position.',
  },
  DEAD_LETTER_CLOSED: {
    disposition: 'abandon',
    meaning: 'A dead letter that was redriven is to be discarded, or the other way round; nothing was written.',
    remedy: 'None: what became of a dead letter stands for ever; `tollbook dead-letters show` tells it.',
  },
  TOPIC_UNKNOWN: {
    disposition: 'abandon',
    meaning: 'A dead letter to redrive came from a topic that is neither of the two configured ones.',
    remedy: 'Set TOLLBOOK_TOPIC_PENDING or TOLLBOOK_TOPIC_COMPLETED to the topic it came from, for this command.',
  },
  HISTORY_WENT_BACK: {
    disposition: 'abandon',
    meaning:
      'PostgreSQL was put back to an earlier state: batches of commands, redrives or repairs that were committed are gone. Charges come back from Kafka by themselves.',
    remedy:
      'Find out which state was restored. `tollbook commands replay` books the commands of the journal again; redrive and repair again what else is named.',
  },
  LEDGER_CORRUPT: {
    disposition: 'halt',
    meaning: 'A proof failed: a hash, a chain, a sequence or a balance does not follow from the entries.',
    remedy: 'Stop writing, keep the database as it is, and look at the entry named in the message.',
  },
  STACK_SERVER_FAILED: {
    disposition: 'abandon',
    meaning: 'A server of the local stack did not start or stop.',
    remedy: 'Read the log named in the message.',
  },
  STACK_TOOL_MISSING: {
    disposition: 'abandon',
    meaning: 'A tool that the local stack needs (Java, Maven, unzip) is not installed and could not be installed.',
    remedy: 'Run the one command the message prints.',
  },
  FILE_UNREADABLE: {
    disposition: 'abandon',
    meaning: 'A file named on the command line cannot be read, or does not have the expected format.',
    remedy: 'Check the path and the line named in the message.',
  },
  RUN_STOPPED: {
    disposition: 'abandon',
    meaning: 'A signal ended a long command before it was done; what it has done so far stands.',
    remedy: 'Run it again; where it can go on from where it stood, the message says how.',
  },
  PROCESSING_STOPPED: {
    disposition: 'halt',
    meaning:
      'Twenty messages of a partition have failed one after the other, each for itself: a bug of this release, not of theirs.',
    remedy:
      'Read the errors logged and the dead letters PROCESSING_FAILED; redrive them once the cause is mended. The partition looks again by itself.',
  },
  INVARIANT_BROKEN: {
    disposition: 'halt',
    meaning: 'A state that the code rules out was reached: a bug in Tollbook.',
    remedy: 'Report it with the context; nothing was committed.',
  },
} as const satisfies Record<string, ErrorCodeRow>;

/** One word of the closed set of error codes. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** Facts that help to find the cause: never secrets, never whole events. */
export type ErrorContext = Readonly<Record<string, string | number | boolean | bigint | null | readonly string[]>>;

/** The error of this project: a code of the closed set, what was found and expected, and the facts around it. */
export class TollbookError extends Error {
  readonly code: ErrorCode;
  readonly disposition: Disposition;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; context?: ErrorContext } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'TollbookError';
    this.code = code;
    this.disposition = ERROR_CODES[code].disposition;
    this.context = options.context ?? {};
  }
}

/** Tells whether a caught value is ours, optionally with one code. */
export function isTollbookError(error: unknown, code?: ErrorCode): error is TollbookError {
  return error instanceof TollbookError && (code === undefined || error.code === code);
}

/** Fails with INVARIANT_BROKEN unless the condition holds: for states the code rules out. */
export function invariant(condition: boolean, message: string, context: ErrorContext = {}): asserts condition {
  if (!condition) throw new TollbookError('INVARIANT_BROKEN', message, { context });
}

/** Marks the branch of an exhaustive switch that no value can reach. */
export function unreachable(value: never): never {
  throw new TollbookError('INVARIANT_BROKEN', `unreachable value ${JSON.stringify(value)}`);
}
