/**
 * Owns: a Redis server of a test's own, which may be killed while it serves; the same program as the server at REDIS_URL.
 * Invariants: nothing outlives `close`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { createRedis, waitForRedis } from '../../src/runtime/redis.js';
import { chooseFreePort } from '../../src/stack/free-port.js';
import { openTestRedis } from '../model/test-redis.js';

/** A running server and a connection to it. */
export interface OwnRedis {
  readonly redis: Redis;
  /** Ends the server at once, with whatever it was doing (SIGKILL). */
  kill(): Promise<void>;
  close(): Promise<void>;
}

const READY_WAIT_MS = 10_000;

/** Starts a server without persistence on a free port. Throws REDIS_UNAVAILABLE. */
export async function startOwnRedis(): Promise<OwnRedis> {
  const port = await chooseFreePort();
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const server = spawn(await redisProgram(), settings, { stdio: 'ignore' });
  const ended = once(server, 'exit');
  const redis = createRedis(`redis://127.0.0.1:${port}`, { onError: () => undefined, connectionName: 'own' });
  const kill = async (): Promise<void> => {
    server.kill('SIGKILL');
    await ended;
  };
  const close = async (): Promise<void> => {
    redis.disconnect();
    await kill();
  };
  await waitForRedis(redis, READY_WAIT_MS).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return { redis, kill, close };
}

/** The program of the server that all tests use. */
async function redisProgram(): Promise<string> {
  const test = await openTestRedis();
  try {
    return /^executable:(.+?)\r?$/m.exec(await test.redis.info('server'))?.[1] ?? 'redis-server';
  } finally {
    await test.close();
  }
}
