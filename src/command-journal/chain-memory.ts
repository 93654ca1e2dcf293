/**
 * Owns: the ends of chains as a process has seen them, and what of them a database no longer has.
 * Does not own: when it is compared (history-watch.ts), SQL.
 * Invariants: bounded: the last batches of each chain; what was found lost is forgotten, so that it is told once.
 */
import { sourceName, type StreamSource } from '../ledger/batch.js';
import { readBatchHashes, type ReadRows } from '../ledger/postgres/anchor-rows.js';
import { readChainTails, type TailBatch } from '../ledger/postgres/chain-tails.js';

/** Consecutive batches of a chain that are gone. */
export interface LostBatches {
  readonly source: StreamSource;
  readonly from: number;
  readonly to: number;
  /** Hash of the last of them, as 64 hexadecimal digits. */
  readonly lastHash: string;
  readonly lastSealedAt: string;
  /** Hashes of those that had commands. */
  readonly commandHashes: readonly string[];
}

/** Batches remembered of each chain. */
const REMEMBERED_MAX = 256;

/** Remembers the ends of the chains of some topics. */
export class ChainMemory {
  readonly #rows: ReadRows;
  readonly #topics: readonly string[];
  readonly #seen = new Map<string, TailBatch[]>();

  constructor(rows: ReadRows, topics: readonly string[]) {
    this.#rows = rows;
    this.#topics = topics;
  }

  /** Compares what is remembered with the database, then remembers what is new there. Throws POSTGRES_*. */
  async compare(): Promise<LostBatches[]> {
    const lasts = this.#lasts();
    const hashes = await readBatchHashes(this.#rows, lasts);
    const lost: LostBatches[] = [];
    for (const [index, last] of lasts.entries()) {
      if (hashes[index] !== last.hash) lost.push(await this.#forgetLost(last));
    }
    await this.#remember();
    return lost;
  }

  #lasts(): TailBatch[] {
    return [...this.#seen.values()].flatMap((batches) => batches.slice(-1));
  }

  /** Finds the first batch that is not there as it was seen, and forgets it and all after it. */
  async #forgetLost({ source, batchNo: to, hash, sealedAt }: TailBatch): Promise<LostBatches> {
    const batches = this.#seen.get(sourceName(source)) ?? [];
    const hashes = await readBatchHashes(this.#rows, batches);
    const kept = batches.filter((batch, index) => hashes[index] === batch.hash);
    const gone = batches.filter((batch, index) => hashes[index] !== batch.hash);
    if (kept.length === 0) this.#seen.delete(sourceName(source));
    else this.#seen.set(sourceName(source), kept);
    const commandHashes = gone.filter(({ hasCommands }) => hasCommands).map((batch) => batch.hash);
    return { source, from: gone[0]?.batchNo ?? to, to, lastHash: hash, lastSealedAt: sealedAt, commandHashes };
  }

  async #remember(): Promise<void> {
    const topics = this.#topics;
    const found = await readChainTails(this.#rows, { topics, seen: this.#lasts(), batchesMax: REMEMBERED_MAX });
    for (const batch of found) {
      const name = sourceName(batch.source);
      const known = this.#seen.get(name);
      if (known === undefined) this.#seen.set(name, [batch]);
      else if (known.push(batch) > REMEMBERED_MAX) known.shift();
    }
  }
}
