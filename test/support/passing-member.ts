/** Owns: a member of a consumer group that comes and goes, so that the others have to share the partitions anew. */
import type { LedgerWorld } from './ledger-world.js';

const SESSION_MS = 6_000;

/** Joins a group, takes a share of the partitions, reads nothing of it, and leaves. */
export async function joinAndLeave(
  { kafka, topics }: Pick<LedgerWorld, 'kafka' | 'topics'>,
  groupId: string,
): Promise<void> {
  const member = kafka.consumer({ groupId, sessionTimeout: SESSION_MS });
  await member.connect();
  await member.subscribe({ topics });
  const joined = new Promise((resolve) => member.on('consumer.group_join', resolve));
  await member.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: () => Promise.resolve() });
  await joined;
  await member.disconnect();
}
