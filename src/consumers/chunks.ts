/**
 * Owns: cutting a fetched batch into chunks that fit one database transaction.
 * Invariants: messages keep their order; each chunk ends where the next begins, so that offsets without a message inside
 * a batch (transaction markers, compacted records) are never mistaken for a hole.
 */
import type { IHeaders, KafkaMessage } from 'kafkajs';
import type { ChunkMessage } from './intake.js';

/** The messages of one chunk and the position after it. */
export interface MessageRange {
  readonly messages: readonly ChunkMessage[];
  readonly nextOffset: bigint;
  /** When Kafka says that the last message was written, in milliseconds since the Unix epoch. */
  readonly lastTimestamp: string;
}

/** Bounds of a chunk. A single message larger than `bytesMax` is a chunk of its own. */
export interface ChunkBounds {
  /** What is added to Kafka's offsets; 0 unless given (ledger/charged-log.ts). */
  readonly base?: bigint;
  readonly messagesMax: number;
  readonly bytesMax: number;
}

/** Cuts fetched messages into chunks, lazily, so that a large batch is not copied at once. */
export function* chunksOf(fetched: readonly KafkaMessage[], bounds: ChunkBounds): Generator<MessageRange> {
  const { base = 0n } = bounds;
  let start = 0;
  while (start < fetched.length) {
    const end = endOfChunk(fetched, start, bounds);
    const messages = fetched.slice(start, end).map((message) => chunkMessage(message, base));
    const next = fetched[end];
    const last = messages[messages.length - 1];
    const nextOffset = next === undefined ? (last?.kafkaOffset ?? 0n) + 1n : BigInt(next.offset) + base;
    yield { messages, nextOffset, lastTimestamp: fetched[end - 1]?.timestamp ?? '' };
    start = end;
  }
}

function endOfChunk(fetched: readonly KafkaMessage[], start: number, bounds: ChunkBounds): number {
  let bytes = 0;
  let end = start;
  while (end < fetched.length && end - start < bounds.messagesMax) {
    bytes += fetched[end]?.value?.length ?? 0;
    if (end > start && bytes > bounds.bytesMax) break;
    end += 1;
  }
  return end;
}

function chunkMessage(message: KafkaMessage, base: bigint): ChunkMessage {
  return {
    kafkaOffset: BigInt(message.offset) + base,
    key: message.key,
    value: message.value,
    headers: headersOf(message.headers),
  };
}

const NO_HEADERS: ChunkMessage['headers'] = {};

function headersOf(headers: IHeaders | undefined): ChunkMessage['headers'] {
  if (headers === undefined || isEmpty(headers)) return NO_HEADERS;
  const entries = Object.entries(headers).map(([name, value]): [string, Buffer[]] => [
    name,
    [value].flat().filter(isBytes),
  ]);
  return Object.fromEntries(entries);
}

function isEmpty(headers: IHeaders): boolean {
  for (const name in headers) if (Object.hasOwn(headers, name)) return false;
  return true;
}

/** A header may have no value (null); and kafkajs lists a method of every object among the values of its namesake. */
function isBytes(value: unknown): value is Buffer {
  return Buffer.isBuffer(value);
}
