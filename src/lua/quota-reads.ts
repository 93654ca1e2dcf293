/**
 * Owns: reading quota hashes and what is in flight, for the projector, the sweeper and audits; and removing keys whole.
 * Does not own: any other write, nor the decision what a difference means.
 * Invariants: one pipeline a call; each key is read at one instant, different keys at different ones.
 */
import type { ChainableCommander, Redis } from 'ioredis';
import { TollbookError } from '../runtime/errors.js';
import {
  type InflightItem,
  type InflightSums,
  QUOTA_FIELDS,
  type QuotaHash,
  decodeItems,
  decodeQuotaHash,
  decodeSums,
  readCount,
} from './quota-codec.js';
import { inflightPattern, quotaKeys, quotaPattern, tenantOfKey } from './quota-keys.js';
import { observeKeys, type QuotaObservation } from './quota-observation.js';
import { redisError } from '../runtime/redis.js';
import { executed, replyOf } from './script-runner.js';

/** A tenant's items in flight and the sums kept beside them, read at one instant: an audit compares the two. */
export interface InflightOverlay {
  readonly items: readonly InflightItem[];
  readonly sums: InflightSums;
}

const PREFIX = /^[A-Za-z0-9._:-]+$/;

/** The reads of the quota keys on one Redis connection. Every method throws REDIS_UNAVAILABLE or REDIS_FAILED. */
export class QuotaReads {
  readonly #redis: Redis;
  readonly #prefix: string;

  /** Throws USAGE_INVALID unless the prefix is of letters, digits, `.`, `_`, `-` and `:`; a brace would move the hash tag. */
  constructor(redis: Redis, prefix: string) {
    if (!PREFIX.test(prefix)) {
      throw new TollbookError(
        'USAGE_INVALID',
        `the Redis key prefix is ${JSON.stringify(prefix)}; it must match ${PREFIX.source}`,
      );
    }
    this.#redis = redis;
    this.#prefix = prefix;
  }

  /** Reads the version of each tenant's quota hash; null where it is missing. */
  async versions(tenantIds: readonly string[]): Promise<readonly (number | null)[]> {
    const keys = this.#keys(tenantIds, 'quota');
    const replies = await this.#pipelined(keys, (pipeline, key) => pipeline.hget(key, 'version'));
    return keys.map((key, index) => readVersion(key, replies[index] as string | null));
  }

  /** Reads each tenant's quota hash; null where it is missing. */
  async readQuota(tenantIds: readonly string[]): Promise<readonly (QuotaHash | null)[]> {
    const keys = this.#keys(tenantIds, 'quota');
    const replies = await this.#pipelined(keys, (pipeline, key) => pipeline.hmget(key, ...QUOTA_FIELDS));
    return keys.map((key, index) => decodeQuotaHash(key, replies[index] as (string | null)[]));
  }

  /** Reads each tenant's items in flight, without the running sums. Cost: O(N) in the items in flight. */
  async readInflight(tenantIds: readonly string[]): Promise<readonly (readonly InflightItem[])[]> {
    return (await this.readOverlays(tenantIds)).map(({ items }) => items);
  }

  /** Reads each tenant's items in flight and its running sums. Cost: O(N) in the items in flight. */
  async readOverlays(tenantIds: readonly string[]): Promise<readonly InflightOverlay[]> {
    const keys = this.#keys(tenantIds, 'inflight');
    const replies = await this.#pipelined(keys, (pipeline, key) => pipeline.hgetall(key));
    return keys.map((key, index) => {
      const hash = replies[index] as Record<string, string>;
      return { items: decodeItems(key, hash), sums: decodeSums(key, hash) };
    });
  }

  /** Looks at what each tenant has in Redis, telling of what cannot be read instead of failing. For audits. */
  observe(tenantIds: readonly string[]): Promise<readonly QuotaObservation[]> {
    return observeKeys(
      this.#redis,
      tenantIds.map((tenantId) => quotaKeys(this.#prefix, tenantId)),
    );
  }

  /**
   * Walks over the tenants that have something in flight, a page at a time, by SCAN with COUNT `count`. Pages may be empty;
   * a tenant may come twice, and one whose key comes or goes meanwhile may be missed. One node only. For the sweeper.
   */
  scanInflight(count: number): AsyncGenerator<readonly string[]> {
    return this.#scan(inflightPattern(this.#prefix), count);
  }

  /** Walks over the tenants that have a quota hash, as `scanInflight` does. For audits. */
  scanQuota(count: number): AsyncGenerator<readonly string[]> {
    return this.#scan(quotaPattern(this.#prefix), count);
  }

  /** Removes keys, one command each: they may lie in different slots. */
  protected async remove(keys: readonly string[]): Promise<void> {
    await this.#pipelined(keys, (pipeline, key) => pipeline.del(key));
  }

  async *#scan(pattern: string, count: number): AsyncGenerator<readonly string[]> {
    let cursor = '0';
    do {
      const [next, keys] = await this.#scanPage(pattern, cursor, count);
      yield keys.flatMap((key) => tenantOfKey(this.#prefix, key) ?? []);
      cursor = next;
    } while (cursor !== '0');
  }

  async #scanPage(pattern: string, cursor: string, count: number): Promise<[string, string[]]> {
    try {
      return await this.#redis.scan(cursor, 'MATCH', pattern, 'COUNT', count);
    } catch (error) {
      throw redisError(error);
    }
  }

  #keys(tenantIds: readonly string[], which: 'quota' | 'inflight'): string[] {
    return tenantIds.map((tenantId) => quotaKeys(this.#prefix, tenantId)[which]);
  }

  async #pipelined(
    keys: readonly string[],
    add: (pipeline: ChainableCommander, key: string) => unknown,
  ): Promise<readonly unknown[]> {
    const pipeline = this.#redis.pipeline();
    for (const key of keys) add(pipeline, key);
    return (await executed(pipeline.exec())).map(replyOf);
  }
}

function readVersion(key: string, text: string | null): number | null {
  return text === null ? null : readCount(key, text);
}
