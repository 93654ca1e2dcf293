/**
 * Owns: reading single messages from Kafka by their positions.
 * Invariants: each partition is read forwards; a message that Kafka no longer has is absent from the result.
 */
import { letterName, type LetterPosition } from '../../ledger/dead-letter.js';
import { sourceName } from '../reconcile/frozen-ranges.js';
import type { PartitionReader, TopicMessage } from '../topic/partition-reader.js';
import type { TopicReader } from '../topic/topic-reader.js';

/** Fetches are small: what lies between two positions is read in vain. */
const FETCH_BYTES = 64 * 1024;
/** From so many offsets on, a new start is cheaper than reading on. */
const LEAP = 500n;

/** Reads messages, by `letterName` of their positions. Throws KAFKA_UNAVAILABLE. */
export async function readLost(
  reader: TopicReader,
  positions: readonly LetterPosition[],
): Promise<Map<string, TopicMessage>> {
  const bySource = new Map<string, LetterPosition[]>();
  for (const position of positions) {
    const name = sourceName(position);
    const known = bySource.get(name);
    if (known === undefined) bySource.set(name, [position]);
    else known.push(position);
  }
  const found = new Map<string, TopicMessage>();
  for (const ofSource of bySource.values()) await readSource(reader, ofSource, found);
  return found;
}

async function readSource(
  reader: TopicReader,
  positions: readonly LetterPosition[],
  found: Map<string, TopicMessage>,
): Promise<void> {
  const ascending = [...positions].sort((one, other) => (one.kafkaOffset < other.kafkaOffset ? -1 : 1));
  let open: { readonly reader: PartitionReader; at: bigint } | undefined;
  for (const { topic, partition, kafkaOffset } of ascending) {
    if (open === undefined || kafkaOffset - open.at > LEAP) {
      const start = { from: kafkaOffset, bytesMax: FETCH_BYTES };
      open = { reader: reader.partition({ topic, partition }, start), at: kafkaOffset };
    }
    const { messages } = await open.reader.take(kafkaOffset + 1n);
    open.at = kafkaOffset + 1n;
    const message = messages.find((each) => each.kafkaOffset === kafkaOffset);
    if (message !== undefined) found.set(letterName({ topic, partition, kafkaOffset }), message);
  }
}
