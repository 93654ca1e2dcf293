/**
 * Owns: keys of tenants in Redis as a careless hand leaves them: of another type, with texts for numbers, with fields missing.
 * Does not own: another amount at the same version. No refusal rests on it (integration/redis-no-veto), but for a tenant
 * without further traffic only an audit finds it, and a run has none.
 */
import type { Redis } from 'ioredis';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import type { FaultWorld } from '../support/fault-world.js';

const SPOILED_TENANTS = 5;

type Spoil = (redis: Redis, keys: { readonly quota: string; readonly inflight: string }) => Promise<unknown>;

const SPOILS: readonly Spoil[] = [
  async (redis, { quota }) => {
    await redis.del(quota);
    await redis.set(quota, 'not a hash');
  },
  (redis, { quota }) => redis.hset(quota, 'held', 'many'),
  async (redis, { inflight }) => {
    await redis.del(inflight);
    await redis.lpush(inflight, 'not a hash');
  },
  (redis, { inflight }) => redis.hset(inflight, 'no-item', 'garbage'),
  (redis, { quota }) => redis.hdel(quota, 'version'),
];

/** Spoils the keys of some tenants, each in another way. */
export async function spoilKeys(redis: Redis, world: FaultWorld, first: number): Promise<void> {
  const tenantIds = world.tenantIds();
  for (let count = 0; count < SPOILED_TENANTS; count += 1) {
    const tenantId = tenantIds[(first * SPOILED_TENANTS + count) % tenantIds.length];
    const spoil = SPOILS[count % SPOILS.length];
    if (tenantId !== undefined) await spoil?.(redis, quotaKeys(world.ledger.testRedis.prefix, tenantId));
  }
}
