/**
 * Owns: which offsets a reconciliation compares: what was asked for, held against what Kafka still has and what the
 * ledger has charged, both as they were at the start, so that traffic may go on meanwhile.
 * Does not own: reading either side.
 * Invariants: a range never grows once it is frozen; what lies outside of it is named: expired, lost, or not charged yet.
 */
import type { UsageKind } from '../../consumers/intake.js';
import type { StreamSource } from '../../ledger/batch.js';
import type { Cursor } from '../../ledger/ledger-store.js';
import { TollbookError } from '../../runtime/errors.js';
import type { OffsetRange } from '../topic/partition-reader.js';
import type { LogBounds, TopicReader } from '../topic/topic-reader.js';

/** A topic and the event it carries. */
export interface UsageTopic {
  readonly topic: string;
  readonly kind: UsageKind;
}

/** Which part of the topics is compared; what is absent does not limit. Offsets and times are bounds [from, to). */
export interface RangeRequest {
  readonly topics: readonly UsageTopic[];
  readonly partitions?: readonly number[];
  readonly fromOffset?: bigint;
  readonly toOffset?: bigint;
  readonly sinceMs?: number;
  readonly untilMs?: number;
}

/** What is compared of one partition. */
export interface FrozenRange {
  readonly source: StreamSource;
  readonly kind: UsageKind;
  /** What is compared: messages that Kafka has and the ledger has passed. */
  readonly from: bigint;
  readonly to: bigint;
  readonly logStart: bigint;
  readonly logEnd: bigint;
  /** Where the ledger's cursor stood; null when the ledger has never charged this partition. */
  readonly cursor: bigint | null;
  /** Charged, asked for, and no longer in Kafka. */
  readonly expired: OffsetRange | null;
  /** Removed from Kafka before the ledger had read it. */
  readonly lost: OffsetRange | null;
  /** Asked for and in Kafka, but beyond the cursor. */
  readonly notChargedYet: OffsetRange | null;
}

/** Whether everything that was published is among the ranges: then a hole in a producer's numbers is a loss. */
export function isWhole({ partitions, fromOffset, toOffset, untilMs }: RangeRequest): boolean {
  return [partitions, fromOffset, toOffset, untilMs].every((bound) => bound === undefined);
}

/** What ranges are frozen from. */
export interface FreezePorts {
  readonly reader: Pick<TopicReader, 'bounds' | 'offsetsAt' | 'clusterId'>;
  readonly readCursors: () => Promise<readonly Cursor[]>;
  /** The first offset that a sealed batch of each source covers, by `sourceName`. */
  readonly readChargedStarts: (topics: readonly string[]) => Promise<ReadonlyMap<string, bigint>>;
}

/** One string for a source. */
export function sourceName({ topic, partition }: StreamSource): string {
  return `${topic}/${partition}`;
}

/**
 * Freezes the ranges, by topic as requested and partition.
 * Throws USAGE_INVALID for a partition that does not exist, CLUSTER_MISMATCH, CURSOR_AHEAD_OF_LOG, KAFKA_UNAVAILABLE.
 */
export async function freezeRanges(ports: FreezePorts, request: RangeRequest): Promise<FrozenRange[]> {
  const cursors = new Map((await ports.readCursors()).map((cursor) => [sourceName(cursor.source), cursor]));
  const starts = await ports.readChargedStarts(request.topics.map(({ topic }) => topic));
  const ranges: FrozenRange[] = [];
  for (const { topic, kind } of request.topics) {
    const asked = await askedOffsets(ports, topic, request);
    for (const bounds of wantedPartitions(await ports.reader.bounds(topic), request)) {
      const cursor = cursors.get(sourceName(bounds.source));
      assertComparable(bounds, cursor, ports.reader.clusterId);
      ranges.push(freeze({ bounds, kind, cursor, chargedStart: starts.get(sourceName(bounds.source)) }, asked));
    }
  }
  return ranges;
}

interface AskedOffsets {
  readonly from: (partition: number) => bigint | undefined;
  readonly to: (partition: number) => bigint | undefined;
}

async function askedOffsets(
  { reader }: FreezePorts,
  topic: string,
  { fromOffset, toOffset, sinceMs, untilMs }: RangeRequest,
): Promise<AskedOffsets> {
  const since = sinceMs === undefined ? undefined : await reader.offsetsAt(topic, sinceMs);
  const until = untilMs === undefined ? undefined : await reader.offsetsAt(topic, untilMs);
  return {
    from: (partition) => fromOffset ?? since?.get(partition),
    to: (partition) => toOffset ?? until?.get(partition),
  };
}

function wantedPartitions(bounds: readonly LogBounds[], { partitions }: RangeRequest): readonly LogBounds[] {
  if (partitions === undefined) return bounds;
  const existing = bounds.map(({ source }) => source.partition);
  const unknown = partitions.find((partition) => !existing.includes(partition));
  if (unknown !== undefined) {
    const topic = bounds[0]?.source.topic ?? '';
    throw new TollbookError(
      'USAGE_INVALID',
      `partition ${unknown} was named; allowed: those of ${topic}, 0 to ${existing.length - 1}`,
    );
  }
  return bounds.filter(({ source }) => partitions.includes(source.partition));
}

function assertComparable({ source, end }: LogBounds, cursor: Cursor | undefined, clusterId: string): void {
  if (cursor === undefined) return;
  if (cursor.clusterId !== clusterId) {
    throw new TollbookError(
      'CLUSTER_MISMATCH',
      `the cursor of ${sourceName(source)} belongs to Kafka cluster ${cursor.clusterId}, connected is ${clusterId}`,
    );
  }
  if (cursor.nextOffset <= end) return;
  throw new TollbookError(
    'CURSOR_AHEAD_OF_LOG',
    `the cursor of ${sourceName(source)} is ${cursor.nextOffset}, but the log ends at ${end}: ` +
      'the topic was recreated or truncated, so its offsets mean other messages',
  );
}

interface PartitionFacts {
  readonly bounds: LogBounds;
  readonly kind: UsageKind;
  readonly cursor: Cursor | undefined;
  readonly chargedStart: bigint | undefined;
}

function freeze({ bounds, kind, cursor, chargedStart }: PartitionFacts, asked: AskedOffsets): FrozenRange {
  const { source, start, end } = bounds;
  const askedFrom = asked.from(source.partition) ?? least(chargedStart ?? start, start);
  const askedTo = least(asked.to(source.partition) ?? end, end);
  const cursorAt = cursor?.nextOffset ?? null;
  const from = least(most(askedFrom, start), askedTo);
  const charged = cursorAt ?? from;
  const to = most(from, least(askedTo, charged));
  return {
    ...{ source, kind, from, to, logStart: start, logEnd: end, cursor: cursorAt },
    expired: rangeOf(askedFrom, least(least(start, askedTo), charged)),
    lost: cursorAt === null ? null : rangeOf(most(askedFrom, cursorAt), least(start, askedTo)),
    notChargedYet: rangeOf(most(from, charged), askedTo),
  };
}

function rangeOf(from: bigint, to: bigint): OffsetRange | null {
  return from < to ? { from, to } : null;
}

function least(left: bigint, right: bigint): bigint {
  return left < right ? left : right;
}

function most(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}
