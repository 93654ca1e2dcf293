/**
 * Owns: the numbers of events that were refused or failed, so that the same event published again takes its own.
 * Does not own: what is the same event (usage-publisher.ts).
 * Invariants: bounded; the oldest is forgotten first. The number of a forgotten one stays a gap until an operator accepts it.
 */

/** Numbers that no event in Kafka has, by event. */
export class OwedNumbers {
  readonly #max: number;
  readonly #numbers = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** The number that an event had when it was not published; undefined when it was never tried, or is forgotten. */
  of(identity: string): number | undefined {
    return this.#numbers.size === 0 ? undefined : this.#numbers.get(identity);
  }

  /** Remembers the number of an event that was not published. Of the same event only the last number is kept. */
  add(identity: string, seq: number): void {
    this.#numbers.delete(identity);
    this.#numbers.set(identity, seq);
    if (this.#numbers.size <= this.#max) return;
    const [oldest] = this.#numbers.keys();
    if (oldest !== undefined) this.#numbers.delete(oldest);
  }

  /** Forgets the number of an event that is on its way. */
  take(identity: string): void {
    if (this.#numbers.size > 0) this.#numbers.delete(identity);
  }
}
