/**
 * Owns: publishing every command that is booked to the journal, a Kafka topic, again and again while a process runs.
 * For each command stream that is ahead of the journal, as one database transaction:
 *
 *  1. Lock the position of the stream; another process that has the lock publishes in our place.
 *  2. Read the commands after it, in the order of their chain.
 *  3. Publish them, each under its tenant; wait until all in-sync replicas have them.
 *  4. Move the position; commit.
 *
 * A topic that was deleted and created again has another id, and gets every command from the first on.
 * A crash before 4 publishes them once more: at least once, never a gap. Replaying a command twice books it once.
 * Does not own: the form of a record (journal-record.ts), SQL.
 * Invariants: never in the way of a command or of charging: while Kafka is away commands are booked, the journal follows
 * later; that it is behind is told once.
 */
import type pg from 'pg';
import {
  type Journal,
  movePosition,
  readJournalRows,
  readStreamsBehind,
  type StreamBehind,
} from '../ledger/postgres/journal-rows.js';
import { rowsThrough } from '../ledger/postgres/anchor-rows.js';
import type { DurableProducer } from '../runtime/durable-producer.js';
import { isTollbookError } from '../runtime/errors.js';
import { faultPoint } from '../runtime/fault-points.js';
import { GrowingPause } from '../runtime/growing-pause.js';
import type { Logger } from '../runtime/logger.js';
import type { JournalIdentity } from './journal-identity.js';
import { recordText } from './journal-record.js';

/** What the follower works with; the topic is one ledger's alone. */
export interface JournalFollowerOptions {
  readonly pool: pg.Pool;
  readonly producer: Pick<DurableProducer, 'send' | 'disconnect'>;
  readonly topic: string;
  readonly identity: Pick<JournalIdentity, 'read' | 'close'>;
  readonly logger: Logger;
  /** How often it looks for new commands, in milliseconds. */
  readonly intervalMs: number;
}

/** Batches published in one database transaction; a command is about half a kilobyte. */
const BATCHES_MAX = 500;
const PAUSE_LONGEST_MS = 10_000;

/** Publishes commands until it is stopped. */
export class JournalFollower {
  readonly #options: JournalFollowerOptions;
  readonly #pause: GrowingPause;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #isStopped = false;
  #isBehind = false;

  constructor(options: JournalFollowerOptions) {
    this.#options = options;
    this.#pause = new GrowingPause({ firstMs: options.intervalMs, longestMs: PAUSE_LONGEST_MS });
  }

  /** Starts with a round at once. */
  start(): void {
    this.#round = this.#runRound();
  }

  /** Finishes the database transaction under way, and stops. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#round;
    await Promise.all([this.#options.producer.disconnect(), this.#options.identity.close()]);
  }

  /** Publishes all that is booked and not published yet. Throws POSTGRES_*, KAFKA_UNAVAILABLE, PUBLISH_FAILED. */
  async publish(): Promise<void> {
    const { pool, topic, identity } = this.#options;
    const journal = { topic, topicId: await identity.read() };
    for (const stream of await readStreamsBehind(rowsThrough(pool), journal)) {
      while (!this.#isStopped && (await this.#publishSome(journal, stream)));
    }
  }

  /** Returns whether there is more to publish of the stream. */
  async #publishSome(journal: Journal, { partition, headNo }: StreamBehind): Promise<boolean> {
    const { pool, producer, topic } = this.#options;
    let through = headNo;
    const isOurs = await movePosition(pool, { ...journal, partition }, async (client, after) => {
      through = Math.min(headNo, after + BATCHES_MAX);
      // Somebody else was faster, or the database is older than it was.
      if (through <= after) return after;
      const rows = await readJournalRows(client, { partition, after, through });
      const messages = rows.map((row) => ({ key: row.tenantId, value: recordText(partition, row) }));
      await producer.send([{ topic, messages }]);
      await faultPoint('journal.published');
      return through;
    });
    return isOurs && through < headNo;
  }

  /** Never rejects. */
  async #runRound(): Promise<void> {
    const pauseMs = await this.#attempt();
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#runRound();
    }, pauseMs);
  }

  /** Returns how long to wait before the next round. */
  async #attempt(): Promise<number> {
    const { logger, topic, intervalMs } = this.#options;
    try {
      await this.publish();
      if (this.#isBehind) logger.info({ topic }, 'commands are published to the journal again');
      this.#isBehind = false;
      this.#pause.reset();
      return intervalMs;
    } catch (error) {
      const level = isTollbookError(error) ? (this.#isBehind ? 'debug' : 'warn') : 'error';
      logger[level](
        { err: error, topic },
        'commands are not published to the journal for now; they are published later',
      );
      this.#isBehind = true;
      return this.#pause.afterFailure();
    }
  }
}
