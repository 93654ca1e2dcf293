/**
 * Owns: reading both sides in step: the sealed batches in the order they were charged, for each the messages of its
 * offsets from Kafka, and the entries and other records that the ledger has of them.
 * Does not own: the judgement (judge-window.ts).
 * Invariants: batches of all sources are walked in one order, that of their ids, so that the ledger is read once and from
 * front to back; a window is bounded in messages and in bytes, so that memory is too, whatever the size of either side;
 * offsets that no batch covers are walked as well, each just before the batch that follows it.
 */
import type pg from 'pg';
import type { UsageKind } from '../../consumers/intake.js';
import type { StreamSource } from '../../ledger/batch.js';
import { invariant } from '../../runtime/errors.js';
import type { OffsetRange, PartitionReader, TopicMessage } from '../topic/partition-reader.js';
import { type EntryLine, readEntryLines } from './entry-lines.js';
import { sourceName } from './frozen-ranges.js';
import { type BatchSeal, type BatchSpan, pageBatchSeals } from './ledger-batches.js';
import {
  readLetters,
  type RecordedLetter,
  type RecordedRepair,
  type RecordedSkip,
  readRedrives,
  type RedrivenLetter,
  readRepairs,
  readSkips,
  type SourceRange,
} from './recorded-rows.js';

/** One source that is walked: from where it stands now up to its frozen end. */
export interface WalkedSource {
  readonly source: StreamSource;
  /** `sourceName` of it. */
  readonly name: string;
  readonly kind: UsageKind;
  readonly to: bigint;
  readonly reader: Pick<PartitionReader, 'take' | 'prefetch'>;
  readonly acceptedGaps: readonly OffsetRange[];
  /** The first offset that has not been walked. */
  position: bigint;
}

/** Consecutive offsets of one source: those of one sealed batch, or some that no batch covers. */
export interface Segment {
  readonly walked: WalkedSource;
  readonly from: bigint;
  readonly to: bigint;
  /** Undefined: no batch covers these offsets. */
  readonly batch: BatchSeal | undefined;
  /** False where the range cuts the batch, so that its counts say nothing. */
  readonly isWhole: boolean;
  readonly isAcceptedGap: boolean;
  /** The last batch id up to here: where in the ledger's order these offsets stand. */
  readonly through: number;
  readonly messages: readonly TopicMessage[];
  /** What Kafka removed while it was read. */
  readonly expired: readonly OffsetRange[];
}

/** What is judged at once. */
export interface Window {
  readonly span: BatchSpan;
  readonly segments: readonly Segment[];
  readonly entries: readonly EntryLine[];
  readonly letters: ReadonlyMap<string, RecordedLetter>;
  readonly skips: ReadonlyMap<string, RecordedSkip>;
  readonly repairs: ReadonlyMap<string, RecordedRepair>;
  readonly redrives: ReadonlyMap<string, RedrivenLetter>;
}

/** What a walk goes along. */
export interface WalkPlan {
  readonly pool: pg.Pool;
  readonly sources: readonly WalkedSource[];
  readonly topics: readonly string[];
  readonly span: BatchSpan;
}

type PlannedSegment = Omit<Segment, 'messages' | 'expired'>;

/**
 * One window is judged while the next is read. 898,000 messages in batches of up to 2,000 peaked at 298 MB resident with
 * 500, at 338 MB with 2,000.
 */
const WINDOW_MESSAGES = 500;
const WINDOW_BYTES = 8 * 1024 * 1024;
/** Offsets without a batch are walked in pieces, so that a segment is bounded. */
const UNSEALED_PIECE = 4_096n;
const BATCH_PAGE = 500;

/** Walks both sides, window by window. */
export class WindowLoader {
  readonly #plan: WalkPlan;
  readonly #sources: ReadonlyMap<string, WalkedSource>;
  #planned: PlannedSegment[] = [];
  #page: BatchSeal[] = [];
  /** The last batch that was planned, and the last up to which entries have been read. */
  #plannedThrough: number;
  #readThrough: number;
  #isTailPlanned = false;

  constructor(plan: WalkPlan) {
    this.#plan = plan;
    this.#sources = new Map(plan.sources.map((walked) => [walked.name, walked]));
    this.#plannedThrough = plan.span.after;
    this.#readThrough = plan.span.after;
  }

  /** Reads the next window; undefined at the end. Throws KAFKA_UNAVAILABLE, POSTGRES_*. */
  async next(): Promise<Window | undefined> {
    const segments: Segment[] = [];
    const after = this.#readThrough;
    for (let [messages, bytes] = [0, 0]; messages < WINDOW_MESSAGES && bytes < WINDOW_BYTES;) {
      const planned = await this.#nextSegment();
      if (planned === undefined) break;
      const segment = await readSegment(planned);
      segments.push(segment);
      messages += segment.messages.length;
      for (const { value } of segment.messages) bytes += value?.length ?? 0;
      this.#readThrough = planned.through;
    }
    if (segments.length === 0) return undefined;
    for (const { walked } of segments) if (walked.position < walked.to) walked.reader.prefetch();
    return this.#withRecords(segments, { after, through: this.#readThrough });
  }

  async #withRecords(segments: readonly Segment[], span: BatchSpan): Promise<Window> {
    const { pool, topics } = this.#plan;
    const ranges = rangesOf(segments);
    const [entries, letters, skips, repairs, redrives] = await Promise.all([
      span.through > span.after ? readEntryLines(pool, span, topics) : [],
      readLetters(pool, ranges),
      readSkips(pool, ranges),
      readRepairs(pool, ranges),
      readRedrives(pool, ranges),
    ]);
    return { span, segments, entries, letters, skips, repairs, redrives };
  }

  async #nextSegment(): Promise<PlannedSegment | undefined> {
    while (this.#planned.length === 0) {
      const batch = await this.#nextBatch();
      if (batch !== undefined) this.#planned = this.#segmentsOf(batch);
      else if (this.#isTailPlanned) return undefined;
      else this.#planTail();
    }
    return this.#planned.shift();
  }

  async #nextBatch(): Promise<BatchSeal | undefined> {
    if (this.#page.length === 0) {
      const span = { after: this.#plannedThrough, through: this.#plan.span.through };
      this.#page = span.after < span.through ? await pageBatchSeals(this.#plan.pool, span, BATCH_PAGE) : [];
    }
    const batch = this.#page.shift();
    if (batch !== undefined) this.#plannedThrough = batch.batchId;
    return batch;
  }

  /** The part of a batch that is walked, after what no batch covers before it. */
  #segmentsOf(batch: BatchSeal): PlannedSegment[] {
    const walked = this.#sources.get(sourceName(batch.source));
    if (walked === undefined || walked.position >= walked.to) return [];
    if (batch.nextOffset <= walked.position || batch.firstOffset >= walked.to) return [];
    const before = unsealedPieces(walked, batch.firstOffset, batch.batchId - 1);
    const from = walked.position;
    const to = batch.nextOffset < walked.to ? batch.nextOffset : walked.to;
    walked.position = to;
    const isWhole = from === batch.firstOffset && to === batch.nextOffset;
    return [...before, { walked, from, to, batch, isWhole, isAcceptedGap: false, through: batch.batchId }];
  }

  #planTail(): void {
    this.#isTailPlanned = true;
    const { through } = this.#plan.span;
    this.#planned = this.#plan.sources.flatMap((walked) => unsealedPieces(walked, walked.to, through));
  }
}

function unsealedPieces(walked: WalkedSource, until: bigint, through: number): PlannedSegment[] {
  const pieces: PlannedSegment[] = [];
  while (walked.position < until) {
    const from = walked.position;
    const to = from + UNSEALED_PIECE < until ? from + UNSEALED_PIECE : until;
    const isAcceptedGap = walked.acceptedGaps.some((gap) => gap.from <= from && to <= gap.to);
    pieces.push({ walked, from, to, batch: undefined, isWhole: false, isAcceptedGap, through });
    walked.position = to;
  }
  return pieces;
}

async function readSegment(planned: PlannedSegment): Promise<Segment> {
  const { messages, expired } = await planned.walked.reader.take(planned.to);
  return { ...planned, messages, expired };
}

/** One range a source. */
function rangesOf(segments: readonly Segment[]): SourceRange[] {
  const ranges = new Map<string, { source: StreamSource; from: bigint; to: bigint }>();
  for (const { walked, from, to } of segments) {
    const known = ranges.get(walked.name);
    if (known === undefined) ranges.set(walked.name, { source: walked.source, from, to });
    else known.to = to;
  }
  for (const { from, to } of ranges.values()) invariant(from < to, 'a segment has at least one offset');
  return [...ranges.values()];
}
