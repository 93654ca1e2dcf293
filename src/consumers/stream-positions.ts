/**
 * Owns: where to read each partition from: the ledger's cursor held against what Kafka's log still has.
 * Does not own: reading (usage-consumer.ts), nor the cursor's advance (the charge protocol).
 * Invariants: positions come from the cursors, whatever offset Kafka has committed for the group; a log that starts
 * behind the cursor is loss and stops the partition; so does a cursor past the end of the log, or another log.
 */
import type { Admin } from 'kafkajs';
import type { StreamSource } from '../ledger/batch.js';
import { UNKNOWN_LOG } from '../ledger/charged-log.js';
import type { Cursor } from '../ledger/ledger-store.js';
import { TollbookError } from '../runtime/errors.js';
import { ofCluster } from './charge-protocol.js';
import { assertSameLog, type LogReader } from './log-identity.js';

/** Reads the cursor of a source without locking it. */
export interface CursorReader {
  readCursor(source: StreamSource): Promise<Cursor | undefined>;
}

/** What positions are found from. */
export interface StreamPositionsOptions {
  readonly admin: Admin;
  readonly cursors: CursorReader;
  readonly clusterId: string;
  /** Tells one log from another; without it only offsets are compared. */
  readonly log?: LogReader;
}

/** Where to begin. */
export interface StartPosition {
  readonly offset: bigint;
  /** Position in the ledger, which `offset` is, less offset in Kafka. */
  readonly base: bigint;
  /** Whether the ledger has charged something of the source: it is then its cursor, otherwise the start of the log. */
  readonly hasCursor: boolean;
}

/** Finds positions. */
export class StreamPositions {
  readonly #options: StreamPositionsOptions;

  constructor(options: StreamPositionsOptions) {
    this.#options = options;
  }

  /**
   * Where to read a source from: its cursor, or the start of the log when it has none.
   * Throws STREAM_GAP, CURSOR_AHEAD_OF_LOG, LOG_REPLACED, CLUSTER_MISMATCH: the partition must not be read; KAFKA_UNAVAILABLE: not now.
   */
  async startOf(source: StreamSource): Promise<StartPosition> {
    const cursor = await this.#options.cursors.readCursor(source);
    if (cursor === undefined) return { offset: (await this.#logOf(source)).start, base: 0n, hasCursor: false };
    const { nextOffset, log: charged = UNKNOWN_LOG } = ofCluster(cursor, this.#options.clusterId);
    if (this.#options.log !== undefined) await assertSameLog(this.#options.log, source, charged);
    const { base } = charged;
    const log = await this.#logOf(source, base);
    assertNoLoss(source, { nextOffset, logStart: log.start });
    if (nextOffset > log.end) {
      throw new TollbookError(
        'CURSOR_AHEAD_OF_LOG',
        `the cursor of ${source.topic}/${source.partition} is ${nextOffset}, but the log ends at ${log.end}: ` +
          'the topic was recreated or truncated; ' +
          `go on with it from its start by: tollbook cursors accept-log --topic ${source.topic} --partition ${source.partition} --actor … --reason …`,
        { context: { ...source, nextOffset, logEnd: log.end } },
      );
    }
    return { offset: nextOffset, base, hasCursor: true };
  }

  /** The first offset of Kafka's log. Throws TOPIC_MISSING, KAFKA_UNAVAILABLE. */
  async logStart(source: StreamSource): Promise<bigint> {
    return (await this.#logOf(source)).start;
  }

  /** The id of the topic now, for messages fetched before; null where there is none. Throws KAFKA_UNAVAILABLE. */
  async topicId(source: StreamSource): Promise<string | null> {
    return (await this.#options.log?.topicId(source)) ?? null;
  }

  /** The bounds of a log as positions of the ledger. */
  async #logOf({ topic, partition }: StreamSource, base = 0n): Promise<{ start: bigint; end: bigint }> {
    const partitions = await this.#offsetsOf(topic);
    const found = partitions.find((each) => each.partition === partition);
    if (found === undefined) {
      throw new TollbookError('TOPIC_MISSING', `Kafka has no partition ${partition} of topic ${topic}`);
    }
    return { start: BigInt(found.low) + base, end: BigInt(found.high) + base };
  }

  /** A broker that restarts must not pass for a bug: whatever the client throws here is worth another try. */
  async #offsetsOf(topic: string): ReturnType<Admin['fetchTopicOffsets']> {
    try {
      return await this.#options.admin.fetchTopicOffsets(topic);
    } catch (error) {
      const found = error instanceof Error ? error.message : String(error);
      throw new TollbookError('KAFKA_UNAVAILABLE', `Kafka does not tell the offsets of ${topic}: ${found}`, {
        cause: error,
      });
    }
  }
}

function assertNoLoss(
  { topic, partition }: StreamSource,
  { nextOffset, logStart }: { nextOffset: bigint; logStart: bigint },
): void {
  if (logStart <= nextOffset) return;
  throw new TollbookError(
    'STREAM_GAP',
    `Kafka lost offsets ${nextOffset} to ${logStart - 1n} of ${topic}/${partition} before they were charged; ` +
      `accept the loss with: tollbook cursors accept-gap --topic ${topic} --partition ${partition} --to ${logStart} --actor … --reason …`,
    { context: { topic, partition, nextOffset, logStart } },
  );
}
