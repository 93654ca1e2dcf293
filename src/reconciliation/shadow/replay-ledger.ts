/**
 * Owns: the replay: the recorded batches of a span, in the order of their ids, one after the other onto the shadow.
 * Does not own: how one is replayed (replay-batch.ts), nor the comparison (compare-ledgers.ts).
 * Invariants: batch ids are drawn while the account locks are held, so their order is one in which all chunks and commands
 * of every tenant can have happened; memory is bounded by a page of batches; a signal stops it after the batch under way.
 */
import { type ImportedVersion, insertVersion, readPrices, readVersions } from '../../ledger/postgres/price-books.js';
import { TollbookError } from '../../runtime/errors.js';
import { type BatchSeal, pageBatchSeals } from '../reconcile/ledger-batches.js';
import { sourceName } from '../reconcile/frozen-ranges.js';
import { type RecordedSpan, refusingBatches } from './recorded-ledger.js';
import { BatchReplay, type ReplayPorts } from './replay-batch.js';
import { endsBefore } from './replay-span.js';

/** A batch that could not be replayed, and why. */
export interface ReplayProblem {
  readonly batchId: number;
  readonly source: string;
  readonly firstOffset: string;
  readonly why: string;
}

/** What a replay did. */
export interface ReplayResult {
  readonly batches: number;
  readonly messages: number;
  readonly refusalsTakenOver: number;
  /** Batches that the code under test did not seal, or whose messages expired meanwhile. */
  readonly problems: number;
  /** The first of them. */
  readonly firstProblems: readonly ReplayProblem[];
}

/** How a replay is watched and stopped. */
export interface ReplayControl {
  readonly signal: AbortSignal;
  /** Hears how many messages have been replayed. */
  readonly onProgress: (messages: number) => void;
}

const BATCH_PAGE = 100;
const PROBLEMS_TOLD_MAX = 20;

/** Replays a span. Throws RUN_STOPPED, POSTGRES_*, KAFKA_UNAVAILABLE, TOPIC_UNKNOWN. */
export async function replayLedger(
  ports: ReplayPorts,
  span: RecordedSpan,
  { signal, onProgress }: ReplayControl,
): Promise<ReplayResult> {
  const ends = await endsBefore(ports.live, span.first);
  const replay = new BatchReplay(ports, new Map(ends.map((each) => [sourceName(each), each.end])));
  const books = await PriceBookFollower.open(ports);
  const firstProblems: ReplayProblem[] = [];
  let [batches, messages, problems] = [0, 0, 0];
  for await (const { batch, refuses } of batchesOf(ports, span)) {
    if (signal.aborted)
      throw new TollbookError(
        'RUN_STOPPED',
        `stopped after ${batches} of ${span.batches} batches; the shadow is dropped`,
      );
    await books.follow(batch.sealedAt);
    const step = await replay.replay(batch, refuses);
    batches += 1;
    messages += messagesOf(batch);
    onProgress(messages);
    if (step.kind === 'replayed') continue;
    problems += 1;
    if (firstProblems.length < PROBLEMS_TOLD_MAX) {
      const why = step.kind === 'expired' ? 'Kafka no longer has all of its messages' : step.why;
      const { batchId, source, firstOffset } = batch;
      firstProblems.push({ batchId, source: sourceName(source), firstOffset: firstOffset.toString(), why });
    }
  }
  return { batches, messages, refusalsTakenOver: replay.refusalsTakenOver, problems, firstProblems };
}

async function* batchesOf(
  { live }: ReplayPorts,
  { first, through }: RecordedSpan,
): AsyncGenerator<{ readonly batch: BatchSeal; readonly refuses: boolean }> {
  for (let after = first - 1; ;) {
    const page = await pageBatchSeals(live, { after, through }, BATCH_PAGE);
    const last = page[page.length - 1];
    if (last === undefined) return;
    const refusing = await refusingBatches(live, { first: after + 1, through: last.batchId });
    for (const batch of page) yield { batch, refuses: refusing.has(batch.batchId) };
    after = last.batchId;
  }
}

/** What a batch is made of, whatever it came to. */
function messagesOf({ counts: { openings: _openings, ...messages } }: BatchSeal): number {
  return Object.values(messages).reduce((sum, count) => sum + count, 0);
}

/** Brings the price books to the shadow version by version, as they were imported. */
class PriceBookFollower {
  readonly #ports: ReplayPorts;
  /** Those the shadow does not have, the earliest import last. */
  readonly #ahead: ImportedVersion[];

  private constructor(ports: ReplayPorts, ahead: ImportedVersion[]) {
    this.#ports = ports;
    this.#ahead = ahead;
  }

  static async open(ports: ReplayPorts): Promise<PriceBookFollower> {
    const versions = await readVersions(ports.live);
    return new PriceBookFollower(
      ports,
      versions.sort((left, right) => (left.importedAt < right.importedAt ? 1 : -1)),
    );
  }

  /** Imports what had been imported by an instant. */
  async follow(instant: string): Promise<void> {
    for (let next = this.#ahead.at(-1); next !== undefined && next.importedAt <= instant; next = this.#ahead.at(-1)) {
      await insertVersion(this.#ports.shadow, next, await readPrices(this.#ports.live, next));
      this.#ahead.pop();
    }
  }
}
