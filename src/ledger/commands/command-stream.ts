/**
 * Owns: the command streams: which stream a tenant's commands stand in, its cursor, and the batch of one command.
 * Does not own: what a command does.
 * Invariants: entries that no Kafka message caused are sealed in these chains; their offset is the number of the command
 * in its stream; streams are few and fixed, so that no global lock orders commands and no chain is a tenant's alone.
 */
import type { BatchContent } from '../append-sealed.js';
import { type BatchCounts, CHAIN_GENESIS, type StreamSource } from '../batch.js';
import type { Cursor, LedgerTransaction } from '../ledger-store.js';

/** The topic name of command streams: no Kafka topic can start with `~`. */
export const COMMAND_TOPIC = '~commands';
/** Commands are spread over this many chains, so that no global lock orders them. */
export const COMMAND_PARTITIONS = 16;
const COMMAND_CLUSTER = 'commands';

/** The command stream of a tenant. */
export function commandSource(tenantId: string): StreamSource {
  let sum = 0;
  for (const byte of Buffer.from(tenantId)) sum = (sum * 31 + byte) % 65_521;
  return { topic: COMMAND_TOPIC, partition: sum % COMMAND_PARTITIONS };
}

/** Locks the cursor of a command stream; creates it at its first command. */
export async function lockCommandCursor(transaction: LedgerTransaction, source: StreamSource): Promise<Cursor> {
  const fresh: Cursor = { source, nextOffset: 0n, batchNo: 0, head: CHAIN_GENESIS, clusterId: COMMAND_CLUSTER };
  const [known] = await transaction.lockCursors([source]);
  return known ?? transaction.createCursor(fresh);
}

const NO_COUNTS: BatchCounts = {
  charged: 0,
  openings: 0,
  duplicates: 0,
  superseded: 0,
  skipped: 0,
  unpriced: 0,
  deadLetters: 0,
};

/** A batch that writes nothing but what is given. */
export function batchContent(
  parts: Partial<Omit<BatchContent, 'counts'>> & { counts: Partial<BatchCounts> },
): BatchContent {
  return {
    entries: [],
    accounts: [],
    holdsOpened: [],
    holdsClosed: [],
    deadLetters: [],
    skipped: [],
    unpriced: [],
    ...parts,
    counts: { ...NO_COUNTS, ...parts.counts },
  };
}
