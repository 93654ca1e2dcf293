/**
 * Owns: whether the log that Kafka has now is the one a source was charged from.
 * Does not own: asking Kafka (the port, made in cli/log-identity.ts), nor the fence in the database (charge-protocol.ts).
 * Invariants: only a contradiction stops a partition: what cannot be compared any more (the message is gone, or cannot be
 * read; the brokers give no ids) counts as the same log.
 */
import type { StreamSource } from '../ledger/batch.js';
import type { ChargedLog } from '../ledger/charged-log.js';
import { TollbookError } from '../runtime/errors.js';

/** Asks Kafka what tells one log from another. */
export interface LogReader {
  /** The id of the topic as the leader of the partition knows it now; null where there is none. Throws KAFKA_UNAVAILABLE. */
  topicId(source: StreamSource): Promise<string | null>;
  /** The digest of the message at an offset; undefined when the log has none there to compare. Throws KAFKA_UNAVAILABLE. */
  digestAt(source: StreamSource, kafkaOffset: bigint): Promise<Buffer | undefined>;
}

/** Throws LOG_REPLACED unless the ids, as far as both are known, are the same. */
export function assertSameTopic(source: StreamSource, charged: string | null, found: string | null): void {
  if (charged === null || found === null || charged === found) return;
  throw replaced(
    source,
    `its topic has the id ${found}, the charged one had ${charged}: it was deleted and created again`,
    {
      charged,
      found,
    },
  );
}

/** Throws LOG_REPLACED when the log is another than the charged one, KAFKA_UNAVAILABLE when that cannot be found out now. */
export async function assertSameLog(reader: LogReader, source: StreamSource, charged: ChargedLog): Promise<void> {
  assertSameTopic(source, charged.topicId, await reader.topicId(source));
  if (charged.lastRecord === null) return;
  const { position, digest } = charged.lastRecord;
  const kafkaOffset = position - charged.base;
  const found = await reader.digestAt(source, kafkaOffset);
  if (found === undefined || found.equals(digest)) return;
  throw replaced(source, `the message at offset ${kafkaOffset} is not the one that was charged from there`, {
    kafkaOffset,
    charged: digest.toString('hex'),
    found: found.toString('hex'),
  });
}

function replaced(
  { topic, partition }: StreamSource,
  found: string,
  context: Readonly<Record<string, string | bigint>>,
): TollbookError {
  return new TollbookError(
    'LOG_REPLACED',
    `the log of ${topic}/${partition} is another one: ${found}; ` +
      `go on with it from its start by: tollbook cursors accept-log --topic ${topic} --partition ${partition} --actor … --reason …`,
    { context: { topic, partition, ...context } },
  );
}
