/**
 * Owns: cutting what a fetch brought into chunks that fit one database transaction.
 * Does not own: what the bytes of a fetch hold (records/fetched-log.ts).
 * Invariants: messages keep their order; chunks follow each other without a gap: each begins at `from`, and every offset
 * up to `nextOffset` is one of its messages or is known to hold none, so that a hole is never passed over; what precedes
 * a hole or a damaged batch is handed out before it is told.
 */
import { TollbookError } from '../runtime/errors.js';
import type { FetchedLog, FetchFacts, LogStretch } from '../records/fetched-log.js';
import type { FetchedMessage } from '../records/fetched-message.js';
import type { ChunkMessage } from './intake.js';

/** The messages of one chunk, perhaps none, and the offsets it accounts for. */
export interface MessageRange {
  readonly messages: readonly ChunkMessage[];
  readonly from: bigint;
  readonly nextOffset: bigint;
  /** When Kafka says that the last message was written, in milliseconds since the Unix epoch. */
  readonly lastTimestamp: string;
}

/** Bounds of a chunk. A single message larger than `bytesMax` is a chunk of its own. */
export interface ChunkBounds {
  readonly messagesMax: number;
  readonly bytesMax: number;
}

/** Cuts a fetched log into chunks, lazily, so that a large log is not decoded at once. Throws STREAM_GAP, BATCH_CRC_MISMATCH. */
export function* chunksOf(
  log: Pick<FetchedLog, 'facts' | 'stretches'>,
  bounds: ChunkBounds,
): Generator<MessageRange, void> {
  const chunk = new GrowingChunk(log.facts.from + log.facts.base, bounds);
  for (const stretch of log.stretches()) {
    if (stretch.kind !== 'read') {
      if (!chunk.isEmpty) yield chunk.take();
      throw unreadError(log.facts, stretch, chunk.position);
    }
    for (const message of stretch.messages) {
      if (chunk.isFullFor(message)) yield chunk.take(message.kafkaOffset);
      chunk.add(message);
    }
    chunk.position = stretch.nextOffset;
  }
  if (!chunk.isEmpty) yield chunk.take();
}

/** A chunk that messages are added to. */
class GrowingChunk {
  readonly #bounds: ChunkBounds;
  #messages: FetchedMessage[] = [];
  #bytes = 0;
  #from: bigint;
  /** All before it is accounted for. */
  position: bigint;

  constructor(from: bigint, bounds: ChunkBounds) {
    this.#bounds = bounds;
    this.#from = from;
    this.position = from;
  }

  /** Whether it accounts for no offset. */
  get isEmpty(): boolean {
    return this.position === this.#from;
  }

  isFullFor({ sizeBytes }: FetchedMessage): boolean {
    const { length } = this.#messages;
    const { messagesMax, bytesMax } = this.#bounds;
    return length > 0 && (length >= messagesMax || this.#bytes + sizeBytes > bytesMax);
  }

  add(message: FetchedMessage): void {
    this.#messages.push(message);
    this.#bytes += message.sizeBytes;
  }

  /** Hands out what was added, and begins anew at `nextOffset`. */
  take(nextOffset: bigint = this.position): MessageRange {
    const lastTimestamp = String(this.#messages[this.#messages.length - 1]?.timestampMs ?? '');
    const taken = { messages: this.#messages, from: this.#from, nextOffset, lastTimestamp };
    this.#messages = [];
    this.#bytes = 0;
    this.#from = nextOffset;
    this.position = nextOffset;
    return taken;
  }
}

/** Why reading stops at an offset: STREAM_GAP or BATCH_CRC_MISMATCH. */
export function unreadError(
  { topic, partition, broker }: FetchFacts,
  stretch: Exclude<LogStretch, { kind: 'read' }>,
  position: bigint,
): TollbookError {
  const { kind, nextOffset } = stretch;
  const context = { topic, partition, from: position, to: nextOffset - 1n, broker: broker ?? null };
  const place = `offsets ${position} to ${nextOffset - 1n} of ${topic}/${partition}`;
  if (kind === 'damaged') {
    const where = broker === undefined ? '' : ` of broker ${broker}`;
    return new TollbookError(
      'BATCH_CRC_MISMATCH',
      `${place}${where} are not as they were written: ${stretch.problem}`,
      {
        context,
      },
    );
  }
  return new TollbookError(
    'STREAM_GAP',
    `Kafka no longer has ${place}, between others that it has: is the topic compacted? ` +
      `Accept the loss with: tollbook cursors accept-gap --topic ${topic} --partition ${partition} --to ${nextOffset} --actor … --reason …`,
    { context },
  );
}
