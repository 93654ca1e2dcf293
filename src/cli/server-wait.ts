/**
 * Owns: waiting, while a process starts, for a server that is not there yet, so that it does not matter in which order
 * servers and processes start.
 * Does not own: servers that go away later: what uses them goes on by itself.
 * Invariants: only what a retry mends is waited for; every attempt that failed is told; a request to stop ends the wait.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import type { Logger } from '../runtime/logger.js';

/** Who hears of the wait, and what ends it. */
export interface ServerWait {
  readonly logger: Logger;
  /** Ends the wait when it is aborted; without it nothing is waited for. */
  readonly stopping: AbortSignal | undefined;
}

const RETRY_AFTER_MS = 1_000;

/**
 * Tries until the server answers; `attempt` may be called any number of times.
 * Throws RUN_STOPPED when stopping is asked for meanwhile, and at once whatever no retry mends.
 */
export async function onceItAnswers<T>(attempt: () => Promise<T>, { logger, stopping }: ServerWait): Promise<T> {
  if (stopping === undefined) return attempt();
  const stop = stopped(stopping);
  stop.catch(() => undefined); // the race that it may settle can be over by then
  for (let failures = 0; ; failures += 1) {
    try {
      const result = await Promise.race([attempt(), stop]);
      if (failures > 0) logger.info('the server answers: starting goes on');
      return result;
    } catch (error) {
      if (!isTollbookError(error) || error.disposition !== 'retry') throw error;
      logger.warn({ err: error }, 'a server is away: waiting for it before starting');
    }
    await Promise.race([delay(RETRY_AFTER_MS), stop]);
  }
}

/** Rejects with RUN_STOPPED once stopping is asked for. */
async function stopped(stopping: AbortSignal): Promise<never> {
  if (!stopping.aborted) {
    await new Promise((resolve) => stopping.addEventListener('abort', resolve, { once: true }));
  }
  throw new TollbookError('RUN_STOPPED', 'stopped while waiting for a server');
}
