/**
 * Owns: where to read each partition from: the ledger's cursor held against what Kafka's log still has.
 * Does not own: reading (usage-consumer.ts), nor the cursor's advance (the charge protocol).
 * Invariants: positions come from the cursors, whatever offset Kafka has committed for the group; a log that starts
 * behind the cursor is loss and stops the partition; so does a cursor past the end of the log.
 */
import type { Admin } from 'kafkajs';
import type { StreamSource } from '../ledger/batch.js';
import type { Cursor } from '../ledger/ledger-store.js';
import { TollbookError } from '../runtime/errors.js';
import { ofCluster } from './charge-protocol.js';

/** Reads the cursor of a source without locking it. */
export interface CursorReader {
  readCursor(source: StreamSource): Promise<Cursor | undefined>;
}

/** What positions are found from. */
export interface StreamPositionsOptions {
  readonly admin: Admin;
  readonly cursors: CursorReader;
  readonly clusterId: string;
}

/** Where to begin. */
export interface StartPosition {
  readonly offset: bigint;
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
   * Throws STREAM_GAP, CURSOR_AHEAD_OF_LOG, CLUSTER_MISMATCH: the partition must not be read; KAFKA_UNAVAILABLE: not now.
   */
  async startOf(source: StreamSource): Promise<StartPosition> {
    const cursor = await this.#options.cursors.readCursor(source);
    const log = await this.#logOf(source);
    if (cursor === undefined) return { offset: log.start, hasCursor: false };
    const { nextOffset } = ofCluster(cursor, this.#options.clusterId);
    assertNoLoss(source, { nextOffset, logStart: log.start });
    if (nextOffset > log.end) {
      throw new TollbookError(
        'CURSOR_AHEAD_OF_LOG',
        `the cursor of ${source.topic}/${source.partition} is ${nextOffset}, but the log ends at ${log.end}: ` +
          'the topic was recreated or truncated',
        { context: { ...source, nextOffset, logEnd: log.end } },
      );
    }
    return { offset: nextOffset, hasCursor: true };
  }

  /** Throws STREAM_GAP when Kafka's log starts behind `nextOffset`; otherwise a hole there holds nothing chargeable. */
  async assertHarmlessHole(source: StreamSource, nextOffset: bigint): Promise<void> {
    const log = await this.#logOf(source);
    assertNoLoss(source, { nextOffset, logStart: log.start });
  }

  async #logOf({ topic, partition }: StreamSource): Promise<{ start: bigint; end: bigint }> {
    const partitions = await this.#offsetsOf(topic);
    const found = partitions.find((each) => each.partition === partition);
    if (found === undefined) {
      throw new TollbookError('TOPIC_MISSING', `Kafka has no partition ${partition} of topic ${topic}`);
    }
    return { start: BigInt(found.low), end: BigInt(found.high) };
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
