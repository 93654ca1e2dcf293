/**
 * Owns: failures of single brokers of a cluster of three: stopped and started one after the other, or killed.
 * Invariants: the next broker fails only when every replica of the topics is in sync again, as an operator would do it.
 */
import type { Admin } from 'kafkajs';
import { BROKER_NAMES, type BrokerName } from '../../src/stack/stack-state.js';
import { isPassing } from './after-fault.js';
import { haltServer, killServer, reviveServer } from './fault-stack.js';
import { waitUntil } from './wait-until.js';

/** The topics whose replicas are waited for. */
export interface Replicated {
  readonly admin: Admin;
  readonly topics: readonly string[];
}

const IN_SYNC_MAX_MS = 120_000;

/** Stops and starts each broker, one after the other. */
export async function restartAll(replicated: Replicated): Promise<void> {
  for (const name of BROKER_NAMES) {
    await haltServer(name);
    await reviveServer(name);
    await inSync(replicated);
  }
}

/** Kills a broker as a power cut does, and starts it again. */
export async function killBroker(name: BrokerName, replicated: Replicated): Promise<void> {
  await killServer(name);
  await reviveServer(name);
  await inSync(replicated);
}

/** Waits until every partition has three replicas in sync. */
async function inSync({ admin, topics }: Replicated): Promise<void> {
  await waitUntil(
    'all replicas are in sync',
    async () => {
      try {
        const found = await admin.fetchTopicMetadata({ topics: [...topics] });
        return found.topics.every(({ partitions }) =>
          partitions.every(({ isr }) => isr.length === BROKER_NAMES.length),
        );
      } catch (error) {
        if (isPassing(error)) return false;
        throw error;
      }
    },
    IN_SYNC_MAX_MS,
  );
}
