/**
 * Owns: waiting, while a process starts, for a server that is not there yet, or a database that is not migrated yet, so
 * that it does not matter in which order servers, migrations and processes start.
 * Does not own: servers that go away later: what uses them goes on by itself.
 * Invariants: only what a retry mends is waited for; every attempt that failed is told; a request to stop ends the wait.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import { GrowingPause } from '../runtime/growing-pause.js';
import type { Logger } from '../runtime/logger.js';

/** Who hears of the wait, and what ends it. */
export interface ServerWait {
  readonly logger: Logger;
  /** Ends the wait when it is aborted; without it nothing is waited for. */
  readonly stopping: AbortSignal | undefined;
}

const RETRY_PAUSES = { firstMs: 1_000, longestMs: 5_000 };
/** What has not passed after so many attempts, half a minute or so, is told as an error. */
const ATTEMPTS_QUIET_MAX = 10;

/**
 * Tries until the server answers; `attempt` may be called any number of times.
 * Throws RUN_STOPPED when stopping is asked for meanwhile, and at once whatever no retry mends.
 */
export async function onceItAnswers<T>(attempt: () => Promise<T>, { logger, stopping }: ServerWait): Promise<T> {
  if (stopping === undefined) return attempt();
  const stop = stopped(stopping);
  stop.catch(() => undefined); // the race that it may settle can be over by then
  const pause = new GrowingPause(RETRY_PAUSES);
  for (let failures = 0; ; failures += 1) {
    try {
      const result = await Promise.race([attempt(), stop]);
      if (failures > 0) logger.info('the server answers: starting goes on');
      return result;
    } catch (error) {
      if (!isTollbookError(error) || error.disposition !== 'retry') throw error;
      const level = failures < ATTEMPTS_QUIET_MAX ? 'warn' : 'error';
      logger[level]({ err: error }, 'a server is away or not ready: waiting for it before starting');
    }
    await Promise.race([delay(pause.afterFailure()), stop]);
  }
}

/** Rejects with RUN_STOPPED once stopping is asked for. */
async function stopped(stopping: AbortSignal): Promise<never> {
  if (!stopping.aborted) {
    await new Promise((resolve) => stopping.addEventListener('abort', resolve, { once: true }));
  }
  throw new TollbookError('RUN_STOPPED', 'stopped while waiting for a server');
}
