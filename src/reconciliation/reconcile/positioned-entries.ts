/**
 * Owns: the entries of a window by the position they say they come from, and how many each batch sealed.
 * Invariants: an entry is handed out once, to the message at its position; what nobody claims is told in the end.
 */
import type { EntryLine } from './entry-lines.js';
import { sourceName } from './frozen-ranges.js';
import { isOpening } from './judge-message.js';

/** How many entries a batch sealed: of usage, and openings of accounts. */
export interface SealedEntries {
  readonly usage: number;
  readonly openings: number;
}

/** Entries by position, each handed out once. */
export class PositionedEntries {
  readonly #bySource = new Map<string, Map<bigint, EntryLine[]>>();
  readonly #sealed = new Map<number, { usage: number; openings: number }>();

  constructor(lines: readonly EntryLine[]) {
    for (const line of lines) {
      this.#place(line);
      const sealed = this.#sealed.get(line.batchId) ?? { usage: 0, openings: 0 };
      if (isOpening(line)) sealed.openings += 1;
      else sealed.usage += 1;
      this.#sealed.set(line.batchId, sealed);
    }
  }

  #place(line: EntryLine): void {
    const name = sourceName(line.source);
    let ofSource = this.#bySource.get(name);
    if (ofSource === undefined) this.#bySource.set(name, (ofSource = new Map<bigint, EntryLine[]>()));
    const there = ofSource.get(line.kafkaOffset);
    if (there === undefined) ofSource.set(line.kafkaOffset, [line]);
    else there.push(line);
  }

  /** The entries at a position, for the one who asks first. */
  claim(source: string, kafkaOffset: bigint): readonly EntryLine[] {
    const ofSource = this.#bySource.get(source);
    const there = ofSource?.get(kafkaOffset);
    if (there === undefined) return NO_ENTRIES;
    ofSource?.delete(kafkaOffset);
    return there;
  }

  /** How many entries say that this batch sealed them. */
  sealedBy(batchId: number | undefined): SealedEntries {
    return (batchId === undefined ? undefined : this.#sealed.get(batchId)) ?? { usage: 0, openings: 0 };
  }

  /** The entries that nobody has claimed. */
  *unclaimed(): Generator<EntryLine> {
    for (const ofSource of this.#bySource.values()) for (const there of ofSource.values()) yield* there;
  }
}

const NO_ENTRIES: readonly EntryLine[] = [];
