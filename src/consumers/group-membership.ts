/**
 * Owns: whether this consumer is a member of its group, since when, and which partitions it was given.
 * Does not own: what is done with them (usage-consumer.ts).
 * Invariants: while it is no member (before the join, after a stop, from a crash to the restart) kafkajs throws on seek, pause
 * and resume.
 */
import type { Consumer } from 'kafkajs';
import type { StreamSource } from '../ledger/batch.js';
import type { Clock } from '../runtime/clock.js';
import { TollbookError } from '../runtime/errors.js';

/** Who hears of changes. */
export interface MembershipListener {
  /** Called with all partitions at every assignment. */
  readonly onAssigned: (sources: readonly StreamSource[]) => void;
  readonly onLeft: () => void;
  /** Called when the consumer has stopped and will not restart by itself. */
  readonly onFatal: (error: TollbookError) => void;
}

/** Follows a consumer. */
export class GroupMembership {
  readonly #clock: Clock;
  #isMember = false;
  #sinceMs: number;
  #assigned: readonly StreamSource[] = [];

  constructor(consumer: Consumer, clock: Clock, listener: MembershipListener) {
    this.#clock = clock;
    this.#sinceMs = clock.nowMs();
    consumer.on('consumer.group_join', ({ payload }) => {
      const sources = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) =>
        partitions.map((partition): StreamSource => ({ topic, partition })),
      );
      this.#change(true, sources);
      listener.onAssigned(sources);
    });
    consumer.on('consumer.stop', () => {
      this.#change(false, []);
      listener.onLeft();
    });
    consumer.on('consumer.crash', ({ payload: { restart, error } }) => {
      if (restart) return;
      const message = `the Kafka consumer stopped: ${error.message}`;
      listener.onFatal(new TollbookError('CONSUMER_CRASHED', message, { cause: error }));
    });
  }

  get isMember(): boolean {
    return this.#isMember;
  }

  /** Since when it is, or is not, a member, in milliseconds since the Unix epoch. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  get assigned(): readonly StreamSource[] {
    return this.#assigned;
  }

  #change(isMember: boolean, assigned: readonly StreamSource[]): void {
    if (isMember !== this.#isMember) this.#sinceMs = this.#clock.nowMs();
    this.#isMember = isMember;
    this.#assigned = assigned;
  }
}
