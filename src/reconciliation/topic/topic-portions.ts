/**
 * Owns: reading partitions of a topic one after the other, from where each is to begin up to where it ended when asked.
 * Does not own: what the messages mean, nor closing the reader.
 */
import type { StreamSource } from '../../ledger/batch.js';
import type { Taken } from './partition-reader.js';
import { fetchBytesFor, type LogBounds, type TopicReader } from './topic-reader.js';

/** Consecutive messages of one partition. */
export interface TopicPortion extends Pick<Taken, 'messages' | 'expired'> {
  readonly source: StreamSource;
  /** Offsets that it covers, whether they hold a message or not. */
  readonly offsets: number;
}

/** Offsets read at once: a topic that was never compacted may hold millions. */
const OFFSETS_MAX = 5_000n;

/** Reads all that the bounds name, in portions. Throws KAFKA_UNAVAILABLE, BATCH_CRC_MISMATCH. */
export async function* readPortions(reader: TopicReader, bounds: readonly LogBounds[]): AsyncGenerator<TopicPortion> {
  for (const { source, start, end } of bounds) {
    const partition = reader.partition(source, { from: start, bytesMax: fetchBytesFor(1) });
    for (let from = start; from < end; from += OFFSETS_MAX) {
      const until = from + OFFSETS_MAX < end ? from + OFFSETS_MAX : end;
      const { messages, expired } = await partition.take(until);
      yield { source, messages, expired, offsets: Number(until - from) };
    }
  }
}
