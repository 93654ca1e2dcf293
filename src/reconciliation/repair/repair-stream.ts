/** Owns: the repair streams: what they are called, and in which of them a message is repaired. */
import type { StreamSource } from '../../ledger/batch.js';
import { commandSource } from '../../ledger/commands/command-stream.js';

/** The topic name of repair streams: no Kafka topic can start with `~`. */
export const REPAIR_TOPIC = '~repair';

/** The stream in which a message is repaired: by its tenant, where it names one. */
export function repairSource(tenantId: string | undefined): StreamSource {
  return { topic: REPAIR_TOPIC, partition: tenantId === undefined ? 0 : commandSource(tenantId).partition };
}
