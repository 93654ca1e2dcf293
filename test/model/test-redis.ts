/**
 * Owns: a connection to the real Redis of the tests, with a key prefix of its own that is cleaned up at the end.
 * Invariants: a missing REDIS_URL or server fails the test file, it never skips it.
 */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { TollbookError } from '../../src/runtime/errors.js';
import { createRedis, waitForRedis } from '../../src/runtime/redis.js';

/** A connection for one test file, and the prefix that all of its keys start with. */
export interface TestRedis {
  readonly redis: Redis;
  readonly prefix: string;
  /** Deletes every key under the prefix. */
  clear(): Promise<void>;
  /** Deletes every key under the prefix and closes the connection. */
  close(): Promise<void>;
}

/** Connects to REDIS_URL. Throws CONFIG_INVALID without it, REDIS_UNAVAILABLE when no server answers. */
export async function openTestRedis(): Promise<TestRedis> {
  const url = process.env['REDIS_URL'];
  if (url === undefined)
    throw new TollbookError('CONFIG_INVALID', 'REDIS_URL is not set; these tests need a real Redis');
  const prefix = `test-${randomBytes(6).toString('hex')}`;
  const redis = createRedis(url, { onError: () => undefined, connectionName: prefix });
  await waitForRedis(redis, 5_000);
  const clear = async (): Promise<void> => {
    const keys = await keysUnder(redis, prefix);
    if (keys.length > 0) await redis.del(...keys);
  };
  const close = async (): Promise<void> => {
    await clear();
    await redis.quit();
  };
  return { redis, prefix, clear, close };
}

/** Lists every key under a prefix, sorted. */
export async function keysUnder(redis: Redis, prefix: string): Promise<string[]> {
  const keys = new Set<string>();
  let cursor = '0';
  do {
    const [next, page] = await redis.scan(cursor, 'MATCH', `${prefix}:*`, 'COUNT', 1000);
    for (const key of page) keys.add(key);
    cursor = next;
  } while (cursor !== '0');
  return [...keys].sort();
}
