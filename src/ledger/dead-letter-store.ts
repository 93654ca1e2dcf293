/**
 * Owns: the ports through which dead letters are found, and leave the open state.
 * Does not own: any decision. Adapters: src/ledger/postgres.
 * Invariants: a letter and the record of what became of it change together; nothing is ever deleted.
 */
import type {
  DeadLetterReason,
  LetterAction,
  LetterPosition,
  LetterState,
  LetterSummary,
  StoredLetter,
} from './dead-letter.js';
import type { LedgerEntry } from './entry.js';
import type { LedgerTransaction } from './ledger-store.js';

/** Which dead letters; what is absent does not filter. */
export interface LetterFilter {
  readonly state: LetterState | 'all';
  readonly reason?: DeadLetterReason;
  readonly topic?: string;
  readonly tenantId?: string;
  readonly traceId?: string;
  readonly eventId?: string;
  /** Recorded at or after this instant. */
  readonly since?: string;
  /** Recorded before this instant. */
  readonly until?: string;
}

/** A place in the order of dead letters: oldest first, then by position. */
export type LetterPlace = LetterPosition & Pick<LetterSummary, 'recordedAt'>;

/** A part of what a filter finds. */
export interface LetterRange {
  readonly after?: LetterPlace | undefined;
  /** The last place that belongs to the range; absent: to the end. */
  readonly through?: LetterPlace | undefined;
  readonly limit: number;
}

/** How many dead letters of one reason and topic a filter finds. */
export interface LetterCount {
  readonly reason: DeadLetterReason;
  readonly topic: string;
  readonly letters: number;
}

/** Everything about one dead letter. */
export interface LetterStory {
  readonly letter: StoredLetter;
  readonly action: LetterAction | undefined;
  /** The entries of its trace, as far as the trace is known: what became of it, or of the same request otherwise. */
  readonly entries: readonly LedgerEntry[];
}

/** Reads dead letters; everything it returns is committed. Every method throws POSTGRES_*. */
export interface DeadLetterReader {
  /** Dead letters of a filter, oldest first. */
  page(filter: LetterFilter, range: LetterRange): Promise<LetterSummary[]>;
  /** How many a filter finds, by reason and topic, the most frequent first. */
  count(filter: LetterFilter): Promise<LetterCount[]>;
  /** The place of the last one that a filter finds; undefined when it finds none. */
  lastPlace(filter: LetterFilter): Promise<LetterPlace | undefined>;
  /** The dead letters at some positions, in their order; where there is none, it is absent. */
  at(positions: readonly LetterPosition[]): Promise<LetterSummary[]>;
  /** Everything about one dead letter; undefined when there is none at the position. */
  story(position: LetterPosition): Promise<LetterStory | undefined>;
}

/** The database transaction in which dead letters leave the open state. */
export interface DeadLetterTransaction {
  /** The ledger in the same transaction. */
  readonly ledger: LedgerTransaction;
  /** Locks dead letters in the order of their positions and returns them with their bytes. */
  lockLetters(positions: readonly LetterPosition[]): Promise<StoredLetter[]>;
  /** Locks dead letters like `lockLetters`, and returns their states by `letterName`. */
  lockStates(positions: readonly LetterPosition[]): Promise<ReadonlyMap<string, LetterState>>;
  /** Records what became of open letters, and gives them that state. Throws POSTGRES_FAILED for one that is not open. */
  record(actions: readonly LetterAction[]): Promise<void>;
}

/** Changes dead letters. */
export interface DeadLetterStore {
  /**
   * Runs `work` in one database transaction: rolled back when it throws, or when `keeps` turns its result down.
   * Throws POSTGRES_*, FENCED, and what the work throws.
   */
  transact<T>(work: (transaction: DeadLetterTransaction) => Promise<T>, keeps?: (result: T) => boolean): Promise<T>;
}
