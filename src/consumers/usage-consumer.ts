/**
 * Owns: the Kafka side of charging: fetch, cut into chunks, run the charge protocol, heartbeat, recover, stop cleanly.
 * Does not own: the protocol itself (charge-protocol.ts), nor where to start (stream-positions.ts).
 * Invariants: Kafka's committed offset is a hint, written at most once a second; no error escapes into kafkajs but its
 * own (a TypeError there would stop the consumer for good); a partition whose log has lost messages is paused and
 * alarmed, the others go on; a paused partition is read again only from a position found afresh, since the offset that
 * kafkajs would go on from may lie behind the last message; on stop the running chunk is finished and committed before
 * the group is left.
 */
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import type { StreamSource } from '../ledger/batch.js';
import type { Clock } from '../runtime/clock.js';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import { faultPoint } from '../runtime/fault-points.js';
import type { Logger } from '../runtime/logger.js';
import type { ChargeProtocol, ChunkOutcome } from './charge-protocol.js';
import { ChargedPositions, type CursorsReader } from './charged-positions.js';
import { chunksOf, type MessageRange } from './chunks.js';
import type { UsageKind } from './intake.js';
import type { StartPosition, StreamPositions } from './stream-positions.js';

/** What the consumer works with; times in milliseconds. */
export interface UsageConsumerOptions {
  readonly kafka: Kafka;
  readonly groupId: string;
  /** After how long without a heartbeat the group goes on without this consumer. */
  readonly sessionTimeoutMs: number;
  /** Topic name → which event it carries. */
  readonly topics: ReadonlyMap<string, UsageKind>;
  readonly protocol: Pick<ChargeProtocol, 'charge'>;
  readonly positions: StreamPositions;
  readonly cursors: CursorsReader;
  readonly chunkMessagesMax: number;
  readonly partitionsConcurrent: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called before every fetched batch is charged. */
  readonly onFetch?: () => void;
  /** Called after every chunk. */
  readonly onChunk?: (outcome: ChunkOutcome) => void;
  /** Called when the consumer has stopped and will not restart by itself. */
  readonly onFatal: (error: TollbookError) => void;
}

const REBALANCE_TIMEOUT_MS = 60_000;
const HEARTBEAT_INTERVAL_MAX_MS = 3_000;
/** How soon partitions that were added to a topic are noticed; by default kafkajs looks every 5 minutes. */
const METADATA_AGE_MAX_MS = 10_000;
const FETCH_WAIT_MS = 100;
/** Partitions of one fetch that may wait to be charged together. */
const FETCHED_PARTITIONS_MAX = 32;
/** Moderate, since one fetch waits for all its batches; large enough for a chunk of 4,000 events of 500 bytes. */
const FETCH_BYTES_PER_PARTITION = 2 * 1024 * 1024;
/**
 * A fetch brings the messages of so many partitions more than are charged at once: the next begins only when all of it is
 * charged, and at its end cores would be idle. Three more than three were 9 % faster than none; one more is as fast, and 20 MB
 * less: what waits is decoded, in memory.
 */
const FETCHED_PARTITIONS_MORE = 1;
const CHUNK_BYTES_MAX = 8 * 1024 * 1024;
const OFFSET_HINT_INTERVAL_MS = 1_000;
const CONFLICT_RETRIES_MAX = 5;
const PAUSE_AFTER_FAILURE_MS = 500;
/** Longest wait of a stop for positions that are being looked up. */
const LOOK_UPS_WAIT_MAX_MS = 3_000;
/** How soon an idle partition notices that the database was restored from an older backup. */
const CURSOR_CHECK_INTERVAL_MS = 10_000;

/** What this process knows about a partition it is assigned. */
interface PartitionState {
  /** All before it is charged, and Kafka is read from it without a gap; undefined until it was found from the cursor. */
  position?: bigint;
  hintedAtMs: number;
}

/** What tells whether a seek waits. */
type ReadPayload = Pick<EachBatchPayload, 'isStale'>;

/** Consumes the usage topics into the ledger. */
export class UsageConsumer {
  readonly #options: UsageConsumerOptions;
  readonly #consumer: Consumer;
  readonly #partitions = new Map<string, PartitionState>();
  readonly #charged = new ChargedPositions();
  readonly #lookUps = new Set<Promise<unknown>>();
  readonly #retryTimers = new Map<string, NodeJS.Timeout>();
  #cursorTimer: NodeJS.Timeout | undefined;
  /** While false (before the join, after a stop, from a crash to the restart) kafkajs throws on seek, pause and resume. */
  #isMember = false;

  constructor(options: UsageConsumerOptions) {
    this.#options = options;
    this.#consumer = options.kafka.consumer({
      groupId: options.groupId,
      sessionTimeout: options.sessionTimeoutMs,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: Math.min(HEARTBEAT_INTERVAL_MAX_MS, options.sessionTimeoutMs / 3),
      metadataMaxAge: METADATA_AGE_MAX_MS,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      maxBytesPerPartition: FETCH_BYTES_PER_PARTITION,
      maxBytes: FETCH_BYTES_PER_PARTITION * (options.partitionsConcurrent + FETCHED_PARTITIONS_MORE),
      allowAutoTopicCreation: false,
    });
    this.#followGroup();
  }

  /** Joins the group and starts charging; resolves once the consumer runs. May be called again after it has failed. */
  async start(): Promise<void> {
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...this.#options.topics.keys()], fromBeginning: true });
    this.#cursorTimer ??= setInterval(() => void this.#followRestored(), CURSOR_CHECK_INTERVAL_MS);
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: FETCHED_PARTITIONS_MAX,
      eachBatch: (payload) => this.#consumeBatch(payload),
    });
  }

  #followGroup(): void {
    this.#consumer.on('consumer.group_join', ({ payload }) => {
      this.#isMember = true;
      this.#partitions.clear();
      this.#charged.clear();
      const sources = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) =>
        partitions.map((partition): StreamSource => ({ topic, partition })),
      );
      this.#options.logger.info({ partitions: sources.length }, 'joined the consumer group');
      for (const source of sources) void this.#seekToCursor(source);
    });
    this.#consumer.on('consumer.stop', () => {
      this.#isMember = false;
      for (const timer of this.#retryTimers.values()) clearTimeout(timer);
    });
    this.#consumer.on('consumer.crash', ({ payload }) => {
      if (payload.restart) return;
      this.#options.onFatal(
        new TollbookError('CONSUMER_CRASHED', `the Kafka consumer stopped: ${payload.error.message}`, {
          cause: payload.error,
        }),
      );
    });
  }

  /** Finishes the running chunks, commits them, leaves the group, disconnects, and lets look-ups under way end. */
  async stop(): Promise<void> {
    clearInterval(this.#cursorTimer);
    await this.#consumer.stop();
    await this.#consumer.disconnect();
    await this.#settleLookUps();
  }

  /** A look-up that outlived the stop would open the closed Kafka connection again, which keeps the process from ending. */
  async #settleLookUps(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise((resolve) => (timer = setTimeout(resolve, LOOK_UPS_WAIT_MAX_MS)));
    await Promise.race([Promise.allSettled(this.#lookUps), enough]);
    clearTimeout(timer);
  }

  /**
   * Finds the position of a source, seeks to it and ends its pause, or holds the partition back. Never rejects.
   * Pauses outlive a rebalance in kafkajs: one that a new assignment did not end would leave a partition unread.
   */
  async #seekToCursor(source: StreamSource): Promise<void> {
    try {
      const { offset, hasCursor } = await this.#lookUp(source);
      if (!this.#isMember) return;
      if (hasCursor) this.#charged.note(source, offset);
      else this.#charged.forget(source);
      this.#stateOf(source).position = offset;
      this.#consumer.seek({ ...source, offset: offset.toString() });
      this.#consumer.resume(selectionOf(source));
    } catch (error) {
      this.#holdBack(source, error);
    }
  }

  async #lookUp(source: StreamSource): Promise<StartPosition> {
    const lookUp = this.#options.positions.startOf(source);
    this.#lookUps.add(lookUp);
    try {
      return await lookUp;
    } finally {
      this.#lookUps.delete(lookUp);
    }
  }

  /** Goes back to the cursors of partitions that the ledger no longer has as far as they were charged. Never rejects. */
  async #followRestored(): Promise<void> {
    try {
      for (const source of await this.#charged.takeRestored(this.#options.cursors)) {
        this.#options.logger.error(source, 'the cursor went back (was the database restored?): reading from it again');
        await this.#seekToCursor(source);
      }
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'cursors cannot be read now');
    }
  }

  async #consumeBatch(payload: EachBatchPayload): Promise<void> {
    this.#options.onFetch?.();
    const { topic, partition, messages } = payload.batch;
    const source = { topic, partition };
    if (this.#stateOf(source).position === undefined) {
      await this.#seekToCursor(source);
      return;
    }
    const bounds = { messagesMax: this.#options.chunkMessagesMax, bytesMax: CHUNK_BYTES_MAX };
    for (const range of chunksOf(messages, bounds)) {
      if (!payload.isRunning() || payload.isStale()) break;
      const goesOn = await this.#chargeRange(source, range, payload);
      if (!goesOn) break;
      payload.resolveOffset((range.nextOffset - 1n).toString());
      await payload.heartbeat();
      await this.#hintOffset(payload, range.nextOffset);
    }
  }

  /** Charges one chunk; false when reading must go on from elsewhere, or later. */
  async #chargeRange(source: StreamSource, range: MessageRange, payload: ReadPayload): Promise<boolean> {
    try {
      let outcome = await this.#chargeWithRetries(source, range);
      if (outcome.kind === 'hole' && (await this.#isHarmlessHole(source, outcome.expectedOffset, payload))) {
        outcome = await this.#chargeWithRetries(source, range, outcome.expectedOffset);
      }
      this.#options.onChunk?.(outcome);
      if (outcome.kind === 'charged') this.#charged.note(source, range.nextOffset);
      else if (outcome.kind === 'hole' || outcome.nextOffset !== range.nextOffset) {
        await this.#seekToCursor(source);
        return false;
      }
      if (!payload.isStale()) this.#stateOf(source).position = range.nextOffset;
      return true;
    } catch (error) {
      this.#holdBack(source, error);
      return false;
    }
  }

  /** Charges one chunk; repeats it from fresh state when it lost against a concurrent database transaction. */
  async #chargeWithRetries(
    source: StreamSource,
    range: MessageRange,
    harmlessHoleFrom?: bigint,
  ): Promise<ChunkOutcome> {
    const chunk = {
      source,
      kind: this.#kindOf(source),
      ...range,
      hasCursor: this.#charged.has(source),
      ...(harmlessHoleFrom === undefined ? {} : { harmlessHoleFrom }),
    };
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#options.protocol.charge(chunk);
      } catch (error) {
        if (!isTollbookError(error, 'POSTGRES_CONFLICT') || attempt > CONFLICT_RETRIES_MAX) throw error;
        this.#options.logger.debug({ ...source, attempt }, 'database conflict: charging the chunk again');
      }
    }
  }

  /**
   * Whether the offsets from the cursor up to a chunk hold nothing to charge: Kafka was read from just there up to it, and
   * its log has lost nothing. Not so while a seek waits: then the chunk was read before it. Throws STREAM_GAP.
   */
  async #isHarmlessHole(source: StreamSource, expectedOffset: bigint, payload: ReadPayload): Promise<boolean> {
    if (this.#stateOf(source).position !== expectedOffset || payload.isStale()) return false;
    await this.#options.positions.assertHarmlessHole(source, expectedOffset);
    return true;
  }

  /**
   * After an error, pauses a partition we still have: for a moment when a retry can mend it, otherwise until an operator has
   * acted and it is assigned anew.
   */
  #holdBack(source: StreamSource, error: unknown): void {
    const { logger, onFatal } = this.#options;
    this.#partitions.delete(keyOf(source));
    clearTimeout(this.#retryTimers.get(keyOf(source)));
    if (!this.#isMember) return;
    if (!isTollbookError(error)) {
      onFatal(new TollbookError('INVARIANT_BROKEN', `charging ${keyOf(source)} failed unexpectedly`, { cause: error }));
      return;
    }
    this.#consumer.pause(selectionOf(source));
    if (error.disposition === 'halt') {
      logger.error({ err: error, ...source }, 'partition stopped: an operator must act');
      return;
    }
    logger.warn({ err: error, ...source }, 'partition paused for a moment');
    const retry = (): void => void this.#seekToCursor(source);
    this.#retryTimers.set(keyOf(source), setTimeout(retry, PAUSE_AFTER_FAILURE_MS));
  }

  /** Step 7's hint: lag tools read it, nothing depends on it. */
  async #hintOffset(payload: EachBatchPayload, nextOffset: bigint): Promise<void> {
    const { topic, partition } = payload.batch;
    const state = this.#stateOf({ topic, partition });
    const nowMs = this.#options.clock.nowMs();
    if (payload.isRunning() && nowMs - state.hintedAtMs < OFFSET_HINT_INTERVAL_MS) return;
    state.hintedAtMs = nowMs;
    await payload.commitOffsetsIfNecessary({
      topics: [{ topic, partitions: [{ partition, offset: nextOffset.toString() }] }],
    });
    await faultPoint('charge.hinted');
  }

  #stateOf(source: StreamSource): PartitionState {
    const key = keyOf(source);
    const known = this.#partitions.get(key);
    if (known !== undefined) return known;
    const fresh: PartitionState = { hintedAtMs: 0 };
    this.#partitions.set(key, fresh);
    return fresh;
  }

  #kindOf(source: StreamSource): UsageKind {
    return this.#options.topics.get(source.topic) ?? 'completed';
  }
}

function selectionOf({ topic, partition }: StreamSource): { topic: string; partitions: number[] }[] {
  return [{ topic, partitions: [partition] }];
}

function keyOf({ topic, partition }: StreamSource): string {
  return `${topic}/${partition}`;
}
