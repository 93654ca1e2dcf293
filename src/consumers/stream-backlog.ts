/**
 * Owns: what is stored in the usage topics and not charged yet, by the ledger's own cursors.
 * Invariants: nothing stored is hidden: an open transaction counts, since it may still be committed; what is never charged
 * does not: transaction markers and aborted records behind the last charged message.
 */
import { sourceName, type StreamSource } from '../ledger/batch.js';
import type { LogTail, LogTails } from '../runtime/log-tails.js';
import type { CursorsReader } from './charged-positions.js';

/** What of a partition is not charged. */
export interface PartitionBacklog {
  readonly source: StreamSource;
  /** The ledger's cursor; undefined when nothing of it was charged. */
  readonly position: bigint | undefined;
  readonly logStart: bigint;
  /** The end of what was stored. */
  readonly logEnd: bigint;
  /** Messages stored and not charged; the upper bound where markers lie between them. */
  readonly messages: bigint;
  /** The producer's time of the oldest of them, in milliseconds since the Unix epoch; undefined without one. */
  readonly oldestMs: number | undefined;
  /** Whether all of them wait for a transaction of their producer to end. */
  readonly isHeldBack: boolean;
}

/** What is not charged of every partition. Throws KAFKA_UNAVAILABLE, POSTGRES_*. */
export async function readBacklog(
  tails: Pick<LogTails, 'read'>,
  reader: CursorsReader,
): Promise<readonly PartitionBacklog[]> {
  const cursors = new Map(
    (await reader.readCursors()).map(({ source, nextOffset, log }) => [
      sourceName(source),
      nextOffset - (log?.base ?? 0n),
    ]),
  );
  const positionOf = (source: StreamSource): bigint | undefined => cursors.get(sourceName(source));
  return (await tails.read(positionOf)).map((tail) => backlogOf(tail, positionOf(tail)));
}

function backlogOf(tail: LogTail, position: bigint | undefined): PartitionBacklog {
  const { topic, partition, start, end, first, isHeldBack } = tail;
  return {
    source: { topic, partition },
    position,
    logStart: start,
    logEnd: end,
    messages: first === undefined ? 0n : end - first.offset,
    oldestMs: first?.timestampMs,
    isHeldBack,
  };
}
