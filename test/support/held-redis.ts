/**
 * Owns: a way to the real Redis on which what clients send can be held back and let go, as a slow network does.
 * Invariants: nothing is lost or reordered; replies are never held.
 */
import type { Redis } from 'ioredis';
import { connect, createServer, type Socket } from 'node:net';
import { createRedis, waitForRedis } from '../../src/runtime/redis.js';

/** A connection to Redis over the way that can be held. */
export interface HeldRedis {
  readonly redis: Redis;
  /** From now on, what is sent does not arrive. */
  hold(): void;
  /** What was held arrives, and what it makes the client send; resolves when Redis has answered all of it. */
  release(): Promise<void>;
  close(): Promise<void>;
}

/** More round trips than any one call to the scripts makes. */
const ROUND_TRIPS = 10;

/** Opens the way to REDIS_URL and connects over it. Throws REDIS_UNAVAILABLE. */
export async function openHeldRedis(): Promise<HeldRedis> {
  const target = new URL(process.env['REDIS_URL'] ?? '');
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [socket, peer] of [[client, upstream] as const, [upstream, client] as const]) {
      socket.on('error', () => peer.destroy()).on('close', () => peer.destroy());
    }
    sockets.add(client);
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const redis = createRedis(`redis://127.0.0.1:${port}`, { onError: () => undefined, connectionName: 'held' });
  await waitForRedis(redis, 5_000);
  return {
    redis,
    hold: () => sockets.forEach((client) => client.pause()),
    release: async () => {
      sockets.forEach((client) => client.resume());
      for (let trip = 0; trip < ROUND_TRIPS; trip += 1) await redis.ping();
    },
    close: async () => {
      redis.disconnect();
      sockets.forEach((client) => client.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
