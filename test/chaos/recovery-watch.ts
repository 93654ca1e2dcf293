/**
 * Owns: how long the ledger took to recover from each fault of a soak run: from the moment something broke until a message
 * published after it was mended is charged in every partition, and all that was charged then is projected.
 * Invariants: watches run side by side with the next faults, whose time may be part of theirs.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isPassing } from '../support/after-fault.js';
import type { FaultWorld } from '../support/fault-world.js';
import type { FaultKind } from './fault-plan.js';

/** How long one recovery took. */
export interface Recovery {
  readonly kind: FaultKind;
  readonly ms: number;
}

type Positions = ReadonlyMap<string, bigint>;

const POLL_MS = 100;
const RECOVERY_MAX_MS = 120_000;

/** Watches recoveries. */
export class RecoveryWatch {
  readonly recovered: Recovery[] = [];
  /** What did not recover in time. */
  readonly problems: string[] = [];
  readonly #watches = new Set<Promise<void>>();

  constructor(
    readonly world: FaultWorld,
    readonly publisher: { readonly isDone: boolean },
  ) {}

  /** Watches the recovery from a fault that has just been mended. */
  begin(kind: FaultKind, brokenAtMs: number): void {
    const watch = this.#watch(kind, brokenAtMs).finally(() => this.#watches.delete(watch));
    this.#watches.add(watch);
  }

  /** Resolves once every recovery watched is over, one way or the other. */
  async all(): Promise<void> {
    await Promise.all(this.#watches);
  }

  async #watch(kind: FaultKind, brokenAtMs: number): Promise<void> {
    const deadlineMs = performance.now() + RECOVERY_MAX_MS;
    const until = async (holds: () => Promise<boolean>): Promise<boolean> => {
      while (!(await this.#orFalse(holds))) {
        if (performance.now() > deadlineMs) return false;
        await delay(POLL_MS);
      }
      return true;
    };
    let ends: Positions = new Map();
    let seqs: ReadonlyMap<string, number> = new Map();
    const isRecovered =
      (await until(async () => (ends = await this.#ends()).size > 0)) &&
      (await until(() => this.#isChargedBeyond(ends))) &&
      (await until(async () => (seqs = await this.#seqs()).size > 0)) &&
      (await until(() => this.#isProjected(seqs)));
    if (isRecovered) this.recovered.push({ kind, ms: performance.now() - brokenAtMs });
    else this.problems.push(`${kind}: not recovered within ${RECOVERY_MAX_MS / 1_000} s`);
  }

  /** While a server is away, nothing can be found out, and so nothing has recovered. */
  async #orFalse(holds: () => Promise<boolean>): Promise<boolean> {
    try {
      return await holds();
    } catch (error) {
      if (isPassing(error)) return false;
      this.problems.push(String(error));
      return false;
    }
  }

  async #isChargedBeyond(ends: Positions): Promise<boolean> {
    const { isDone } = this.publisher;
    const last = isDone ? await this.#ends() : ends;
    const cursors = await this.world.ledger.reader.readCursors();
    const positions = new Map(cursors.map(({ source, nextOffset }) => [keyOf(source), nextOffset]));
    return [...ends].every(([key, end]) => {
      const position = positions.get(key) ?? 0n;
      return position > end || (isDone && position === last.get(key));
    });
  }

  async #ends(): Promise<Positions> {
    const ends = new Map<string, bigint>();
    for (const topic of this.world.ledger.topics) {
      const offsets = await this.world.ledger.admin.fetchTopicOffsets(topic);
      for (const { partition, high } of offsets) ends.set(keyOf({ topic, partition }), BigInt(high));
    }
    return ends;
  }

  async #seqs(): Promise<ReadonlyMap<string, number>> {
    const accounts = await this.world.ledger.reader.readAccounts(this.world.tenantIds());
    return new Map([...accounts].map(([tenantId, { seq }]) => [tenantId, seq]));
  }

  async #isProjected(seqs: ReadonlyMap<string, number>): Promise<boolean> {
    const versions = await this.world.ledger.scripts.versions([...seqs.keys()]);
    return [...seqs.values()].every((seq, index) => (versions[index] ?? -1) >= seq);
  }
}

function keyOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`;
}
