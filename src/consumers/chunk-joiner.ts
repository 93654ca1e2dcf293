/**
 * Owns: which chunks are charged in one database transaction: those of one kind that wait while others are charged.
 * Does not own: charging (charge-protocol.ts).
 * Invariants: a source is charged by one transaction at a time, in order; at most so many transactions at once, of at most
 * so many messages, unless one chunk alone has more; chunks are joined only where each has its cursor and all are of
 * one kind, as the protocol asks; when charging together fails, each chunk is charged alone, beside the others, so that none
 * suffers from another or waits for it. A source that failed alone for a lock is charged alone until it succeeds, so that
 * others wait with it once at most. A database that is away is asked once, and not once for every chunk.
 * Why: at a moderate load chunks are small, and a transaction costs the same for four messages as for forty.
 */
import { invariant, isTollbookError } from '../runtime/errors.js';
import type { Chunk, ChunkOutcome } from './charge-protocol.js';

/** Beside a running transaction of its kind another begins when a fourth of the largest waits. */
const PARTS_OF_LARGEST = 4;

/** What the joiner works with. */
export interface ChunkJoinerOptions {
  readonly chargeTogether: (chunks: readonly Chunk[]) => Promise<ChunkOutcome[]>;
  readonly transactionsMax: number;
  /** Messages charged in one database transaction. */
  readonly messagesMax: number;
}

interface WaitingChunk {
  readonly chunk: Chunk;
  /** Charged with no other, and at once. */
  readonly isAlone: boolean;
  readonly resolve: (outcome: ChunkOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Charges chunks, small ones together. */
export class ChunkJoiner {
  readonly #options: ChunkJoinerOptions;
  #waiting = new Set<WaitingChunk>();
  readonly #underWay = new Set<readonly WaitingChunk[]>();
  /** Sources that need a row which somebody keeps locked. */
  readonly #locked = new Set<string>();
  #isScheduled = false;

  constructor(options: ChunkJoinerOptions) {
    this.#options = options;
  }

  /** Charges a chunk, perhaps with others. Throws what charging it alone throws. */
  charge(chunk: Chunk): Promise<ChunkOutcome> {
    return new Promise((resolve, reject) => {
      const isAlone = chunk.isAlone === true || this.#locked.has(sourceOf(chunk));
      this.#waiting.add({ chunk, isAlone, resolve, reject });
      this.#schedule();
    });
  }

  /** Chunks of one fetch arrive in one turn of the event loop: they are waited for. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      for (let taken = this.#take(); taken !== undefined; taken = this.#take()) void this.#run(taken);
    });
  }

  /** Takes what is to be charged together now; few messages wait for the end of those under way, while others join them. */
  #take(): readonly WaitingChunk[] | undefined {
    const { transactionsMax, messagesMax } = this.#options;
    if (this.#underWay.size >= transactionsMax) return undefined;
    const chunksUnderWay = [...this.#underWay].flat().map(({ chunk }) => chunk);
    const busy = new Set(chunksUnderWay.map(sourceOf));
    for (const kind of ['completed', 'pending'] as const) {
      const joined = this.#joinable(kind, busy);
      const isFirst = joined[0]?.isAlone === true || chunksUnderWay.every((chunk) => chunk.kind !== kind);
      if (joined.length === 0 || (!isFirst && messagesOf(joined) * PARTS_OF_LARGEST < messagesMax)) continue;
      for (const waiting of joined) this.#waiting.delete(waiting);
      return joined;
    }
    return undefined;
  }

  /** What may be charged in one transaction, from the one that has waited longest. */
  #joinable(kind: Chunk['kind'], busy: ReadonlySet<string>): WaitingChunk[] {
    const joined: WaitingChunk[] = [];
    const sources = new Set(busy);
    for (const waiting of this.#waiting) {
      const { chunk } = waiting;
      if (chunk.kind !== kind) continue;
      const isFree = !sources.has(sourceOf(chunk));
      sources.add(sourceOf(chunk));
      if (!isFree || !this.#fits(joined, waiting)) continue;
      joined.push(waiting);
      if (waiting.isAlone || chunk.hasCursor !== true) break;
    }
    return joined;
  }

  #fits(joined: readonly WaitingChunk[], { chunk, isAlone }: WaitingChunk): boolean {
    if (joined.length === 0) return true;
    return (
      !isAlone && chunk.hasCursor === true && messagesOf(joined) + chunk.messages.length <= this.#options.messagesMax
    );
  }

  async #run(taken: readonly WaitingChunk[]): Promise<void> {
    this.#underWay.add(taken);
    try {
      const outcomes = await this.#options.chargeTogether(taken.map(({ chunk }) => chunk));
      if (this.#locked.size > 0) for (const { chunk } of taken) this.#locked.delete(sourceOf(chunk));
      for (const [index, { resolve }] of taken.entries()) resolve(outcomeAt(outcomes, index));
    } catch (error) {
      this.#afterFailure(taken, error);
    } finally {
      this.#underWay.delete(taken);
      this.#schedule();
    }
  }

  /** What failed together waits again, each chunk alone and before all others, unless the database is away. */
  #afterFailure(taken: readonly WaitingChunk[], error: unknown): void {
    const [first] = taken;
    if (first !== undefined && taken.length === 1 && isTollbookError(error, 'POSTGRES_LOCKED')) {
      this.#locked.add(sourceOf(first.chunk));
    }
    if (taken.length === 1 || isTollbookError(error, 'POSTGRES_UNAVAILABLE')) {
      for (const { reject } of taken) reject(error);
      return;
    }
    this.#waiting = new Set([...taken.map((waiting) => ({ ...waiting, isAlone: true })), ...this.#waiting]);
  }
}

function sourceOf({ source: { topic, partition } }: Chunk): string {
  return `${topic}/${partition}`;
}

function messagesOf(joined: readonly WaitingChunk[]): number {
  return joined.reduce((sum, { chunk }) => sum + chunk.messages.length, 0);
}

function outcomeAt(outcomes: readonly ChunkOutcome[], index: number): ChunkOutcome {
  const outcome = outcomes[index];
  invariant(outcome !== undefined, 'every chunk has its outcome');
  return outcome;
}
