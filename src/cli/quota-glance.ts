/**
 * Owns: looking at what Redis has of a tenant without depending on it: a command that only reads goes on without Redis.
 * Does not own: what a difference to the ledger means (projections/projection-state.ts).
 * Invariants: reads only; never throws for a Redis that is away or has something unreadable; waits a second at most for a
 * connection and for the answer.
 */
import type { InflightItem, QuotaHash } from '../lua/quota-scripts.js';
import { QuotaReads } from '../lua/quota-reads.js';
import type { Config } from '../runtime/config.js';
import { isTollbookError, type TollbookError } from '../runtime/errors.js';
import { createRedis, waitForRedis } from '../runtime/redis.js';

/** What Redis has of a tenant, or why that is not known. */
export type QuotaGlance =
  | { readonly kind: 'read'; readonly hash: QuotaHash | null; readonly items: readonly InflightItem[] }
  | { readonly kind: 'away' | 'unreadable'; readonly reason: string };

const WAIT_MS = 1_000;

/** Reads the quota hash and the items in flight of a tenant. */
export async function glanceAtQuota(config: Readonly<Config>, tenantId: string): Promise<QuotaGlance> {
  let refuse: (error: TollbookError) => void = () => undefined;
  const refused = new Promise<never>((_resolve, reject) => (refuse = reject));
  const redis = createRedis(config.redisUrl, {
    onError: (error) => refuse(error),
    connectTimeoutMs: WAIT_MS,
    commandTimeoutMs: WAIT_MS,
    connectionName: 'tollbook-glance',
  });
  try {
    await Promise.race([waitForRedis(redis, WAIT_MS), refused]);
    const reads = new QuotaReads(redis, config.redisPrefix);
    const [hash = null] = await reads.readQuota([tenantId]);
    const [items = []] = await reads.readInflight([tenantId]);
    return { kind: 'read', hash, items };
  } catch (error) {
    if (isTollbookError(error, 'REDIS_UNAVAILABLE')) return { kind: 'away', reason: error.message };
    if (isTollbookError(error, 'REDIS_FAILED')) return { kind: 'unreadable', reason: error.message };
    throw error;
  } finally {
    redis.disconnect();
  }
}
