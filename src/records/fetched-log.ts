/**
 * Owns: what one fetch brought of a partition, batch by batch, and what is known of every offset of it: a message, a marker, an
 * aborted record, one that cannot be read, or none at all.
 * Does not own: what is done about it (consumers/chunks.ts, reconciliation/topic).
 * Invariants: never throws; stretches follow each other without a gap, and each offset belongs to one; a batch is checked and
 * decompressed only when its turn comes, so that what waits is in memory as it was sent; offsets between batches, or within
 * one that holds fewer records than offsets, are a hole: a broker leaves none, only compaction and loss do.
 */
import {
  batchLength,
  type BatchHeader,
  isIntact,
  isWhole,
  LENGTH_PREFIX_BYTES,
  prefixOffset,
  readHeader,
} from './batch-header.js';
import type { FetchedMessage } from './fetched-message.js';
import { messagesOf, readBatch, type ReadableRecords, unreadableMessage } from './record-batch.js';

/** A transaction that was aborted, as a broker tells it with a fetch. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

/** Offsets that follow those of the stretch before, up to, not including, `nextOffset`. */
export type LogStretch =
  /** Every offset is one of these messages, or is known to hold none. */
  | { readonly kind: 'read'; readonly nextOffset: bigint; readonly messages: Iterable<FetchedMessage> }
  /** Nothing is there, and nothing says why. */
  | { readonly kind: 'hole'; readonly nextOffset: bigint }
  /** These are not the bytes that were written. Nothing follows. */
  | { readonly kind: 'damaged'; readonly nextOffset: bigint; readonly problem: string };

/** What a fetch asked for and where it asked. */
export interface FetchFacts {
  readonly topic: string;
  readonly partition: number;
  /** The offset that was asked for, as Kafka counts. */
  readonly from: bigint;
  /** What a position of the ledger is above Kafka's offset: offsets of stretches and messages are positions. */
  readonly base: bigint;
  /** Node id of the broker that answered; undefined where nobody told. */
  readonly broker?: number | undefined;
}

/** A length beyond this is no length: no broker is set up for batches of 64 MiB. */
const BATCH_LENGTH_MAX = 64 * 1024 * 1024;
const SMALLEST_BATCH_BYTES = LENGTH_PREFIX_BYTES + 14;
const NO_MESSAGES: readonly FetchedMessage[] = [];

/** The raw record batches of one fetch of one partition. */
export class FetchedLog {
  readonly facts: FetchFacts;
  readonly #bytes: SplitBytes;
  readonly #aborted: readonly AbortedTransaction[];

  private constructor(facts: FetchFacts, bytes: SplitBytes, aborted: readonly AbortedTransaction[]) {
    this.facts = facts;
    this.#bytes = bytes;
    this.#aborted = aborted;
  }

  /** The log that these bytes are, its positions being Kafka's offsets. */
  static of(bytes: Buffer, facts: Omit<FetchFacts, 'base'>, aborted: readonly AbortedTransaction[] = []): FetchedLog {
    return new FetchedLog({ ...facts, base: 0n }, split(bytes), aborted);
  }

  /** The same log by the positions of a ledger. */
  withBase(base: bigint): FetchedLog {
    return base === this.facts.base ? this : new FetchedLog({ ...this.facts, base }, this.#bytes, this.#aborted);
  }

  /** Whether there is nothing: no whole batch, and none that is damaged. */
  get isEmpty(): boolean {
    return this.#bytes.batches.length === 0 && this.#bytes.damage === undefined;
  }

  /** The offset after the last batch, as its header has it. */
  get endOffset(): bigint {
    const last = this.#bytes.batches[this.#bytes.batches.length - 1];
    const end = last === undefined ? this.facts.from : lastOffsetOf(last) + 1n;
    return end > this.facts.from ? end : this.facts.from + 1n;
  }

  /** What is known of the offsets from the one that was asked for. */
  *stretches(): Generator<LogStretch, void> {
    const { base } = this.facts;
    if (base === 0n) yield* this.#stretches();
    else for (const stretch of this.#stretches()) yield raised(stretch, base);
  }

  /** By Kafka's offsets. */
  *#stretches(): Generator<LogStretch, void> {
    const aborted = new AbortedProducers(this.#aborted);
    let position = this.facts.from;
    for (const batch of this.#bytes.batches) {
      for (const stretch of stretchesOf(batch, position, aborted)) {
        yield stretch;
        position = stretch.nextOffset;
        if (stretch.kind === 'damaged') return;
      }
    }
    const problem = this.#bytes.damage;
    if (problem !== undefined) yield { kind: 'damaged', nextOffset: position + 1n, problem };
  }
}

/** A stretch by positions that are `base` above Kafka's offsets. */
function raised(stretch: LogStretch, base: bigint): LogStretch {
  const nextOffset = stretch.nextOffset + base;
  if (stretch.kind !== 'read') return { ...stretch, nextOffset };
  return { kind: 'read', nextOffset, messages: raisedMessages(stretch.messages, base) };
}

function* raisedMessages(messages: Iterable<FetchedMessage>, base: bigint): Generator<FetchedMessage, void> {
  for (const { kafkaOffset, timestampMs, sizeBytes, key, value, headers, unreadable } of messages) {
    yield { kafkaOffset: kafkaOffset + base, timestampMs, sizeBytes, key, value, headers, unreadable };
  }
}

/** The whole batches of a fetch, and what is wrong with the bytes after them. */
interface SplitBytes {
  readonly batches: readonly Buffer[];
  readonly damage: string | undefined;
}

/**
 * Cuts the bytes of a fetch into whole batches; the last is often cut off by the bound on the fetch, and left out. The first
 * never is: a broker sends it whole, or nothing (KIP-74).
 */
function split(bytes: Buffer): SplitBytes {
  const batches: Buffer[] = [];
  let rest = bytes;
  for (let length = batchLength(rest); length !== undefined; length = batchLength(rest)) {
    if (length < SMALLEST_BATCH_BYTES || length > BATCH_LENGTH_MAX) {
      return { batches, damage: `the header of a batch says that it has ${length} bytes` };
    }
    if (length > rest.length) {
      const damage = `the header of a batch says that it has ${length} bytes, and ${rest.length} came`;
      return { batches, damage: batches.length === 0 ? damage : undefined };
    }
    batches.push(rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  return { batches, damage: undefined };
}

function lastOffsetOf(batch: Buffer): bigint {
  return isWhole(batch) ? readHeader(batch).lastOffset : prefixOffset(batch);
}

/** What a batch says of the offsets from a position on; nothing when it lies before it. */
function* stretchesOf(batch: Buffer, position: bigint, aborted: AbortedProducers): Generator<LogStretch, void> {
  const lastOffset = lastOffsetOf(batch);
  const nextOffset = lastOffset + 1n;
  const problem = damageOf(batch, lastOffset);
  if (problem !== undefined) {
    yield { kind: 'damaged', nextOffset: nextOffset > position ? nextOffset : position + 1n, problem };
    return;
  }
  if (!isWhole(batch)) {
    if (nextOffset > position) yield* contentOf(batch, lastOffset, position);
    return;
  }
  const header = readHeader(batch);
  const isPassedOver = aborted.passesOver(header);
  if (nextOffset <= position) return;
  const { baseOffset } = header;
  if (baseOffset > position) yield { kind: 'hole', nextOffset: baseOffset };
  const from = baseOffset > position ? baseOffset : position;
  if (isPassedOver) yield { kind: 'read', nextOffset, messages: NO_MESSAGES };
  else yield* contentOf(batch, lastOffset, from);
}

function damageOf(batch: Buffer, lastOffset: bigint): string | undefined {
  if (!isIntact(batch)) return `the checksum of a batch of ${batch.length} bytes is wrong`;
  const { baseOffset } = isWhole(batch) ? readHeader(batch) : { baseOffset: lastOffset };
  return lastOffset < baseOffset ? `a batch begins with offset ${baseOffset} and ends with ${lastOffset}` : undefined;
}

function* contentOf(batch: Buffer, lastOffset: bigint, from: bigint): Generator<LogStretch, void> {
  const content = readBatch(batch);
  const nextOffset = lastOffset + 1n;
  if ('problem' in content) {
    yield {
      kind: 'read',
      nextOffset,
      messages: [unreadableMessage(batch, { from, lastOffset, problem: content.problem })],
    };
  } else if (isWithoutHoles(content)) yield { kind: 'read', nextOffset, messages: messagesOf(content, from) };
  else yield* runsOf(content, from);
}

function isWithoutHoles({ header }: ReadableRecords): boolean {
  return BigInt(header.recordCount) === header.lastOffset - header.baseOffset + 1n;
}

/** A batch that compaction has taken records from: its messages, and the holes between them. */
function* runsOf(content: ReadableRecords, from: bigint): Generator<LogStretch, void> {
  let position = from;
  for (const message of messagesOf(content, from)) {
    if (message.kafkaOffset > position) yield { kind: 'hole', nextOffset: message.kafkaOffset };
    position = message.kafkaOffset + 1n;
    yield { kind: 'read', nextOffset: position, messages: [message] };
  }
  const { lastOffset } = content.header;
  if (position <= lastOffset) yield { kind: 'hole', nextOffset: lastOffset + 1n };
}

/** Which producers are within a transaction that was aborted, batch by batch. */
class AbortedProducers {
  readonly #ahead: readonly AbortedTransaction[];
  #begun = 0;
  readonly #now = new Set<bigint>();

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#ahead = aborted;
  }

  /** Whether a batch holds nothing but a marker or aborted records. Order: batch by batch. */
  passesOver({ lastOffset, producerId, isControl, isTransactional }: BatchHeader): boolean {
    for (let next = this.#ahead[this.#begun]; next !== undefined && next.firstOffset <= lastOffset;) {
      this.#now.add(next.producerId);
      this.#begun += 1;
      next = this.#ahead[this.#begun];
    }
    // Whichever marker it is, it ends the transaction of its producer.
    if (isControl) this.#now.delete(producerId);
    return isControl || (isTransactional && this.#now.has(producerId));
  }
}
