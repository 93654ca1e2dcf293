/**
 * Owns: charging a corrected copy of one dead letter, whose message itself can never be charged.
 * Does not own: the redrive (redrive.ts), which charges the copy like the message.
 * Invariants: the bytes of the letter stay as they are; the copy is kept with who gave it and why; a letter is charged at
 * most once, as it is or amended; the copy names the tenant and the trace of the letter, where that names any.
 */
import { letterName, type LetterSummary } from '../ledger/dead-letter.js';
import { invariant, TollbookError } from '../runtime/errors.js';
import { redriveLetters } from './redrive.js';
import type { LetterRedrive, RedrivePorts } from './redrive-attempt.js';

/** Which letter is charged by which copy, and on whose word. */
export interface Amendment {
  readonly letter: LetterSummary;
  /** The event as its JSON should have been. */
  readonly value: Buffer;
  readonly actor: string;
  readonly reason: string;
  /** Find out what it would come to, and write nothing. */
  readonly isDryRun: boolean;
}

/**
 * Charges a corrected copy of a dead letter. Idempotent: a letter that was redriven is reported as closed.
 * Throws USAGE_INVALID for a copy of another trace and for a batch of messages, TOPIC_UNKNOWN, POSTGRES_*.
 */
export async function amendLetter(
  ports: RedrivePorts,
  { letter, value, actor, reason, isDryRun }: Amendment,
): Promise<LetterRedrive> {
  if (letter.reason === 'UNREADABLE_BATCH') {
    throw new TollbookError(
      'USAGE_INVALID',
      `${letterName(letter)} stands for a whole batch of messages; allowed: the letter of one message. ` +
        'Publish what the batch held anew, and discard the letter',
    );
  }
  const order = { letters: [letter], actor, reason, isDryRun, amendedValue: value };
  const [result] = await redriveLetters(ports, order);
  invariant(result !== undefined, 'a redrive tells what became of every letter');
  return result;
}
