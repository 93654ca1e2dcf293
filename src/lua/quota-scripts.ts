/**
 * Owns: the typed face of the quota scripts: deduct, project, mend, hold and release, grouped into calls by bucket.
 * Does not own: the rule (ledger/quota-rule.ts, quota-rule.lua), when to project, what to do when Redis is away.
 * Invariants: every key goes through KEYS; the keys of one call lie in one hash slot, since a call serves one bucket
 * (unless told that one server holds all);
 * a tenant is named once in a call. Everything that writes is idempotent and may be repeated after an error.
 */
import type { Redis } from 'ioredis';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import { isOfAKey, mendingOf, type TenantMending } from './broken-keys.js';
import type { InflightItem } from './quota-codec.js';
import { bucketOf, quotaKeys } from './quota-keys.js';
import { QuotaReads } from './quota-reads.js';
import {
  type HoldReply,
  type MendReply,
  type ProjectReply,
  type TenantReply,
  readHoldReply,
  readList,
  readMendReply,
  readProjectReply,
  readReleaseReply,
  readTenantReply,
} from './quota-replies.js';
import { type HoldRequest, type TenantDeltas, type TenantProjection, encodeHold } from './quota-requests.js';
import { type ScriptCall, ScriptRunner } from './script-runner.js';
import { deductShare, groupShares, mendShare, oneSlot, projectShare, type TenantShare } from './tenant-shares.js';

export type { InflightItem, InflightSums, QuotaHash } from './quota-codec.js';
export type { TenantMending } from './broken-keys.js';
export type { InflightOverlay } from './quota-reads.js';
export type { HoldReply, ItemReply, MendReply, ProjectReply, TenantReply } from './quota-replies.js';
export type { DropSpec, HoldRequest, OverlayItem, TenantDeltas, TenantProjection } from './quota-requests.js';

/** Which tenants may share one script call: those of one bucket, or all, since one server holds every key. */
export type CallSpan = 'bucket' | 'node';

/** Settings of the scripts: what all keys start with, and which and how many tenants share one call. */
export interface QuotaScriptsOptions {
  /** Letters, digits, `.`, `_`, `-` and `:`. */
  readonly prefix: string;
  /** Default 64: in a prototype 16 cost 5 % and 1 cost 20 % of a consumer's throughput, 256 gained nothing. */
  readonly tenantsPerCallMax?: number;
  /**
   * Default `bucket`, which is right everywhere. `node` is for a server outside a Redis Cluster: 1,000 tenants with 2 items
   * each are then 16 calls and not 250, which measured 15 to 75 % faster (2 busy cores, other work beside).
   */
  readonly callSpan?: CallSpan;
  /** Hears of tenants whose keys held what no script writes, once they are mended; must not throw. */
  readonly onMended?: (tenantIds: readonly string[]) => void;
}

const TENANTS_PER_CALL_MAX = 64;

/** The quota scripts on one Redis connection. Every method throws REDIS_UNAVAILABLE or REDIS_FAILED. */
export class QuotaScripts extends QuotaReads {
  readonly #runner: ScriptRunner;
  readonly #prefix: string;
  readonly #tenantsPerCallMax: number;
  readonly #callSpan: CallSpan;
  readonly #onMended: (tenantIds: readonly string[]) => void;

  /** Throws USAGE_INVALID for a prefix that would break the keys, FILE_UNREADABLE without the Lua files. */
  constructor(redis: Redis, options: QuotaScriptsOptions) {
    super(redis, options.prefix);
    this.#runner = new ScriptRunner(redis);
    this.#prefix = options.prefix;
    this.#tenantsPerCallMax = options.tenantsPerCallMax ?? TENANTS_PER_CALL_MAX;
    this.#callSpan = options.callSpan ?? 'bucket';
    this.#onMended = options.onMended ?? ((): void => undefined);
  }

  /**
   * Decides the changes of many tenants and puts the granted ones in flight, stamped `nowMs`; replies in the order given.
   * Atomic: per tenant. Idempotent: by trace and phase. Throws MONEY_OUT_OF_RANGE; USAGE_INVALID for a tenant named twice.
   */
  async deduct(tenants: readonly TenantDeltas[], nowMs: number): Promise<readonly TenantReply[]> {
    const shares = tenants.map(deductShare);
    const replies = await this.#runGrouped('quota-deduct', [String(nowMs)], shares);
    const read: TenantReply[] = [];
    for (const { itemCount, position } of shares) read.push(readTenantReply(replies[position], itemCount));
    return read;
  }

  /**
   * Sets quota hashes to the ledger and drops what it contains from flight; replies in the order given.
   * Atomic: per tenant. Idempotent: a repetition is answered `moved`.
   * Throws MONEY_OUT_OF_RANGE; USAGE_INVALID for a tenant named twice.
   */
  async project(projections: readonly TenantProjection[]): Promise<readonly ProjectReply[]> {
    return (await this.#runGrouped('quota-project', [], projections.map(projectShare))).map(readProjectReply);
  }

  /**
   * Holds the estimate of one trace, by the same rule as `deduct`, stamped `nowMs`; a hold already in flight stays as it is.
   * Atomic. Idempotent: by trace. Throws MONEY_OUT_OF_RANGE; USAGE_INVALID for an amount that is not positive.
   */
  async hold(request: HoldRequest, nowMs: number): Promise<HoldReply> {
    if (request.amountNano <= 0n) {
      throw new TollbookError(
        'USAGE_INVALID',
        `the amount to hold is ${request.amountNano} nano-units; it must be positive`,
      );
    }
    const { quota, inflight } = quotaKeys(this.#prefix, request.tenantId);
    const call: ScriptCall = { script: 'quota-hold', keys: [quota, inflight], args: encodeHold(request, nowMs) };
    return readHoldReply((await this.#runner.run([call]))[0]);
  }

  /** Gives back the hold of a trace; false when none was in flight. Atomic. Idempotent. */
  async release(tenantId: string, traceId: string): Promise<boolean> {
    const { inflight } = quotaKeys(this.#prefix, tenantId);
    const call: ScriptCall = { script: 'quota-release', keys: [inflight], args: [traceId] };
    return readReleaseReply((await this.#runner.run([call]))[0]);
  }

  /**
   * Takes out of the tenants' keys what no script writes, and makes the running sums equal to the items; replies in the order
   * given. With `hashToDrop` a quota hash of that version goes too: of a tenant without an account.
   * Atomic: per tenant. Idempotent. Throws USAGE_INVALID for a tenant named twice.
   */
  async mend(tenants: readonly TenantMending[]): Promise<readonly MendReply[]> {
    return (await this.#runGrouped('quota-mend', [], tenants.map(mendShare))).map(readMendReply);
  }

  /** Mends those of some tenants whose keys hold what no script can work with. Idempotent. */
  async mendBroken(tenantIds: readonly string[]): Promise<void> {
    const observations = await this.observe(tenantIds);
    const broken = tenantIds.flatMap((tenantId, index) => {
      const observation = observations[index];
      return observation === undefined ? [] : (mendingOf(tenantId, observation) ?? []);
    });
    if (broken.length === 0) return;
    await this.mend(broken);
    this.#onMended(broken.map(({ tenantId }) => tenantId));
  }

  /** Removes all keys of tenants, of whom the ledger knows nothing. Idempotent. */
  async purge(tenantIds: readonly string[]): Promise<void> {
    const keys = tenantIds.map((tenantId) => quotaKeys(this.#prefix, tenantId));
    await this.remove(keys.flatMap(({ quota, inflight }) => [quota, inflight]));
  }

  /** As read; the keys of tenants that cannot be read are mended first. */
  override versions(tenantIds: readonly string[]): Promise<readonly (number | null)[]> {
    return this.#mending(tenantIds, () => super.versions(tenantIds));
  }

  /** As read; the keys of tenants that cannot be read are mended first. */
  override readInflight(tenantIds: readonly string[]): Promise<readonly (readonly InflightItem[])[]> {
    return this.#mending(tenantIds, () => super.readInflight(tenantIds));
  }

  async #mending<T>(tenantIds: readonly string[], read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (!isOfAKey(error)) throw error;
      await this.mendBroken(tenantIds);
      return read();
    }
  }

  /** Runs a script over many tenants, one call a group; replies by the shares' positions. */
  async #runGrouped(
    script: 'quota-deduct' | 'quota-project' | 'quota-mend',
    args: readonly string[],
    shares: readonly TenantShare[],
  ): Promise<readonly unknown[]> {
    const slotOf = this.#callSpan === 'node' ? oneSlot : bucketOf;
    const groups = groupShares(shares, slotOf, this.#tenantsPerCallMax);
    const calls: ScriptCall[] = [];
    for (const group of groups) calls.push(this.#call(script, args, group));
    const lists = await this.#runner.runEach(calls);
    const replies: unknown[] = [];
    const failed: TenantShare[] = [];
    for (const [index, group] of groups.entries()) {
      if (isTollbookError(lists[index])) failed.push(...sharesOfBadKey(script, lists[index], group));
      else keepReplies(readList(script, lists[index], group.length), group, replies);
    }
    if (failed.length > 0) await this.#runApart(script, args, { shares: failed, replies });
    return replies;
  }

  /** Runs the tenants of failed calls one by one, their keys mended: a bad key harms its own tenant alone. */
  async #runApart(
    script: ScriptCall['script'],
    args: readonly string[],
    { shares, replies }: { shares: readonly TenantShare[]; replies: unknown[] },
  ): Promise<void> {
    await this.mendBroken(shares.map(({ tenantId }) => tenantId));
    const lists = await this.#runner.runEach(shares.map((share) => this.#call(script, args, [share])));
    for (const [index, share] of shares.entries()) {
      if (isTollbookError(lists[index])) {
        sharesOfBadKey(script, lists[index], [share]);
        replies[share.position] = script === 'quota-project' ? 'moved' : 'unhydrated';
      } else keepReplies(readList(script, lists[index], 1), [share], replies);
    }
  }

  #call(script: ScriptCall['script'], args: readonly string[], group: readonly TenantShare[]): ScriptCall {
    const [keys, allArgs]: [string[], string[]] = [[], [...args]];
    for (const share of group) {
      const { quota, inflight } = quotaKeys(this.#prefix, share.tenantId);
      keys.push(quota, inflight);
      allArgs.push(...share.args);
    }
    return { script, keys, args: allArgs };
  }
}

/** The tenants of a call that failed because of what one of their keys holds; throws every other error. */
function sharesOfBadKey(script: string, error: TollbookError, group: readonly TenantShare[]): readonly TenantShare[] {
  if (script === 'quota-mend' || !isOfAKey(error)) throw error;
  return group;
}

function keepReplies(list: readonly unknown[], group: readonly TenantShare[], replies: unknown[]): void {
  for (const [at, { position }] of group.entries()) replies[position] = list[at];
}
