/**
 * Owns: the discard of dead letters: an operator's word that they are never to be charged.
 * Does not own: SQL, nor finding the letters.
 * Invariants: nothing is deleted, neither bytes nor reason; a letter that was redriven stays redriven.
 */
import type { LetterAction, LetterPosition, LetterState } from './dead-letter.js';
import { letterName } from './dead-letter.js';
import type { DeadLetterStore } from './dead-letter-store.js';

/** What a discard works with. */
export interface DiscardPorts {
  readonly letters: DeadLetterStore;
  readonly clock: { nowMs(): number };
}

/** Which letters are discarded, and on whose word. */
export interface DiscardOrder {
  readonly positions: readonly LetterPosition[];
  readonly actor: string;
  readonly reason: string;
}

/** What a discard came to for one letter: discarded now, or left in the state it had before. */
export interface LetterDiscard {
  readonly position: LetterPosition;
  readonly kind: 'discarded' | 'closed';
  readonly state: LetterState;
}

/**
 * Discards letters, and returns what each came to; positions without a letter are absent.
 * Atomic: one database transaction. Idempotent: a letter that is closed is left as it is. Throws POSTGRES_*.
 */
export async function discardLetters(
  { letters, clock }: DiscardPorts,
  { positions, actor, reason }: DiscardOrder,
): Promise<LetterDiscard[]> {
  return letters.transact(async (transaction) => {
    const states = await transaction.lockStates(positions);
    const known = positions.flatMap(({ topic, partition, kafkaOffset }) => {
      const position = { topic, partition, kafkaOffset };
      const state = states.get(letterName(position));
      return state === undefined ? [] : [{ position, state }];
    });
    const actedAt = new Date(clock.nowMs()).toISOString();
    const open = known.filter(({ state }) => state === 'open');
    const actions = open.map(({ position }): LetterAction => ({
      ...position,
      action: 'discarded',
      actor,
      reason,
      actedAt,
    }));
    if (actions.length > 0) await transaction.record(actions);
    return known.map(({ position, state }) =>
      state === 'open' ? { position, kind: 'discarded', state: 'discarded' } : { position, kind: 'closed', state },
    );
  });
}
