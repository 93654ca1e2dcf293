/**
 * Owns: charging one fetched range of a partition, again when it lost against a concurrent database transaction.
 * Does not own: the protocol (charge-protocol.ts), nor what happens after an error (usage-consumer.ts).
 */
import { isTollbookError } from '../runtime/errors.js';
import type { Logger } from '../runtime/logger.js';
import type { Chunk, ChargeProtocol, ChunkOutcome } from './charge-protocol.js';

/** What ranges are charged with. */
export interface RangeChargerOptions {
  readonly protocol: Pick<ChargeProtocol, 'charge'>;
  readonly logger: Logger;
}

const CONFLICT_RETRIES_MAX = 5;

/** Charges ranges. */
export class RangeCharger {
  readonly #options: RangeChargerOptions;

  constructor(options: RangeChargerOptions) {
    this.#options = options;
  }

  /** Charges a chunk; repeats it from fresh state when it lost against a concurrent database transaction. */
  async charge(chunk: Chunk): Promise<ChunkOutcome> {
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
