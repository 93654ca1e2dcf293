/**
 * Owns: how far this process knows each partition it is assigned to be charged, and noticing that the ledger says less: its
 * database was restored from an older backup. A partition with traffic finds that out by itself (its next chunk is a
 * hole); this is for the idle ones, whose lost messages would else wait for the next one.
 * Invariants: no false alarm: a position is remembered after its commit and taken before the cursor is read, and a
 * cursor never goes back but by a restore.
 */
import { sourceName, type StreamSource } from '../ledger/batch.js';
import type { Cursor } from '../ledger/ledger-store.js';

/** Reads all cursors without locking them. */
export interface CursorsReader {
  readCursors(): Promise<readonly Cursor[]>;
}

interface Charged {
  readonly source: StreamSource;
  readonly nextOffset: bigint;
}

/** Remembers positions; bounded by the partitions assigned. */
export class ChargedPositions {
  readonly #charged = new Map<string, Charged>();

  /** Remembers that everything of a source before `nextOffset` is charged and committed. */
  note(source: StreamSource, nextOffset: bigint): void {
    this.#charged.set(sourceName(source), { source, nextOffset });
  }

  /** Whether something of a source is charged, as far as this process knows. */
  has(source: StreamSource): boolean {
    return this.#charged.has(sourceName(source));
  }

  /** Forgets a source that is read anew from its cursor. */
  forget(source: StreamSource): void {
    this.#charged.delete(sourceName(source));
  }

  /** Forgets all, as on a new assignment. */
  clear(): void {
    this.#charged.clear();
  }

  /** Returns and forgets the sources whose cursor is behind what was charged. Throws POSTGRES_*. */
  async takeRestored(reader: CursorsReader): Promise<StreamSource[]> {
    const before = [...this.#charged];
    if (before.length === 0) return [];
    const cursors = new Map(
      (await reader.readCursors()).map(({ source, nextOffset }) => [sourceName(source), nextOffset]),
    );
    const restored = before.filter(([key, { nextOffset }]) => (cursors.get(key) ?? 0n) < nextOffset);
    for (const [key] of restored) this.#charged.delete(key);
    return restored.map(([, { source }]) => source);
  }
}
