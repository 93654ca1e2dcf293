/**
 * Owns: reading one partition in order, up to the offset asked for, with the next fetch under way while its messages are
 * worked on.
 * Does not own: the requests (kafka-fetch.ts), nor what the messages mean.
 * Invariants: every message is handed out once, in the order of the log; what the log has lost since reading began is
 * told as a range, never passed over in silence; at most two fetches are held.
 */
import type { StreamSource } from '../../ledger/batch.js';
import { chunksOf } from '../../consumers/chunks.js';
import type { ChunkMessage } from '../../consumers/intake.js';
import type { Fetched, KafkaFetch } from './kafka-fetch.js';

/** A message with the time its producer gave it, in milliseconds since the Unix epoch. */
export interface TopicMessage extends ChunkMessage {
  readonly timestampMs: number;
}

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

const WHOLE_FETCH = { messagesMax: Number.POSITIVE_INFINITY, bytesMax: Number.POSITIVE_INFINITY };

/** Reads one partition from an offset on. */
export class PartitionReader {
  readonly #ports: PartitionReaderPorts;
  readonly #source: StreamSource;
  readonly #bytesMax: number;
  /** Position in the ledger less offset in Kafka; all other offsets here are positions. */
  readonly #base: bigint;
  /** The messages of the last fetch, and how many of them have been handed out. */
  #buffer: readonly TopicMessage[] = [];
  #handedOut = 0;
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

  /** Hands out every message below `until` that has not been handed out. Throws KAFKA_UNAVAILABLE. */
  async take(until: bigint): Promise<Taken> {
    const messages: TopicMessage[] = [];
    const expired: OffsetRange[] = [];
    for (;;) {
      this.#handOut(messages, until);
      if (this.#holdsMore() || this.#fetchFrom >= until) return { messages, expired, position: until };
      const fetched = await this.#fetched();
      if (fetched.kind === 'end') return { messages, expired, position: this.#fetchFrom };
      if (fetched.kind === 'outOfRange') {
        const lost = await this.#lost(until);
        if (lost === undefined) return { messages, expired, position: this.#fetchFrom };
        expired.push(lost);
        this.#fetchFrom = lost.to;
        continue;
      }
      this.#hold(fetched);
    }
  }

  /** The next message, which stays to be taken; undefined at the end of the log. Throws KAFKA_UNAVAILABLE. */
  async peek(): Promise<TopicMessage | undefined> {
    while (!this.#holdsMore()) {
      const fetched = await this.#fetched();
      if (fetched.kind !== 'records') return undefined;
      this.#hold(fetched);
    }
    return this.#buffer[this.#handedOut];
  }

  /** Starts the next fetch unless enough is held already. */
  prefetch(): void {
    if (this.#holdsMore() || this.#underWay !== undefined) return;
    this.#underWay = this.#ports.fetch.fetch(this.#source, this.#fetchFrom - this.#base, this.#bytesMax);
    // Whoever takes next hears of a failure; nobody may.
    this.#underWay.catch(() => undefined);
  }

  #hold(fetched: Fetched & { kind: 'records' }): void {
    this.#buffer = fetched.messages.length === 0 ? [] : topicMessages(fetched, this.#base);
    this.#handedOut = 0;
    this.#fetchFrom = fetched.nextOffset + this.#base;
  }

  async #fetched(): Promise<Fetched> {
    this.prefetch();
    const underWay = this.#underWay;
    this.#underWay = undefined;
    return underWay ?? { kind: 'end' };
  }

  #handOut(messages: TopicMessage[], until: bigint): void {
    for (let message = this.#buffer[this.#handedOut]; message !== undefined && message.kafkaOffset < until;) {
      messages.push(message);
      this.#handedOut += 1;
      message = this.#buffer[this.#handedOut];
    }
  }

  #holdsMore(): boolean {
    return this.#handedOut < this.#buffer.length;
  }

  /** The range that retention has removed meanwhile; undefined when it is the end of the log that moved back. */
  async #lost(until: bigint): Promise<OffsetRange | undefined> {
    const start = await this.#ports.logStart(this.#source);
    if (start <= this.#fetchFrom) return undefined;
    return { from: this.#fetchFrom, to: start < until ? start : until };
  }
}

function topicMessages(
  { messages }: { readonly messages: Parameters<typeof chunksOf>[0] },
  base: bigint,
): TopicMessage[] {
  const [range] = chunksOf(messages, { ...WHOLE_FETCH, base });
  return (range?.messages ?? []).map((message, index) => ({
    ...message,
    timestampMs: Number(messages[index]?.timestamp ?? 0),
  }));
}
