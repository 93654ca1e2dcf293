/**
 * Owns: running scripts by EVALSHA, many in one pipeline, and getting them into Redis.
 * Does not own: what the scripts do, nor what their replies mean (quota-scripts.ts, quota-replies.ts).
 * Order: scripts are loaded before the first use, and anew after a connection was lost. A server that forgot them all the
 * same (SCRIPT FLUSH, a failover) answers NOSCRIPT: they are loaded again and only the calls so answered are repeated,
 * once. The calls of one run name different tenants, so that their order does not matter.
 * Rejected: ioredis `defineCommand`, which in a pipeline re-sends after NOSCRIPT out of order; repeating the whole run,
 * which would answer `moved` for what its first half had projected.
 */
import type { Redis } from 'ioredis';
import { redisError } from '../runtime/redis.js';
import { type ScriptName, type ScriptSource, readScripts } from './script-source.js';

/** One call of a script; all keys lie in one hash slot. */
export interface ScriptCall {
  readonly script: ScriptName;
  readonly keys: readonly string[];
  readonly args: readonly string[];
}

/** What a pipeline says about one command: its error or its reply. */
type PipelineResult = readonly [error: Error | null, reply: unknown];

/** Runs the project's scripts on one Redis connection. */
export class ScriptRunner {
  readonly #redis: Redis;
  readonly #sources: Readonly<Record<ScriptName, ScriptSource>> = readScripts();
  #loading: Promise<void> | undefined;

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.on('close', () => {
      this.#loading = undefined;
    });
  }

  /**
   * Runs the calls in one pipeline and returns their replies in the same order.
   * Atomic: each call, not the run. Throws REDIS_UNAVAILABLE or REDIS_FAILED when any call failed; others may have run.
   */
  async run(calls: readonly ScriptCall[]): Promise<readonly unknown[]> {
    return (await this.#results(calls)).map(replyOf);
  }

  /** As `run`, but a call that failed gives its error in place of its reply, so that one of them harms no other. */
  async runEach(calls: readonly ScriptCall[]): Promise<readonly unknown[]> {
    return (await this.#results(calls)).map((result) => (result[0] === null ? result[1] : redisError(result[0])));
  }

  async #results(calls: readonly ScriptCall[]): Promise<PipelineResult[]> {
    if (calls.length === 0) return [];
    await this.#ensureLoaded();
    const results = await this.#evaluate(calls);
    const forgotten = results.flatMap(([error], index) => (isNoScript(error) ? [index] : []));
    if (forgotten.length > 0) await this.#repeat(calls, results, forgotten);
    return results;
  }

  async #repeat(calls: readonly ScriptCall[], results: PipelineResult[], indexes: readonly number[]): Promise<void> {
    this.#loading = undefined;
    await this.#ensureLoaded();
    const repeated = await this.#evaluate(indexes.flatMap((index) => calls[index] ?? []));
    indexes.forEach((index, position) => {
      results[index] = repeated[position] ?? [null, undefined];
    });
  }

  async #evaluate(calls: readonly ScriptCall[]): Promise<PipelineResult[]> {
    const pipeline = this.#redis.pipeline();
    for (const { script, keys, args } of calls) {
      pipeline.evalsha(this.#sources[script].sha1, keys.length, ...keys, ...args);
    }
    return executed(pipeline.exec());
  }

  async #ensureLoaded(): Promise<void> {
    this.#loading ??= this.#load();
    try {
      await this.#loading;
    } catch (error) {
      this.#loading = undefined;
      throw error;
    }
  }

  async #load(): Promise<void> {
    const pipeline = this.#redis.pipeline();
    for (const { text } of Object.values(this.#sources)) pipeline.script('LOAD', text);
    (await executed(pipeline.exec())).forEach(replyOf);
  }
}

/** Waits for a pipeline; throws REDIS_UNAVAILABLE when it could not be sent at all. */
export async function executed(sent: Promise<[Error | null, unknown][] | null>): Promise<PipelineResult[]> {
  try {
    return (await sent) ?? [];
  } catch (error) {
    throw redisError(error);
  }
}

/** Returns the reply of one command of a pipeline; throws its error as REDIS_UNAVAILABLE or REDIS_FAILED. */
export function replyOf([error, reply]: PipelineResult): unknown {
  if (error !== null) throw redisError(error);
  return reply;
}

function isNoScript(error: Error | null): boolean {
  return error !== null && error.message.startsWith('NOSCRIPT');
}
