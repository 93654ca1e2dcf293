/** Owns: how many offsets of some topics the ledger has not charged yet, by its own cursors. */
import type { Admin } from 'kafkajs';
import type { LedgerReader } from '../ledger/ledger-reader.js';

/** Offsets between the cursors and the ends of the logs, over all partitions of the topics. Throws POSTGRES_*. */
export async function streamLag(admin: Admin, reader: LedgerReader, topics: readonly string[]): Promise<bigint> {
  const cursors = await reader.readCursors();
  const positions = new Map(
    cursors.map(({ source, nextOffset, log }) => [
      `${source.topic}/${source.partition}`,
      nextOffset - (log?.base ?? 0n),
    ]),
  );
  let lag = 0n;
  for (const topic of topics) {
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      lag += BigInt(high) - (positions.get(`${topic}/${partition}`) ?? BigInt(low));
    }
  }
  return lag;
}
