/**
 * Owns: noticing that PostgreSQL was put back to an earlier state, and telling it until it is mended: the chains of
 * commands, redrives and repairs have no source from which they come back by themselves, as charges have.
 * Does not own: booking them again (replay-commands.ts).
 * Two memories are held against the database:
 * - The ends of the chains as this process has seen them, in every round.
 * - For commands, the end of the journal, which outlives every process and knows what was booked since the last round: at the
 *   start, whenever another server or database has taken over, and until a loss is mended.
 * Invariants: reads only; never rejects; a loss is told as an ERROR at once and again and again; one of commands is over
 * when the ledger has every command that the journal has of the lost batches, any other one when the process ends.
 */
import type { Kafka } from 'kafkajs';
import { sourceName, type StreamSource } from '../ledger/batch.js';
import { COMMAND_TOPIC } from '../ledger/commands/command-stream.js';
import { REDRIVE_TOPIC } from '../ledger/dead-letter.js';
import type { ReadRows } from '../ledger/postgres/anchor-rows.js';
import { readDatabaseIdentity } from '../ledger/postgres/chain-tails.js';
import { REPAIR_TOPIC } from '../reconciliation/repair/repair-stream.js';
import type { Clock } from '../runtime/clock.js';
import { isTollbookError } from '../runtime/errors.js';
import type { Logger } from '../runtime/logger.js';
import { ChainMemory, type LostBatches } from './chain-memory.js';
import { type JournalTail, readJournalTail } from './journal-tail.js';

/** Streams that are written by commands of an operator. */
export const COMMANDED_TOPICS: ReadonlySet<string> = new Set([COMMAND_TOPIC, REDRIVE_TOPIC, REPAIR_TOPIC]);

/** A loss, and since when it is known. */
export interface LostHistory extends LostBatches {
  readonly sinceMs: number;
  /** What to do about it. */
  readonly remedy: string;
}

/** What the watch works with. */
export interface HistoryWatchOptions {
  readonly rows: ReadRows;
  /** The journal, where there is one. */
  readonly journal: { readonly kafka: Kafka; readonly topic: string } | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly intervalMs: number;
  /** How often the journal is read while commands are lost, in milliseconds. */
  readonly journalEveryMs: number;
  /** How often a loss that is not mended is told again, in milliseconds. */
  readonly alarmEveryMs: number;
}

/** Watches until it is stopped. */
export class HistoryWatch {
  readonly #options: HistoryWatchOptions;
  readonly #memory: ChainMemory;
  readonly #lost = new Map<string, LostHistory>();
  /** The database that the journal was last compared with. */
  #comparedWith: string | undefined;
  #comparedAtMs = Number.NEGATIVE_INFINITY;
  #toldAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: HistoryWatchOptions) {
    this.#options = options;
    this.#memory = new ChainMemory(options.rows, [...COMMANDED_TOPICS]);
  }

  /** What is lost and not mended. */
  lost(): readonly LostHistory[] {
    return [...this.#lost.values()];
  }

  /** Starts with a round at once. */
  start(): void {
    this.#round = this.#runRound();
  }

  /** Finishes the round under way, and stops. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#round;
  }

  /** Looks once. Throws POSTGRES_*, KAFKA_UNAVAILABLE, TOPIC_MISSING. */
  async look(): Promise<void> {
    const identity = await readDatabaseIdentity(this.#options.rows);
    for (const batches of await this.#memory.compare()) this.#note(batches);
    this.#tell();
    await this.#compareJournal(identity);
    this.#tell();
  }

  async #compareJournal(identity: string): Promise<void> {
    const { journal, rows, clock, journalEveryMs } = this.#options;
    const isAlarmed = this.lost().some(({ source }) => source.topic === COMMAND_TOPIC);
    const isDue = isAlarmed && clock.nowMs() - this.#comparedAtMs >= journalEveryMs;
    if (journal === undefined || (this.#comparedWith === identity && !isDue)) return;
    this.#comparedAtMs = clock.nowMs();
    const tail = await readJournalTail(journal.kafka, rows, journal.topic);
    this.#comparedWith = identity;
    for (const batches of tail.lost) this.#note(batches);
    for (const lost of this.lost()) if (isMended(lost, tail)) this.#end(lost);
  }

  #note(batches: LostBatches): void {
    const name = sourceName(batches.source);
    const known = this.#lost.get(name);
    const widened = known === undefined ? batches : together(known, batches);
    if (known !== undefined && widened.from === known.from && widened.to === known.to) return;
    const sinceMs = known?.sinceMs ?? this.#options.clock.nowMs();
    this.#lost.set(name, { ...widened, sinceMs, remedy: this.#remedyOf(batches.source) });
    this.#toldAtMs = Number.NEGATIVE_INFINITY;
  }

  #end({ source, from, to }: LostHistory): void {
    this.#lost.delete(sourceName(source));
    const facts = { source: sourceName(source), fromBatch: from, toBatch: to };
    this.#options.logger.info(facts, 'every command that was lost is booked again');
  }

  #tell(): void {
    const { logger, alarmEveryMs, clock } = this.#options;
    if (this.#lost.size === 0 || clock.nowMs() - this.#toldAtMs < alarmEveryMs) return;
    this.#toldAtMs = clock.nowMs();
    for (const { source, from, to, lastHash, lastSealedAt, remedy } of this.lost()) {
      const facts = { source: sourceName(source), fromBatch: from, toBatch: to, lastHash, lastSealedAt };
      const what = `batches ${from} to ${to} of ${sourceName(source)} are gone`;
      logger.error(
        { code: 'HISTORY_WENT_BACK', ...facts },
        `PostgreSQL was put back to an earlier state: ${what}; ${remedy}`,
      );
    }
  }

  #remedyOf({ topic }: StreamSource): string {
    if (topic === REDRIVE_TOPIC) return 'redrive the dead letters that are open again';
    if (topic === REPAIR_TOPIC) return 'run "tollbook reconcile --repair" again';
    return this.#options.journal === undefined
      ? 'no journal is kept (TOLLBOOK_COMMANDS_TOPIC): give the commands again, with their keys'
      : 'run "tollbook commands replay"';
  }

  /** Never rejects. */
  async #runRound(): Promise<void> {
    const { logger, intervalMs } = this.#options;
    try {
      await this.look();
    } catch (error) {
      // A server is away: others tell so, and what is remembered stays.
      const level = isTollbookError(error) ? 'debug' : 'error';
      logger[level]({ err: error }, 'the chains of commands could not be compared with what was seen of them');
    }
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#runRound();
    }, intervalMs);
  }
}

/** One loss of the same chain, noticed in two ways. */
function together(left: LostBatches, right: LostBatches): LostBatches {
  const commandHashes = [...new Set([...left.commandHashes, ...right.commandHashes])];
  const last = right.to > left.to ? right : left;
  return { ...last, from: Math.min(left.from, right.from), commandHashes };
}

/** Whether the ledger has every command of the lost batches again, as far as the journal tells. */
function isMended({ source, commandHashes }: LostHistory, { lost, records }: JournalTail): boolean {
  if (source.topic !== COMMAND_TOPIC || lost.some((each) => each.source.partition === source.partition)) return false;
  const journalled = new Set(records.map(({ batch }) => batch.hash));
  return commandHashes.every((hash) => journalled.has(hash));
}
