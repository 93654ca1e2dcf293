/** Owns: moving what Kafka remembers as the position of a group, as an operator might: the group must have no members. */
import type { LedgerWorld } from './ledger-world.js';

/** Commits one end of every log of a world for a group; `admin.setOffsets` takes 5 seconds a topic. */
export async function moveCommittedOffsets(
  { kafka, admin, topics }: Pick<LedgerWorld, 'kafka' | 'admin' | 'topics'>,
  groupId: string,
  to: 'start' | 'end',
): Promise<void> {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 50 });
  await consumer.connect();
  await consumer.subscribe({ topics });
  const joined = new Promise((resolve) => consumer.on('consumer.group_join', resolve));
  await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: () => Promise.resolve() });
  await joined;
  for (const topic of topics) {
    const offsets = await admin.fetchTopicOffsets(topic);
    const ends = offsets.map(({ partition, low, high }) => ({ topic, partition, offset: to === 'start' ? low : high }));
    await consumer.commitOffsets(ends);
  }
  await consumer.disconnect();
}
