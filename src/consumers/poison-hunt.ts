/**
 * Owns: what of a chunk is charged when charging it throws: everything but the message that is at fault.
 *
 *  1. Charge the chunk. What it throws for a condition of a server, or of the stream, leaves as it is.
 *  2. Anything else is caused by a message, or is a bug of ours that a message meets: charge the two halves of the chunk, one
 *     after the other, each in a database transaction of its own and each by these rules.
 *  3. A message that fails alone becomes a dead letter PROCESSING_FAILED, with the error and its stack, an ERROR and a metric.
 *     A redrive charges it when the cause is mended. Should even the letter fail, it is written without headers and names.
 *  4. The brake: when ROW_MAX (20) messages of a partition have failed one after the other, with nothing charged in between, it is
 *     our own bug rather than theirs. The partition then stops after every further letter (PROCESSING_STOPPED), and goes
 *     on with the next message when it is looked at again: an alarm, and a few letters a minute in place of the whole topic.
 *
 * What a crash leaves behind: nothing of its own; what is committed is charged, and the cursor tells how far.
 * Does not own: charging (charge-protocol.ts), when a stopped partition is looked at again (usage-consumer.ts).
 * Invariants: the messages of a partition are charged in their order, each exactly once; a message at fault costs at most
 * 2 log₂ n database transactions; what fails is charged alone, so that it cannot fail others again.
 */
import { sourceName } from '../ledger/batch.js';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import type { Logger } from '../runtime/logger.js';
import { type Chunk, type ChunkOutcome, type Charging, type PutAside } from './charge-protocol.js';
import { failureDetail } from './failure-detail.js';

/** What the hunt works with. */
export interface PoisonHuntOptions {
  readonly charging: Charging;
  readonly logger: Logger;
  /** Called for every message that is put aside. */
  readonly onFailed?: (topic: string) => void;
}

/** So many messages may fail one after the other before the partition stops after each. */
export const ROW_MAX = 20;

/** Charges chunks; what fails in one of them is found and put aside. */
export class PoisonHunt implements Charging {
  readonly #options: PoisonHuntOptions;
  /** Messages put aside since the last that was charged, by partition. */
  readonly #inARow = new Map<string, number>();

  constructor(options: PoisonHuntOptions) {
    this.#options = options;
  }

  /** Charges a chunk; the outcome is that of its last part. Throws what is no fault of a message, and PROCESSING_STOPPED. */
  async charge(chunk: Chunk): Promise<ChunkOutcome> {
    try {
      const outcome = await this.#options.charging.charge(chunk);
      if (outcome.kind === 'charged') this.#inARow.delete(sourceName(chunk.source));
      return outcome;
    } catch (error) {
      if (!isFaultOfMessage(error) || chunk.messages.length === 0) throw error;
      return chunk.messages.length > 1 ? this.#chargeHalves(chunk) : this.#putAside(chunk, error);
    }
  }

  async #chargeHalves(chunk: Chunk): Promise<ChunkOutcome> {
    const [first, second] = halvesOf(chunk);
    const outcome = await this.charge(first);
    return outcome.kind === 'hole' ? outcome : this.charge(second);
  }

  async #putAside(chunk: Chunk, error: unknown): Promise<ChunkOutcome> {
    const { logger, onFailed } = this.#options;
    const { topic, partition } = chunk.source;
    const kafkaOffset = String(chunk.messages[0]?.kafkaOffset);
    const outcome = await this.#writeLetter(chunk, error);
    if (outcome.kind !== 'charged') return outcome;
    logger.error(
      { err: error, topic, partition, kafkaOffset },
      'a message fails whatever is done: it is a dead letter now; redrive it when the cause is mended',
    );
    onFailed?.(topic);
    this.#brake(chunk, error);
    return outcome;
  }

  async #writeLetter(chunk: Chunk, error: unknown): Promise<ChunkOutcome> {
    const { charging } = this.#options;
    const detail = failureDetail(error);
    try {
      return await charging.charge(asLetter(chunk, { detail, withoutHeaders: false, withoutNames: false }));
    } catch (again) {
      if (!isFaultOfMessage(again)) throw again;
      return charging.charge(asLetter(chunk, { detail, withoutHeaders: true, withoutNames: true }));
    }
  }

  #brake({ source }: Chunk, error: unknown): void {
    const name = sourceName(source);
    const inARow = (this.#inARow.get(name) ?? 0) + 1;
    this.#inARow.set(name, inARow);
    if (inARow < ROW_MAX) return;
    throw new TollbookError(
      'PROCESSING_STOPPED',
      `${inARow} messages of ${name} have failed one after the other; the last: ${failureDetail(error).slice(0, 200)}`,
      { cause: error, context: { ...source, inARow } },
    );
  }
}

function asLetter(chunk: Chunk, why: Omit<PutAside, 'reason'>): Chunk {
  const aside = { ...why, reason: 'PROCESSING_FAILED' as const };
  return { ...chunk, putAside: new Map(chunk.messages.map(({ kafkaOffset }) => [kafkaOffset, aside])) };
}

/** A bug that a message meets, or data that cannot be stored; no condition of a server, of the stream or of the ledger. */
export function isFaultOfMessage(error: unknown): boolean {
  if (!isTollbookError(error)) return true;
  return error.disposition === 'deadLetter' || error.code === 'INVARIANT_BROKEN';
}

/** Both halves are charged alone; the position after the first is that of the second, whatever lies between. */
function halvesOf(chunk: Chunk): [Chunk, Chunk] {
  const { messages } = chunk;
  const middle = messages.length >> 1;
  const [first, second] = [messages.slice(0, middle), messages.slice(middle)];
  const nextOffset = second[0]?.kafkaOffset ?? chunk.nextOffset;
  return [
    { ...chunk, messages: first, nextOffset, isAlone: true },
    { ...chunk, messages: second, from: nextOffset, isAlone: true },
  ];
}
