/**
 * Owns: the typed face of the quota scripts: deduct, project, mend, hold and release, grouped into calls by bucket.
 * Does not own: the rule (ledger/quota-rule.ts, quota-rule.lua), when to project, what to do when Redis is away.
 * Invariants: every key goes through KEYS; the keys of one call lie in one hash slot, since a call serves one bucket
 * (unless told that one server holds all);
 * a tenant is named once in a call. Everything that writes is idempotent and may be repeated after an error.
 */
import type { Redis } from 'ioredis';
import { TollbookError } from '../runtime/errors.js';
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
import {
  type HoldRequest,
  type TenantDeltas,
  type TenantProjection,
  encodeDeltas,
  encodeHold,
  encodeProjection,
} from './quota-requests.js';
import { type ScriptCall, ScriptRunner } from './script-runner.js';

export type { InflightItem, InflightSums, QuotaHash } from './quota-codec.js';
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
}

/** A tenant whose keys are to be mended, and the version of its quota hash if that is to go. */
export interface TenantMending {
  readonly tenantId: string;
  readonly hashToDrop?: number;
}

/** One tenant's share of a script call, and the place of its reply among those of all tenants. */
interface TenantShare {
  readonly tenantId: string;
  readonly args: readonly string[];
  /** How many items it names. */
  readonly itemCount: number;
  readonly position: number;
}

const TENANTS_PER_CALL_MAX = 64;

/** Where a call is full besides: as many items keep Redis busy for some 10 to 20 ms. */
const ITEMS_PER_CALL_MAX = 2_600;

/** The quota scripts on one Redis connection. Every method throws REDIS_UNAVAILABLE or REDIS_FAILED. */
export class QuotaScripts extends QuotaReads {
  readonly #runner: ScriptRunner;
  readonly #prefix: string;
  readonly #tenantsPerCallMax: number;
  readonly #callSpan: CallSpan;

  /** Throws USAGE_INVALID for a prefix that would break the keys, FILE_UNREADABLE without the Lua files. */
  constructor(redis: Redis, options: QuotaScriptsOptions) {
    super(redis, options.prefix);
    this.#runner = new ScriptRunner(redis);
    this.#prefix = options.prefix;
    this.#tenantsPerCallMax = options.tenantsPerCallMax ?? TENANTS_PER_CALL_MAX;
    this.#callSpan = options.callSpan ?? 'bucket';
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
    const lists = await this.#runner.run(calls);
    const replies: unknown[] = [];
    for (const [index, group] of groups.entries()) {
      const list = readList(script, lists[index], group.length);
      for (const [at, { position }] of group.entries()) replies[position] = list[at];
    }
    return replies;
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

function deductShare(deltas: TenantDeltas, position: number): TenantShare {
  return { tenantId: deltas.tenantId, args: encodeDeltas(deltas), itemCount: deltas.items.length, position };
}

function projectShare(projection: TenantProjection, position: number): TenantShare {
  const { tenantId, drop } = projection;
  return { tenantId, args: encodeProjection(projection), itemCount: drop.length, position };
}

function mendShare({ tenantId, hashToDrop }: TenantMending, position: number): TenantShare {
  return { tenantId, args: [hashToDrop === undefined ? '-' : String(hashToDrop)], itemCount: 0, position };
}

function oneSlot(): number {
  return 0;
}

/** A call in the making: tenants that may share it, and the count of their items. */
interface OpenGroup {
  readonly shares: TenantShare[];
  itemCount: number;
}

/** Groups tenants of one slot, at most `sizeMax` a group. Throws USAGE_INVALID for a tenant named twice. */
function groupShares(
  shares: readonly TenantShare[],
  slotOf: (tenantId: string) => number,
  sizeMax: number,
): readonly (readonly TenantShare[])[] {
  refuseRepeatedTenants(shares);
  const groups: TenantShare[][] = [];
  const open = new Map<number, OpenGroup>();
  for (const share of shares) {
    const slot = slotOf(share.tenantId);
    let group = open.get(slot);
    if (group === undefined || isFull(group, share, sizeMax)) {
      group = { shares: [], itemCount: 0 };
      groups.push(group.shares);
      open.set(slot, group);
    }
    group.shares.push(share);
    group.itemCount += share.itemCount;
  }
  return groups;
}

function isFull(group: OpenGroup, next: TenantShare, sizeMax: number): boolean {
  return group.shares.length >= sizeMax || group.itemCount + next.itemCount > ITEMS_PER_CALL_MAX;
}

function refuseRepeatedTenants(shares: readonly TenantShare[]): void {
  const seen = new Set<string>();
  for (const { tenantId } of shares) {
    if (seen.has(tenantId)) throw new TollbookError('USAGE_INVALID', `tenant ${tenantId} is named twice in one call`);
    seen.add(tenantId);
  }
}
