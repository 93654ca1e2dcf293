/**
 * Owns: charging one fetched range of a partition: again when it lost against a concurrent database transaction, and
 * across a hole that holds nothing to charge.
 * Does not own: the protocol (charge-protocol.ts), nor what happens after an error (usage-consumer.ts).
 */
import { isTollbookError } from '../runtime/errors.js';
import type { Logger } from '../runtime/logger.js';
import type { Chunk, ChargeProtocol, ChunkOutcome } from './charge-protocol.js';
import type { StreamPositions } from './stream-positions.js';

/** What ranges are charged with. */
export interface RangeChargerOptions {
  readonly protocol: Pick<ChargeProtocol, 'charge'>;
  readonly positions: Pick<StreamPositions, 'assertHarmlessHole'>;
  readonly logger: Logger;
}

const CONFLICT_RETRIES_MAX = 5;

/** Charges ranges. */
export class RangeCharger {
  readonly #options: RangeChargerOptions;

  constructor(options: RangeChargerOptions) {
    this.#options = options;
  }

  /**
   * Charges a chunk. `isReadFrom` tells whether Kafka was read without a break from an offset up to the chunk: then a hole
   * there holds nothing to charge, as long as the log has lost nothing.
   * Throws STREAM_GAP, and what the protocol throws.
   */
  async charge(chunk: Chunk, isReadFrom: (offset: bigint) => boolean): Promise<ChunkOutcome> {
    const outcome = await this.#chargeAgain(chunk);
    if (outcome.kind !== 'hole' || !isReadFrom(outcome.expectedOffset)) return outcome;
    await this.#options.positions.assertHarmlessHole(chunk.source, outcome.expectedOffset, chunk.base);
    return this.#chargeAgain({ ...chunk, harmlessHoleFrom: outcome.expectedOffset });
  }

  /** Charges a chunk; repeats it from fresh state when it lost against a concurrent database transaction. */
  async #chargeAgain(chunk: Chunk): Promise<ChunkOutcome> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#options.protocol.charge(chunk);
      } catch (error) {
        if (!isTollbookError(error, 'POSTGRES_CONFLICT') || attempt > CONFLICT_RETRIES_MAX) throw error;
        this.#options.logger.debug({ ...chunk.source, attempt }, 'database conflict: charging the chunk again');
      }
    }
  }
}
