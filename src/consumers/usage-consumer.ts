/**
 * Owns: the Kafka side of charging: fetch, cut into chunks, run the charge protocol, heartbeat, recover, stop cleanly.
 * Does not own: the protocol itself (charge-protocol.ts), repeating it (range-charger.ts), where to start
 * (stream-positions.ts), nor when a stopped partition is tried again and what is told of it (stopped-partitions.ts).
 * Invariants:
 * - Kafka's committed offset is a hint, written at most once a second.
 * - No error escapes into kafkajs but its own: a TypeError there would stop the consumer for good.
 * - An error stops one partition; the others continue, and so does the process.
 * - A stopped partition is read again only from a position found afresh: kafkajs' own may lie behind the last message.
 * - What was fetched of one partition is charged for a bounded time; the rest of it is fetched again.
 * - On stop the running chunk is finished and committed before the group is left.
 */
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { sourceName, type StreamSource } from '../ledger/batch.js';
import { recordMark } from '../ledger/charged-log.js';
import type { FetchedLog } from '../records/fetched-log.js';
import { fetchedLogOf, gateFetches } from '../records/gated-kafka.js';
import type { Clock } from '../runtime/clock.js';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import { faultPoint } from '../runtime/fault-points.js';
import type { Logger } from '../runtime/logger.js';
import type { ChargeProtocol, Chunk } from './charge-protocol.js';
import { ChargedPositions, type CursorsReader } from './charged-positions.js';
import { type ChunkBounds, chunksOf, type MessageRange } from './chunks.js';
import { FETCHED_PARTITIONS_MAX, type FetchOptions, fetchSettings } from './fetch-settings.js';
import type { UsageKind } from './intake.js';
import { GroupMembership } from './group-membership.js';
import { PositionLookUps } from './position-look-ups.js';
import { RangeCharger } from './range-charger.js';
import { StoppedPartitions, type StoppedPartition, type StopTiming } from './stopped-partitions.js';
import type { StreamPositions } from './stream-positions.js';

/** What the consumer works with; times in milliseconds. */
export interface UsageConsumerOptions extends StopTiming, FetchOptions {
  readonly kafka: Kafka;
  /** Topic name → which event it carries. */
  readonly topics: ReadonlyMap<string, UsageKind>;
  readonly protocol: Pick<ChargeProtocol, 'charge'>;
  readonly positions: StreamPositions;
  readonly cursors: CursorsReader;
  readonly chunkMessagesMax: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called before every fetched batch is charged. */
  readonly onFetch?: () => void;
  /** Called when the consumer has stopped and will not restart by itself. */
  readonly onFatal: (error: TollbookError) => void;
}

const CHUNK_BYTES_MAX = 8 * 1024 * 1024;
/**
 * How long one fetched log is charged before the others have their turn: the next fetch of all begins when this one ends. A
 * batch of 280 kB may hold 200,000 records; charging all of them at once held up the other partitions for half a minute.
 */
const LOG_TURN_MAX_MS = 2_000;
const OFFSET_HINT_INTERVAL_MS = 1_000;
/** How soon an idle partition notices that the database was restored from an older backup. */
const CURSOR_CHECK_INTERVAL_MS = 10_000;

/** What this process knows about a partition it is assigned. */
interface PartitionState {
  /** All before it is charged, and Kafka is read from it without a gap; undefined until it was found from the cursor. */
  position?: bigint;
  /** Position in the ledger less offset in Kafka. */
  base: bigint;
  hintedAtMs: number;
}

/** What tells whether a seek waits. */
type ReadPayload = Pick<EachBatchPayload, 'isStale'>;

/** Consumes the usage topics into the ledger. */
export class UsageConsumer {
  readonly #options: UsageConsumerOptions;
  readonly #bounds: ChunkBounds;
  readonly #consumer: Consumer;
  readonly #partitions = new Map<string, PartitionState>();
  readonly #charged = new ChargedPositions();
  readonly #lookUps: PositionLookUps;
  readonly #stopped: StoppedPartitions;
  readonly #ranges: RangeCharger;
  readonly #membership: GroupMembership;
  #cursorTimer: NodeJS.Timeout | undefined;

  constructor(options: UsageConsumerOptions) {
    this.#options = options;
    this.#bounds = { messagesMax: options.chunkMessagesMax, bytesMax: CHUNK_BYTES_MAX };
    this.#lookUps = new PositionLookUps(options.positions);
    this.#ranges = new RangeCharger(options);
    this.#stopped = new StoppedPartitions({ ...options, tryAgain: (source) => void this.#seekToCursor(source) });
    this.#consumer = gateFetches(options.kafka).consumer(fetchSettings(options));
    this.#membership = new GroupMembership(this.#consumer, options.clock, {
      onAssigned: (sources) => this.#takeAssignment(sources),
      onLeft: () => this.#stopped.pauseAttempts(),
      onFatal: options.onFatal,
    });
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

  #takeAssignment(sources: readonly StreamSource[]): void {
    this.#partitions.clear();
    this.#charged.clear();
    this.#stopped.assign(sources);
    this.#options.logger.info({ partitions: sources.length }, 'joined the consumer group');
    for (const source of sources) void this.#seekToCursor(source);
  }

  /** Finishes the running chunks, commits them, leaves the group, disconnects, and lets look-ups under way end. */
  async stop(): Promise<void> {
    clearInterval(this.#cursorTimer);
    await this.#consumer.stop();
    await this.#consumer.disconnect();
    await this.#lookUps.settle();
    this.#stopped.clear();
  }

  /** Whether it is a member of its group, and what it was given. */
  get membership(): Pick<GroupMembership, 'isMember' | 'sinceMs' | 'assigned'> {
    return this.#membership;
  }

  /** The assigned partitions that cannot be charged now. */
  stopped(): readonly StoppedPartition[] {
    return this.#stopped.list();
  }

  /**
   * Finds the position of a source, seeks to it and ends its pause, or holds the partition back. Never rejects.
   * Pauses outlive a rebalance in kafkajs: one that a new assignment did not end would leave a partition unread.
   */
  async #seekToCursor(source: StreamSource): Promise<void> {
    try {
      const { offset, base, hasCursor } = await this.#lookUps.startOf(source);
      if (!this.#membership.isMember) return;
      if (hasCursor) this.#charged.note(source, offset);
      else this.#charged.forget(source);
      Object.assign(this.#stateOf(source), { position: offset, base });
      this.#consumer.seek({ ...source, offset: (offset - base).toString() });
      this.#consumer.resume(selectionOf(source));
      this.#stopped.positionFound(source, offset);
    } catch (error) {
      this.#holdBack(source, error);
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
    const { topic, partition } = payload.batch;
    const source = { topic, partition };
    const { position, base } = this.#stateOf(source);
    if (position === undefined) {
      await this.#seekToCursor(source);
      return;
    }
    const topicId = await this.#topicIdNow(source);
    if (topicId === undefined) return;
    await this.#chargeLog(fetchedLogOf(payload.batch).withBase(base), topicId, payload);
  }

  /**
   * Charges chunk by chunk what was fetched, up to where the log cannot be read on or its turn ends. Throws what kafkajs
   * throws.
   */
  async #chargeLog(log: FetchedLog, topicId: string | null, payload: EachBatchPayload): Promise<void> {
    const { topic, partition, base, from } = log.facts;
    const source = { topic, partition };
    const turnEndsMs = this.#options.clock.nowMs() + LOG_TURN_MAX_MS;
    let position = from + base;
    try {
      for (const range of chunksOf(log, this.#bounds)) {
        if (!payload.isRunning() || payload.isStale()) break;
        const goesOn = await this.#chargeRange(this.#chunkOf(source, range, { base, topicId }), payload);
        if (!goesOn) break;
        position = range.nextOffset;
        payload.resolveOffset((position - base - 1n).toString());
        await payload.heartbeat();
        await this.#hintOffset(payload, position - base);
        if (this.#options.clock.nowMs() >= turnEndsMs) break;
      }
    } catch (error) {
      if (!isTollbookError(error)) throw error;
      this.#holdBack(source, error, position);
    }
  }

  /** The id of the topic that was fetched from, asked for after the fetch; undefined, the partition being held back, when away. */
  async #topicIdNow(source: StreamSource): Promise<string | null | undefined> {
    try {
      return await this.#options.positions.topicId(source);
    } catch (error) {
      this.#holdBack(source, error);
      return undefined;
    }
  }

  #chunkOf(source: StreamSource, range: MessageRange, log: Pick<Chunk, 'topicId'> & { readonly base: bigint }): Chunk {
    const { messages, from, nextOffset, lastTimestamp: timestamp } = range;
    const last = messages[messages.length - 1];
    return {
      ...{
        source,
        kind: this.#kindOf(source),
        messages,
        from,
        nextOffset,
        hasCursor: this.#charged.has(source),
        ...log,
      },
      lastRecord: last && recordMark(last.kafkaOffset, log.base, { timestamp, key: last.key, value: last.value }),
    };
  }

  /** Charges one chunk; false when reading must go on from elsewhere, or later. */
  async #chargeRange(chunk: Chunk, payload: ReadPayload): Promise<boolean> {
    const { source, from, nextOffset } = chunk;
    try {
      this.#stopped.begin(source, from);
      const outcome = await this.#ranges.charge(chunk);
      if (outcome.kind === 'charged') this.#charged.note(source, nextOffset);
      else if (outcome.kind === 'hole' || outcome.nextOffset !== nextOffset) {
        this.#stopped.end(source);
        await this.#seekToCursor(source);
        return false;
      }
      this.#stopped.charged(source);
      if (!payload.isStale()) this.#stateOf(source).position = nextOffset;
      return true;
    } catch (error) {
      this.#holdBack(source, error, from);
      return false;
    }
  }

  /** After an error, pauses a partition that we still have, until it is tried again. */
  #holdBack(source: StreamSource, error: unknown, failedOffset?: bigint): void {
    this.#partitions.delete(sourceName(source));
    if (!this.#membership.isMember) return;
    this.#consumer.pause(selectionOf(source));
    const message = `charging ${sourceName(source)} failed unexpectedly`;
    const problem = isTollbookError(error) ? error : new TollbookError('INVARIANT_BROKEN', message, { cause: error });
    this.#stopped.stop(source, problem, failedOffset);
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
    const key = sourceName(source);
    const known = this.#partitions.get(key);
    if (known !== undefined) return known;
    const fresh: PartitionState = { base: 0n, hintedAtMs: 0 };
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
