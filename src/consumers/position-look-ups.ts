/**
 * Owns: the look-ups of positions that are under way, so that a stop can wait for them.
 * A look-up that outlived the stop would open the closed Kafka connection again, which keeps the process from ending.
 */
import type { StreamSource } from '../ledger/batch.js';
import type { StartPosition, StreamPositions } from './stream-positions.js';

/** Longest wait of a stop for positions that are being looked up. */
const WAIT_MAX_MS = 3_000;

/** Looks positions up. */
export class PositionLookUps {
  readonly #positions: Pick<StreamPositions, 'startOf'>;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(positions: Pick<StreamPositions, 'startOf'>) {
    this.#positions = positions;
  }

  /** Where to read a source from. Throws what StreamPositions.startOf throws. */
  async startOf(source: StreamSource): Promise<StartPosition> {
    const lookUp = this.#positions.startOf(source);
    this.#underWay.add(lookUp);
    try {
      return await lookUp;
    } finally {
      this.#underWay.delete(lookUp);
    }
  }

  /** Resolves when those under way have ended, or after 3 seconds. */
  async settle(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise((resolve) => (timer = setTimeout(resolve, WAIT_MAX_MS)));
    await Promise.race([Promise.allSettled(this.#underWay), enough]);
    clearTimeout(timer);
  }
}
