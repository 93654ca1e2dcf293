/**
 * Owns: handing a replay the messages of each recorded chunk, from Kafka, partition by partition.
 * Does not own: the reading itself (../topic).
 * Invariants: of one source ranges are asked for in ascending order, so that every partition is read once; what Kafka no
 * longer has is told, never passed over in silence.
 */
import type { ChunkMessage } from '../../consumers/intake.js';
import type { StreamSource } from '../../ledger/batch.js';
import type { LetterPosition } from '../../ledger/dead-letter.js';
import { readLost } from '../repair/lost-messages.js';
import { sourceName } from '../reconcile/frozen-ranges.js';
import type { OffsetRange, PartitionReader } from '../topic/partition-reader.js';
import { fetchBytesFor, type TopicReader } from '../topic/topic-reader.js';

/** The messages of a range, and whether Kafka still had all of it. */
export interface FedMessages {
  readonly messages: readonly ChunkMessage[];
  readonly isComplete: boolean;
}

/** Where a replay takes messages from. */
export interface MessageFeed {
  /** The messages of a range; of one source ranges ascend. Throws KAFKA_UNAVAILABLE. */
  take(source: StreamSource, range: OffsetRange): Promise<FedMessages>;
  /** Single messages, by `letterName` of their positions; what is not there any more is absent. Throws KAFKA_UNAVAILABLE. */
  at(positions: readonly LetterPosition[]): Promise<ReadonlyMap<string, ChunkMessage>>;
}

/** Reads messages from Kafka. */
export class KafkaFeed implements MessageFeed {
  readonly #reader: TopicReader;
  readonly #bytesMax: number;
  readonly #partitions = new Map<string, PartitionReader>();

  /** `partitions` is how many will be read. */
  constructor(reader: TopicReader, partitions: number) {
    this.#reader = reader;
    this.#bytesMax = fetchBytesFor(partitions);
  }

  async take(source: StreamSource, { from, to }: OffsetRange): Promise<FedMessages> {
    const partition = this.#partitionOf(source, from);
    const { messages, expired, position } = await partition.take(to);
    partition.prefetch();
    return {
      messages: messages.filter(({ kafkaOffset }) => kafkaOffset >= from),
      isComplete: position >= to && expired.every((lost) => lost.to <= from),
    };
  }

  at(positions: readonly LetterPosition[]): Promise<ReadonlyMap<string, ChunkMessage>> {
    return readLost(this.#reader, positions);
  }

  #partitionOf(source: StreamSource, from: bigint): PartitionReader {
    const name = sourceName(source);
    const known = this.#partitions.get(name);
    if (known !== undefined) return known;
    const opened = this.#reader.partition(source, { from, bytesMax: this.#bytesMax });
    this.#partitions.set(name, opened);
    return opened;
  }
}
