/**
 * Owns: the reference for the four quota scripts, over plain maps and bigint.
 * Does not own: the rule itself, which is `refusalOf` of the ledger.
 * Invariants: no running sums; what Redis keeps as a sum is added up anew from the items each time, so that a script that
 * lets a sum drift is caught by the comparison of states.
 */
import { isAmountInRange } from '../../src/ledger/money.js';
import { type QuotaDelta, type QuotaPosition, refusalOf } from '../../src/ledger/quota-rule.js';
import { monthOf, usedInMonth, usedOnDay } from '../../src/ledger/request-windows.js';
import type { Phase } from '../../src/ledger/trace.js';
import {
  type InflightItem,
  QUOTA_FIELDS,
  type QuotaHash,
  encodeQuotaHash,
  itemField,
  sumFields,
  sumItems,
} from '../../src/lua/quota-codec.js';
import type { QuotaObservation } from '../../src/lua/quota-observation.js';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import type {
  DropSpec,
  HoldReply,
  HoldRequest,
  ItemReply,
  ProjectReply,
  TenantDeltas,
  TenantProjection,
  TenantReply,
} from '../../src/lua/quota-scripts.js';

interface ModelItem {
  readonly availableNano: bigint;
  readonly requests: -1 | 0 | 1;
  readonly day: string;
  readonly createdAtMs: number;
}

type Items = Map<string, ModelItem>;

/** Every key of Redis under the prefix with its fields, as HGETALL shows them. */
export type RedisState = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The quota hashes and the items in flight of all tenants, and the four scripts over them. */
export class QuotaScriptsModel {
  readonly #hashes = new Map<string, QuotaHash>();
  readonly #items = new Map<string, Items>();

  /** The version of a tenant's quota hash; null when it is missing. */
  version(tenantId: string): number | null {
    return this.#hashes.get(tenantId)?.version ?? null;
  }

  /** A tenant's quota hash; undefined when it is missing. */
  hash(tenantId: string): QuotaHash | undefined {
    return this.#hashes.get(tenantId);
  }

  /** A tenant's items in flight. */
  items(tenantId: string): InflightItem[] {
    return [...(this.#items.get(tenantId) ?? [])].map(([field, item]) => {
      const phaseAt = field.lastIndexOf(':');
      return { ...item, traceId: field.slice(0, phaseAt), phase: field.slice(phaseAt + 1) as Phase };
    });
  }

  /** What an observer finds of a tenant. */
  observation(tenantId: string): QuotaObservation {
    const hash = this.#hashes.get(tenantId);
    const items = this.items(tenantId);
    return {
      hash:
        hash === undefined
          ? { kind: 'missing' }
          : { kind: 'read', version: hash.version, values: encodeQuotaHash(hash) },
      overlay: { kind: 'read', items, sums: sumFields(sumItems(items), items.length), strange: [] },
      moved: false,
    };
  }

  /** Puts a quota hash there that no projection has made. */
  overwrite(tenantId: string, hash: QuotaHash): void {
    this.#hashes.set(tenantId, hash);
  }

  /** The tenants with something in flight. */
  tenantsInFlight(): string[] {
    return [...this.#items].flatMap(([tenantId, items]) => (items.size > 0 ? [tenantId] : []));
  }

  /** quota-deduct.lua. */
  deduct(tenants: readonly TenantDeltas[], nowMs: number): TenantReply[] {
    return tenants.map(({ tenantId, ledgerSeq, items }) => {
      const hash = this.#hashes.get(tenantId);
      if (hash === undefined) return { kind: 'unhydrated' };
      if (hash.version > ledgerSeq) return { kind: 'ahead', version: hash.version };
      const decide = ({ traceId, phase, delta }: TenantDeltas['items'][number]): ItemReply =>
        this.#decide(hash, this.#itemsOf(tenantId), itemField(traceId, phase), delta, nowMs);
      return { kind: 'decided', items: items.map(decide) };
    });
  }

  /** quota-hold.lua. */
  hold(request: HoldRequest, nowMs: number): HoldReply {
    const hash = this.#hashes.get(request.tenantId);
    if (hash === undefined) return { kind: 'unhydrated' };
    const items = this.#itemsOf(request.tenantId);
    const field = itemField(request.traceId, 'p');
    if (items.has(field)) return { kind: 'already' };
    const { checkBalance, checkQuota, day } = request;
    const delta: QuotaDelta = { availableNano: -request.amountNano, checkBalance, requests: 1, checkQuota, day };
    return this.#decide(hash, items, field, delta, nowMs);
  }

  /** quota-release.lua. */
  release(tenantId: string, traceId: string): boolean {
    return this.#itemsOf(tenantId).delete(itemField(traceId, 'p'));
  }

  /** quota-project.lua. */
  project(projections: readonly TenantProjection[]): ProjectReply[] {
    return projections.map(({ tenantId, expectedVersion, onlyIfNoInflight, hash, drop }) => {
      if (this.version(tenantId) !== expectedVersion) return { kind: 'moved' };
      const items = this.#itemsOf(tenantId);
      if (onlyIfNoInflight && items.size > 0) return { kind: 'inflight' };
      this.#hashes.set(tenantId, hash);
      const dropped = drop.flatMap(fieldsOf).filter((field) => items.delete(field));
      return { kind: 'projected', dropped: dropped.length };
    });
  }

  /** What Redis must hold under the prefix. */
  state(prefix: string): RedisState {
    const state: Record<string, Record<string, string>> = {};
    for (const [tenantId, hash] of this.#hashes) {
      const values = encodeQuotaHash(hash);
      const fields = QUOTA_FIELDS.map((field, index) => [field, values[index] ?? ''] as const);
      state[quotaKeys(prefix, tenantId).quota] = Object.fromEntries(fields);
    }
    for (const [tenantId, items] of this.#items) {
      if (items.size > 0) state[quotaKeys(prefix, tenantId).inflight] = inflightHash(items);
    }
    return state;
  }

  #itemsOf(tenantId: string): Items {
    const items = this.#items.get(tenantId) ?? new Map<string, ModelItem>();
    this.#items.set(tenantId, items);
    return items;
  }

  #decide(hash: QuotaHash, items: Items, field: string, delta: QuotaDelta, nowMs: number): ItemReply {
    const old = items.get(field);
    if (old === undefined) {
      const refusal = refusalOf(combined(hash, items, delta.day), delta);
      if (refusal !== undefined) return { kind: 'refused', refusal };
    } else if (isSame(old, delta)) {
      return { kind: 'already' };
    }
    const { availableNano, requests, day } = delta;
    const sum = sumAvailable(items) - (old?.availableNano ?? 0n) + availableNano;
    if (!isAmountInRange(sum)) return { kind: 'outOfRange' };
    items.set(field, { availableNano, requests, day, createdAtMs: old?.createdAtMs ?? nowMs });
    return { kind: old === undefined ? 'granted' : 'already' };
  }
}

function isSame(old: ModelItem, delta: QuotaDelta): boolean {
  return old.availableNano === delta.availableNano && old.requests === delta.requests && old.day === delta.day;
}

/** The position that the rule is asked at: the hash plus what is in flight, in the windows of `day` where these are counted. */
function combined(hash: QuotaHash, items: Items, day: string): QuotaPosition {
  const all = [...items.values()];
  const count = (window: string): number =>
    all.filter((item) => item.day.startsWith(window)).reduce((sum, item) => sum + item.requests, 0);
  const [month, used, usedMonth] = [monthOf(day), usedOnDay(hash, day), usedInMonth(hash, monthOf(day))];
  return {
    ...hash,
    balanceNano: hash.balanceNano + sumAvailable(items),
    ...(used === undefined ? {} : { dailyDate: day, dailyUsed: used + count(day) }),
    ...(usedMonth === undefined ? {} : { monthlyMonth: month, monthlyUsed: usedMonth + count(month) }),
  };
}

function sumAvailable(items: Items): bigint {
  return [...items.values()].reduce((sum, item) => sum + item.availableNano, 0n);
}

function fieldsOf({ traceId, phase }: DropSpec): string[] {
  return phase === 'all'
    ? (['p', 'c', 'v', 'x'] as const).map((one) => itemField(traceId, one))
    : [itemField(traceId, phase)];
}

function inflightHash(items: Items): Record<string, string> {
  const hash: Record<string, string> = { '~available': sumAvailable(items).toString() };
  const windows = new Map<string, number>();
  for (const [field, { availableNano, requests, day, createdAtMs }] of items) {
    hash[field] = `${availableNano}|${requests}|${day}|${createdAtMs}`;
    for (const sum of [`~day:${day}`, `~month:${monthOf(day)}`]) windows.set(sum, (windows.get(sum) ?? 0) + requests);
  }
  for (const [sum, requests] of windows) if (requests !== 0) hash[sum] = String(requests);
  return hash;
}
