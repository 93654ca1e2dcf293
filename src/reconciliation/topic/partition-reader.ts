/**
 * Owns: reading one partition in order, up to the offset asked for, with the next fetch under way while its messages are
 * worked on.
 * Does not own: the requests (kafka-fetch.ts), what a log holds (records/fetched-log.ts), nor what the messages mean.
 * Invariants: every message is handed out once, in the order of the log; what the log has lost since reading began, or
 * lacks in between, is told as a range, never passed over in silence; at most two fetches are held, and of one of them a
 * single batch decompressed.
 */
import type { StreamSource } from '../../ledger/batch.js';
import { unreadError } from '../../consumers/chunks.js';
import type { ChunkMessage } from '../../consumers/intake.js';
import type { FetchedLog } from '../../records/fetched-log.js';
import type { FetchedMessage } from '../../records/fetched-message.js';
import type { Fetched, KafkaFetch } from './kafka-fetch.js';

/** A message with the time its producer gave it, in milliseconds since the Unix epoch. */
export type TopicMessage = ChunkMessage & Pick<FetchedMessage, 'timestampMs'>;

/** Offsets from, up to, not including, to. */
export interface OffsetRange {
  readonly from: bigint;
  readonly to: bigint;
}

/** What `take` brought. */
export interface Taken {
  readonly messages: readonly TopicMessage[];
  /** Offsets that Kafka no longer held when they were to be read. */
  readonly expired: readonly OffsetRange[];
  /** Where reading goes on: below the offset asked for only when the log ends there. */
  readonly position: bigint;
}

/** What a reader reads with. */
export interface PartitionReaderPorts {
  readonly fetch: Pick<KafkaFetch, 'fetch'>;
  /** Where the log of a partition starts now. */
  readonly logStart: (source: StreamSource) => Promise<bigint>;
}

/** Reads one partition from an offset on. */
export class PartitionReader {
  readonly #ports: PartitionReaderPorts;
  readonly #source: StreamSource;
  readonly #bytesMax: number;
  /** Position in the ledger less offset in Kafka; all other offsets here are positions. */
  readonly #base: bigint;
  /** What is left of the last fetch, and the first of it. */
  #items: Generator<TopicMessage | OffsetRange, bigint> | undefined;
  #first: TopicMessage | OffsetRange | undefined;
  /** The first offset that has not been fetched. */
  #fetchFrom: bigint;
  #underWay: Promise<Fetched> | undefined;

  constructor(
    ports: PartitionReaderPorts,
    source: StreamSource,
    start: { from: bigint; bytesMax: number; base?: bigint },
  ) {
    this.#ports = ports;
    this.#source = source;
    this.#fetchFrom = start.from;
    this.#bytesMax = start.bytesMax;
    this.#base = start.base ?? 0n;
  }

  /**
   * Hands out every message below `until` that has not been handed out.
   * Throws KAFKA_UNAVAILABLE, BATCH_CRC_MISMATCH.
   */
  async take(until: bigint): Promise<Taken> {
    const messages: TopicMessage[] = [];
    const expired: OffsetRange[] = [];
    for (;;) {
      this.#handOut({ messages, expired }, until);
      if (this.#first !== undefined || this.#fetchFrom >= until) return { messages, expired, position: until };
      const fetched = await this.#fetched();
      if (fetched.kind === 'end') return { messages, expired, position: this.#fetchFrom };
      if (fetched.kind === 'outOfRange') {
        const lost = await this.#lost(until);
        if (lost === undefined) return { messages, expired, position: this.#fetchFrom };
        expired.push(lost);
        this.#fetchFrom = lost.to;
        continue;
      }
      this.#hold(fetched.log);
    }
  }

  /** The next message, which stays to be taken; undefined at the end of the log. Throws KAFKA_UNAVAILABLE, BATCH_CRC_MISMATCH. */
  async peek(): Promise<TopicMessage | undefined> {
    for (;;) {
      while (this.#first !== undefined && 'to' in this.#first) this.#step();
      if (this.#first !== undefined) return this.#first;
      const fetched = await this.#fetched();
      if (fetched.kind !== 'log') return undefined;
      this.#hold(fetched.log);
    }
  }

  /** Starts the next fetch unless enough is held already. */
  prefetch(): void {
    if (this.#first !== undefined || this.#underWay !== undefined) return;
    this.#underWay = this.#ports.fetch.fetch(this.#source, this.#fetchFrom - this.#base, this.#bytesMax);
    // Whoever takes next hears of a failure; nobody may.
    this.#underWay.catch(() => undefined);
  }

  #hold(log: FetchedLog): void {
    this.#items = itemsOf(log.withBase(this.#base));
    this.#step();
  }

  /** Goes on to the next of what is held; at its end it is known where the next fetch begins. */
  #step(): void {
    const step = this.#items?.next();
    this.#first = step === undefined || step.done === true ? undefined : step.value;
    if (step?.done !== true) return;
    this.#fetchFrom = step.value;
    this.#items = undefined;
  }

  async #fetched(): Promise<Fetched> {
    this.prefetch();
    const underWay = this.#underWay;
    this.#underWay = undefined;
    return underWay ?? { kind: 'end' };
  }

  #handOut({ messages, expired }: { messages: TopicMessage[]; expired: OffsetRange[] }, until: bigint): void {
    for (let first = this.#first; first !== undefined; first = this.#first) {
      if ('to' in first) {
        if (first.from >= until) return;
        expired.push({ from: first.from, to: first.to < until ? first.to : until });
        if (first.to > until) {
          this.#first = { from: until, to: first.to };
          return;
        }
      } else if (first.kafkaOffset < until) messages.push(first);
      else return;
      this.#step();
    }
  }

  /** The range that retention has removed meanwhile; undefined when it is the end of the log that moved back. */
  async #lost(until: bigint): Promise<OffsetRange | undefined> {
    const start = await this.#ports.logStart(this.#source);
    if (start <= this.#fetchFrom) return undefined;
    return { from: this.#fetchFrom, to: start < until ? start : until };
  }
}

/** The messages of a log, and the offsets it lacks; returns the offset after it. Throws BATCH_CRC_MISMATCH. */
function* itemsOf(log: FetchedLog): Generator<TopicMessage | OffsetRange, bigint> {
  let position = log.facts.from + log.facts.base;
  for (const stretch of log.stretches()) {
    if (stretch.kind === 'damaged') throw unreadError(log.facts, stretch, position);
    if (stretch.kind === 'hole') yield { from: position, to: stretch.nextOffset };
    else yield* stretch.messages;
    position = stretch.nextOffset;
  }
  return position;
}
