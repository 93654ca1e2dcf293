/**
 * Owns: the redrive of dead letters: their original messages charged again, by the steps of the charge protocol
 * (chunk-charge.ts), as a chunk of a stream of their own.
 *
 *  1. Lock the cursor of the redrive stream, then the letters; those that are no longer open are left as they are.
 *  2. Decode and validate the original bytes as if they came now; number those that decode in the redrive stream.
 *  3. Charge them: steps 3 to 6 of the charge protocol.
 *  4. Whatever would be a dead letter again stays open: roll back, and go on at 1 without it. A message that charging fails
 *     for is found by halves, and stays open as well.
 *  5. Record what became of each letter, and give it that state; commit.
 *
 * What a crash leaves behind: before the commit of 5, nothing but in-flight items in Redis, which the repeated redrive
 * finds `already` there. After it, everything; running processes follow the redrive stream and project it.
 * Does not own: finding the letters, SQL.
 * Invariants: a letter is charged at most once, whoever redrives it and how often; what stays open has left no trace;
 * letters that name their tenant are charged in the order given, tenant by tenant.
 */
import type { StreamSource } from '../ledger/batch.js';
import { letterName, type LetterSummary, redriveSource } from '../ledger/dead-letter.js';
import { besideOthers } from '../runtime/beside-others.js';
import { failureDetail } from './failure-detail.js';
import { isFaultOfMessage } from './poison-hunt.js';
import { LEDGER_ALONE } from './quota-gate.js';
import {
  attemptRedrive,
  kindOf,
  type LetterRedrive,
  type RedriveAttempt,
  type RedriveChunk,
  type RedriveOrder,
  type RedrivePorts,
} from './redrive-attempt.js';

/** One database transaction: bounded in messages and, but for a single larger message, in bytes. */
const CHUNK_LETTERS_MAX = 500;
const CHUNK_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Redrives letters and returns what each came to, in their order.
 * Idempotent: a letter that was redriven is reported as closed. Atomic: chunk by chunk; a failure leaves whole chunks.
 * A dry run asks nobody but the ledger, and sees each chunk as if it were the only one.
 * Throws TOPIC_UNKNOWN before anything is written, POSTGRES_*.
 */
export async function redriveLetters(ports: RedrivePorts, order: RedriveOrder): Promise<LetterRedrive[]> {
  for (const { topic } of order.letters) kindOf(ports, topic);
  const charging = order.isDryRun ? { ...ports, gate: LEDGER_ALONE } : ports;
  const results = new Map<string, LetterRedrive>();
  for (const chunk of chunksOf(order.letters)) {
    for (const result of await redriveChunk(charging, chunk, order)) results.set(letterName(result.position), result);
  }
  return order.letters.flatMap((letter) => results.get(letterName(letter)) ?? []);
}

/**
 * Cuts letters into chunks of one redrive stream and one topic each, in their order. One topic, since a plan takes pending
 * events for granted: a completion of the same trace would release a hold that was perhaps refused.
 */
function chunksOf(letters: readonly LetterSummary[]): RedriveChunk[] {
  const chunks: { source: StreamSource; letters: LetterSummary[]; bytes: number }[] = [];
  const last = new Map<number, (typeof chunks)[number]>();
  for (const letter of letters) {
    const source = redriveSource(letter.tenantId);
    const open = last.get(source.partition);
    const fits =
      open !== undefined &&
      open.letters[0]?.topic === letter.topic &&
      open.letters.length < CHUNK_LETTERS_MAX &&
      open.bytes + letter.valueBytes <= CHUNK_BYTES_MAX;
    const chunk = fits ? open : { source, letters: [], bytes: 0 };
    if (!fits) chunks.push(chunk);
    last.set(source.partition, chunk);
    chunk.letters.push(letter);
    chunk.bytes += letter.valueBytes;
  }
  return chunks;
}

/**
 * Attempts a chunk until nothing in it is a dead letter again; each attempt is without those of the one before. What fails by
 * the fault of a message is redriven in halves, down to that one, which stays open.
 */
async function redriveChunk(ports: RedrivePorts, chunk: RedriveChunk, order: RedriveOrder): Promise<LetterRedrive[]> {
  try {
    return await attemptChunk(ports, chunk, order);
  } catch (error) {
    if (!isFaultOfMessage(error)) throw error;
    const { letters } = chunk;
    if (letters.length <= 1) return letters.map((letter) => failedAgain(letter, error));
    const middle = letters.length >> 1;
    const before = await redriveChunk(ports, { ...chunk, letters: letters.slice(0, middle) }, order);
    return [...before, ...(await redriveChunk(ports, { ...chunk, letters: letters.slice(middle) }, order))];
  }
}

function failedAgain({ topic, partition, kafkaOffset }: LetterSummary, error: unknown): LetterRedrive {
  const position = { topic, partition, kafkaOffset };
  return { position, kind: 'stillDead', reason: 'PROCESSING_FAILED', detail: failureDetail(error) };
}

async function attemptChunk(ports: RedrivePorts, chunk: RedriveChunk, order: RedriveOrder): Promise<LetterRedrive[]> {
  const stillDead = new Map<string, LetterRedrive>();
  const attempt = (): Promise<RedriveAttempt> =>
    ports.letters.transact(
      (transaction) => attemptRedrive(ports, transaction, { chunk, order, stillDead }),
      ({ isWritten }) => isWritten && !order.isDryRun,
    );
  for (;;) {
    const { results, isFinal } = await besideOthers(attempt);
    if (isFinal) return [...stillDead.values(), ...results];
    for (const result of results) stillDead.set(letterName(result.position), result);
  }
}
